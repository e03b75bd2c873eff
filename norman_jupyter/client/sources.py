"""Where data of the Norman SDK's dictionaries comes from: a file, a link, a stream, or itself."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from norman_jupyter.client.effects import Steps, read, work
from norman_jupyter.client.web import FetchFailed, WebLimits, fetch_url, is_url
from norman_protocol.arrays import name_type

__all__ = ["Source", "SourceFailed", "copy_stream", "copy_url", "file_path", "resolve_source"]

Source: TypeAlias = Literal["File", "Link", "Primitive", "Stream"]

_PIECE_BYTES: Final = 1 << 20
_LONGEST_PATH: Final = 4096


class SourceFailed(Exception):
    """Data can't be had from where it is said to be; the text says why."""


def resolve_source(data: Any, said: str | None = None) -> Source:
    """Tell where data comes from, as the Norman SDK does.

    A Path, and the text of a file's path, is a File; an http or https URL a Link; an object with
    ``read()`` a Stream; all else is itself, a Primitive. What is said explicitly wins.

    Raises
    ------
    SourceFailed
        The data can't be from where it is said to be.

    Examples
    --------
    >>> resolve_source("https://images.example/7.png"), resolve_source([1, 2])
    ('Link', 'Primitive')
    >>> resolve_source("https://images.example/7.png", "Primitive")
    'Primitive'
    """
    if said is None:
        return _told(data)
    fault = _fault(data, said)
    if fault is not None:
        raise SourceFailed(f"source {said!r} {fault}, not {name_type(data)}.")
    return cast("Source", said)


def _told(data: Any) -> Source:
    if isinstance(data, os.PathLike):
        return "File"
    if isinstance(data, str):
        if is_url(data):
            return "Link"
        return "File" if _names_file(data) else "Primitive"
    return "Stream" if callable(getattr(data, "read", None)) else "Primitive"


def _names_file(text: str) -> bool:
    stripped = text.strip()
    if not stripped or len(stripped) > _LONGEST_PATH or "\0" in stripped:
        return False
    try:
        return file_path(stripped).is_file()
    except (OSError, ValueError):
        return False


def _fault(data: Any, said: str) -> str | None:
    match said:
        case "File" if not isinstance(data, (str, bytes, bytearray, memoryview, os.PathLike)):
            return "takes a path, or the bytes of a file"
        case "Link" if not isinstance(data, str):
            return "takes an http or https URL"
        case "Link" if not is_url(data):
            return "takes an http or https URL"
        case "Stream" if not callable(getattr(data, "read", None)):
            return "takes an object with read()"
    return None


def file_path(data: str | os.PathLike[str]) -> Path:
    """Return the path that a File names; ``~`` is home."""
    path = Path(data.strip() if isinstance(data, str) else data)
    try:
        return path.expanduser()
    except RuntimeError:  # ~someone, who isn't known here: a folder may be called so
        return path


def copy_url(url: str, write: Callable[[bytes], object], limits: WebLimits) -> Steps[None]:
    """Fetch what is behind a Link; a fetch that is given up ends at its next piece.

    Raises
    ------
    SourceFailed
        It can't be had.
    """
    is_awaited = True

    def take(piece: bytes) -> None:
        if not is_awaited:  # whose caller was cancelled; the thread that fetches can't be
            raise FetchFailed("Nobody waits for it any more.")
        write(piece)

    try:
        yield from work(partial(fetch_url, url, take, limits))
    except FetchFailed as error:
        raise SourceFailed(str(error)) from error
    finally:
        is_awaited = False


def copy_stream(stream: Any, write: Callable[[bytes], object], limit_bytes: int) -> Steps[bool]:
    """Read a Stream from where it stands to its end, and return whether it gave text.

    Text becomes UTF-8. The stream is not closed: whoever opened it does that.

    Raises
    ------
    SourceFailed
        It raised, gave what is neither bytes nor text, or more than the limit.
    """
    size_bytes: int | None = _PIECE_BYTES if _takes_size(stream.read) else None
    done_bytes = 0
    kinds: set[bool] = set()
    while True:
        try:
            piece = yield from read(stream, size_bytes)
        except SourceFailed:
            raise
        except Exception as error:
            raise SourceFailed(
                f"its stream raised {type(error).__name__} after {done_bytes} bytes: "
                f"{str(error)[:200] or 'without a word'}"
            ) from error
        if not isinstance(piece, (str, bytes, bytearray, memoryview)):
            raise SourceFailed(f"its stream gave {name_type(piece)} instead of bytes.")
        if not piece:
            return kinds == {True}
        kinds.add(isinstance(piece, str))
        if len(kinds) > 1:
            raise SourceFailed("its stream gave both text and bytes.")
        data = _as_bytes(piece)
        done_bytes += len(data)
        if done_bytes > limit_bytes:
            raise SourceFailed(f"its stream gave more than {limit_bytes} bytes.")
        yield from work(partial(write, data))
        if size_bytes is None:
            return kinds == {True}


def _as_bytes(piece: str | bytes | bytearray | memoryview) -> bytes:
    if not isinstance(piece, str):
        return bytes(piece)
    try:
        return piece.encode()
    except UnicodeEncodeError:
        raise SourceFailed("its stream gave text with a lone surrogate.") from None


def _takes_size(method: Callable[..., Any]) -> bool:
    """Whether ``read`` takes a size, as files do; one that doesn't gives all at once."""
    try:
        inspect.signature(method).bind(_PIECE_BYTES)
    except TypeError:
        return False
    except ValueError:  # a method of an extension module that doesn't tell
        return True
    return True
