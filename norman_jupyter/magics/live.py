"""A transfer on the screen: one output that changes in place until it shows what came of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from norman_jupyter.previews.markup import Bundle, escape, join, note
from norman_jupyter.previews.text import format_bytes, format_milliseconds, one_line
from norman_jupyter.previews.versions import render_version

if TYPE_CHECKING:
    from norman_jupyter.client.progress import Progress, Stage
    from norman_protocol.rest import VersionDetail

__all__ = ["NotebookSurface", "Surface", "TerminalSurface", "UploadDisplay", "progress_line"]

_REFRESH_S = 0.1
_DOING = {
    "hashing": "hashing",
    "sending": "sending",
    "receiving": "receiving",
    "loading": "loading",
    "ready": "ready",
}
_DONE = {"hashing": "hashed", "sending": "sent", "receiving": "received", "loading": "loaded"}
_NOTHING: dict[str, str] = {"sending": "nothing to send", "receiving": "nothing to fetch"}


class Surface(Protocol):
    """Where something is shown, each time in the place of what was shown before."""

    def show(self, bundle: Bundle) -> None:
        """Show something."""

    def close(self) -> None:
        """Leave what is shown as it is."""


class _Publisher(Protocol):
    def publish(
        self,
        data: Bundle,
        metadata: dict[str, str] | None = None,
        *,
        transient: dict[str, str] | None = None,
        update: bool = False,
    ) -> None: ...


class NotebookSurface:
    """One output of a cell, updated by its display id."""

    def __init__(self, publisher: _Publisher) -> None:
        self._publisher = publisher
        self._display_id = uuid.uuid4().hex
        self._shown = False

    def show(self, bundle: Bundle) -> None:
        """Publish the output, or update it."""
        self._publisher.publish(
            bundle, {}, transient={"display_id": self._display_id}, update=self._shown
        )
        self._shown = True

    def close(self) -> None:
        """Nothing is left to do."""


class TerminalSurface:
    """Lines of a terminal. Where it is one, a line that changes replaces itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._line_open = False

    def show(self, bundle: Bundle) -> None:
        """Write the plain text."""
        if not self._in_place:
            self._stream.write(bundle["text/plain"] + "\n")
            return
        self._stream.write(("\r\x1b[2K" if self._line_open else "") + bundle["text/plain"])
        self._stream.flush()
        self._line_open = True

    def close(self) -> None:
        """End the line."""
        if self._line_open:
            self._stream.write("\n")
            self._line_open = False
        self._stream.flush()


class UploadDisplay:
    """Shows an upload from its first byte to the version that came of it.

    Parameters
    ----------
    subject
        What is uploaded, for a person.
    clock
        Monotonic, in seconds.
    """

    def __init__(
        self, surface: Surface, subject: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._surface = surface
        self._subject = one_line(subject, 120)
        self._clock = clock
        self._stage: Stage | None = None
        self._stage_began = clock()
        self._stage_bytes = 0
        self._shown_at = float("-inf")
        self._done: list[str] = []

    def report(self, progress: Progress) -> None:
        """Take a step of progress; shown at once where the stage changes, else now and then."""
        now = self._clock()
        if progress.stage != self._stage:
            self._end_stage(now)
            self._stage, self._stage_began, self._stage_bytes = progress.stage, now, 0
        elif now - self._shown_at < _REFRESH_S:
            self._stage_bytes = max(self._stage_bytes, progress.done_bytes)
            return
        self._stage_bytes = max(self._stage_bytes, progress.done_bytes)
        self._shown_at = now
        if progress.stage != "ready":
            text = f"{self._subject}: {progress_line(progress)}"
            self._surface.show(_line([*self._done, text]))

    def finish(self, version: VersionDetail) -> None:
        """Show the version in place of the progress."""
        self._end_stage(self._clock())
        card = render_version(version, brief=True)
        steps = " · ".join(self._done)
        if steps:
            card = {
                "text/plain": f"{card['text/plain']}\n{steps}",
                "text/html": join([card["text/html"], note(escape(steps))]),
            }
        self._surface.show(card)
        self._surface.close()

    def end(self, text: str) -> None:
        """Show a line in place of the progress."""
        self._end_stage(self._clock())
        self._surface.show(_line([one_line(text, 300), *self._done]))
        self._surface.close()

    def abandon(self, outcome: str) -> None:
        """Show that the upload ended early: ``failed`` or ``cancelled``."""
        stage = f" while {_DOING[self._stage]}" if self._stage else ""
        self._surface.show(_line([*self._done, f"{self._subject}: {outcome}{stage}"]))
        self._surface.close()

    def _end_stage(self, now: float) -> None:
        if self._stage is None or self._stage not in _DONE:
            return
        duration = format_milliseconds((now - self._stage_began) * 1000)
        if self._stage in _NOTHING and not self._stage_bytes:
            self._done.append(_NOTHING[self._stage])
        else:
            amount = f" {format_bytes(self._stage_bytes)}" if self._stage_bytes else ""
            self._done.append(f"{_DONE[self._stage]}{amount} in {duration}")
        self._stage = None


def progress_line(progress: Progress) -> str:
    """Return one step of progress in words.

    Examples
    --------
    >>> from norman_jupyter.client.progress import Progress
    >>> progress_line(Progress(stage="sending", done_bytes=500, total_bytes=2000))
    'sending 500 B of 2.0 kB (25 %)'
    """
    if progress.total_bytes:
        share = min(100, 100 * progress.done_bytes // progress.total_bytes)
        done, total = format_bytes(progress.done_bytes), format_bytes(progress.total_bytes)
        return f"{_DOING[progress.stage]} {done} of {total} ({share} %)"
    return one_line(progress.message, 160) or f"{_DOING[progress.stage]} …"


def _line(parts: list[str]) -> Bundle:
    text = " · ".join(parts)
    return {"text/plain": text, "text/html": note(escape(text))}
