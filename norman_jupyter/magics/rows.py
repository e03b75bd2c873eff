"""A map on the screen: one output with a bar that ends as a line of what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from norman_jupyter.magics.live import Surface
from norman_jupyter.previews.markup import Bundle, escape, join, meter, note
from norman_jupyter.previews.text import format_milliseconds, one_line

if TYPE_CHECKING:
    from norman_jupyter.client.mapping import MapProgress

__all__ = ["NoDisplay", "RowsDisplay", "rows_line"]

_REFRESH_S = 0.25
_BAR_CELLS = 24
_TOLD_NAMES = 6


class RowsDisplay:
    """Shows how far a map is.

    Parameters
    ----------
    subject
        What is called, for a person.
    clock
        Monotonic, in seconds.
    """

    def __init__(
        self, surface: Surface, subject: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._surface = surface
        self._subject = one_line(subject, 120)
        self._clock = clock
        self._began = clock()
        self._shown_at = float("-inf")
        self._progress: MapProgress | None = None

    def report(self, progress: MapProgress) -> None:
        """Take how far it is; shown now and then."""
        self._progress = progress
        now = self._clock()
        if now - self._shown_at < _REFRESH_S:
            return
        self._shown_at = now
        line = f"{self._subject}: {rows_line(progress, now - self._began)}"
        if progress.total:
            share = progress.done / progress.total
            filled = round(share * _BAR_CELLS)
            bar = "█" * filled + "░" * (_BAR_CELLS - filled)
            markup = join([meter(share), note(escape(line))])
            self._surface.show({"text/plain": f"{bar} {line}", "text/html": markup})
        else:
            self._surface.show(_line(line))

    def finish(self, version: str | None = None, not_sent: tuple[str, ...] = ()) -> None:
        """Show what came of it in place of the bar.

        Parameters
        ----------
        not_sent
            Columns that are no inputs.
        """
        parts = [f"{version or self._subject}: {self._summary()}"]
        if self._progress is not None and self._progress.failed:
            parts.append("the column error says why")
        if not_sent:
            more = ", …" if len(not_sent) > _TOLD_NAMES else ""
            names = ", ".join(one_line(name, 40) for name in not_sent[:_TOLD_NAMES])
            parts.append(f"not sent: {names}{more}")
        self._end(parts)

    def abandon(self, outcome: str) -> None:
        """Show that it ended early: ``failed`` or ``interrupted``."""
        self._end([f"{self._subject}: {outcome}", *([self._summary()] if self._progress else [])])

    def _summary(self) -> str:
        progress, elapsed_s = self._progress, self._clock() - self._began
        if progress is None:
            return f"no rows in {format_milliseconds(elapsed_s * 1e3)}"
        return rows_line(progress, elapsed_s, ended=True)

    def _end(self, parts: list[str]) -> None:
        self._surface.show(_line(" · ".join(parts)))
        self._surface.close()


class NoDisplay:
    """Shows nothing, in the place of a `RowsDisplay`."""

    def report(self, progress: MapProgress) -> None:
        """Take how far it is."""

    def finish(self, version: str | None = None, not_sent: tuple[str, ...] = ()) -> None:
        """Take what came of it."""

    def abandon(self, outcome: str) -> None:
        """Take how it ended early."""


def rows_line(progress: MapProgress, elapsed_s: float, *, ended: bool = False) -> str:
    """Return in words how far a map is, how fast, and how long it will take.

    Examples
    --------
    >>> from norman_jupyter.client.mapping import MapProgress
    >>> rows_line(MapProgress(done=250, failed=1, total=1000), 0.5)
    '250 of 1,000 rows (25 %) · 1 failed · 500 rows/s · 1.50 s left'
    >>> rows_line(MapProgress(done=1000, failed=0, total=1000), 2.0, ended=True)
    '1,000 of 1,000 rows in 2.00 s · 500 rows/s'
    """
    done, total = progress.done, progress.total
    of = "" if total is None else f" of {total:,}"
    text = f"{done:,}{of} rows"
    if ended:
        text += f" in {format_milliseconds(elapsed_s * 1e3)}"
    elif total:
        text += f" ({100 * done // total} %)"
    parts = [text]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if done and elapsed_s > 0:
        speed = done / elapsed_s
        parts.append(f"{speed:,.3g} rows/s" if speed < 1000 else f"{speed:,.0f} rows/s")
        if total and not ended and done < total:
            parts.append(f"{format_milliseconds((total - done) / speed * 1e3)} left")
    return " · ".join(parts)


def _line(text: str) -> Bundle:
    return {"text/plain": text, "text/html": note(escape(text))}
