"""Reading the end of a log, and what was added to it since."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from norman_server.storage.faults import disk_faults

__all__ = ["LogPart", "read_after", "read_tail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A part of a log.

    Attributes
    ----------
    truncated
        Whether something before it is left out.
    end
        The offset, in bytes, from which `read_after` goes on.
    """

    text: str
    truncated: bool
    end: int


_NOTHING = LogPart(text="", truncated=False, end=0)


def read_tail(path: Path, limit_bytes: int) -> LogPart:
    """Return the last whole lines of a log within a bound.

    A log that isn't there yet is empty. Bytes that are no UTF-8 are shown as U+FFFD.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("reading a log"):
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                begin = file.seek(max(0, size_bytes - limit_bytes))
                data = file.read(limit_bytes)
        except FileNotFoundError:
            return _NOTHING
    truncated = size_bytes > limit_bytes
    end = begin + len(data)
    if truncated:
        # The first line is most likely cut; a single long one is shown cut all the same.
        data = data[data.find(b"\n", 0, -1) + 1 :]
    return LogPart(text=data.decode("utf-8", "replace"), truncated=truncated, end=end)


def read_after(path: Path, offset: int, limit_bytes: int) -> LogPart:
    """Return the whole lines that a log has from an offset on, as many as a bound allows.

    Where the log is shorter than that, it was cut meanwhile: what follows its end is read next.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("reading a log"):
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                if offset > size_bytes:
                    return LogPart(text="", truncated=True, end=size_bytes)
                file.seek(offset)
                data = file.read(limit_bytes)
        except FileNotFoundError:
            return LogPart(text="", truncated=offset > 0, end=0)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and len(data) == limit_bytes:
        whole = data  # a line longer than the bound comes in pieces
    text = whole.decode("utf-8", "replace")
    return LogPart(text=text, truncated=False, end=offset + len(whole))
