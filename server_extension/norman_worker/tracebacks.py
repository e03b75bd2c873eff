"""A model's exceptions as text for its author: from the model's first frame, without host paths."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Report", "hide_paths", "report_exception", "shorten"]

_EXCEPTION_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 32_000
_OWN_FOLDERS = tuple(
    str(Path(__file__).parent.parent / name) + os.sep
    for name in ("norman_worker", "norman_protocol")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An exception as text.

    Attributes
    ----------
    exception
        Class and message, such as ``ValueError: not an image``.
    traceback
        As Python prints it, beginning in the model's own code.
    in_model
        Whether a frame of the model's own code took part.
    """

    exception: str
    traceback: str
    in_model: bool

    @property
    def headline(self) -> str:
        """The first line of the exception, short enough for one line of a message."""
        first = self.exception.partition("\n")[0]
        return first if len(first) <= 300 else first[:299] + "…"


def report_exception(error: BaseException, folder: Path) -> Report:
    """Put an exception into words; ``folder`` is where the model's own files are."""
    root = str(folder) + os.sep
    whole = traceback.TracebackException.from_exception(error)
    in_model = any(frame.filename.startswith(root) for frame in whole.stack)
    for part in _chain(whole):
        del part.stack[: _frames_before(part.stack, root)]
    if isinstance(error, SyntaxError):  # Python would print the place once more
        exception = f"{type(error).__name__}: {error}"
    else:
        exception = "".join(whole.format_exception_only()).strip()
    return Report(
        exception=shorten(hide_paths(exception, folder), _EXCEPTION_CHARACTERS),
        traceback=shorten(hide_paths("".join(whole.format()), folder), _TRACEBACK_CHARACTERS),
        in_model=in_model,
    )


def _chain(part: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting: list[traceback.TracebackException | None] = [part]
    while waiting:
        current = waiting.pop()
        if current is not None:
            yield current
            waiting += [current.__cause__, current.__context__, *(current.exceptions or ())]


def _frames_before(stack: Sequence[traceback.FrameSummary], root: str) -> int:
    """Count the leading frames that are not the model's; all of ours where none is the model's."""
    for index, frame in enumerate(stack):
        if frame.filename.startswith(root):
            return index
    for index, frame in enumerate(stack):
        if not frame.filename.startswith((*_OWN_FOLDERS, "<frozen ")):
            return index
    return len(stack)


def hide_paths(text: str, folder: Path) -> str:
    """Shorten paths of this host: files of the model and of packages to their names in there."""
    prefixes = {str(folder), str(Path.cwd()), *filter(None, sys.path)}
    prefixes |= {str(Path(prefix).resolve()) for prefix in prefixes}
    known = sorted((prefix for prefix in prefixes if len(prefix) > 1), key=len, reverse=True)
    either = "|".join(re.escape(prefix.rstrip(os.sep)) for prefix in known)
    text = re.sub(rf"(?<![\w./-])(?:{either})/", "", text)
    return re.sub(rf"(?<![\w./-])(?:{either})(?![\w./-])", ".", text)


def shorten(text: str, limit: int) -> str:
    """Cut the middle out of text that is too long, and make it sayable in UTF-8.

    Examples
    --------
    >>> shorten("abcdefgh", 100)
    'abcdefgh'
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    half = limit // 2
    return (
        f"{text[:half]}\n[… {len(text) - 2 * half} characters are left out here …]\n{text[-half:]}"
    )
