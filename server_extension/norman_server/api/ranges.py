"""Which part of a blob a request carries, as its headers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from norman_protocol.errors import RequestInvalid
from norman_protocol.rest import UPLOAD_LENGTH, UPLOAD_OFFSET

__all__ = ["UploadRange", "read_range"]

_DIGITS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRange:
    """A part that begins at ``offset`` of a blob of ``length`` bytes."""

    offset: int
    length: int


def read_range(headers: Mapping[str, str]) -> UploadRange | None:
    """Read the range of a request; None where it carries the whole blob.

    Raises
    ------
    RequestInvalid
        One header without the other, no number, or an offset behind the end.

    Examples
    --------
    >>> read_range({"Upload-Offset": "5", "Upload-Length": "9"})
    UploadRange(offset=5, length=9)
    >>> read_range({}) is None
    True
    """
    if UPLOAD_OFFSET not in headers and UPLOAD_LENGTH not in headers:
        return None
    offset = _number(headers, UPLOAD_OFFSET)
    length = _number(headers, UPLOAD_LENGTH)
    if offset > length:
        raise RequestInvalid(
            f"{UPLOAD_OFFSET} is {offset}, behind the end of a blob of {length} bytes.",
            field=UPLOAD_OFFSET,
        )
    return UploadRange(offset=offset, length=length)


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise RequestInvalid(
            f"{name} must be a number of bytes, not {text[:60]!r}; a part of a blob is sent with "
            f"both {UPLOAD_OFFSET} and {UPLOAD_LENGTH}.",
            field=name,
        )
    return int(text)
