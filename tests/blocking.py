"""A detector for a blocked event loop: asyncio's own, made to fail a test."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BlockedLoop", "watch_loop"]

_SLOW_S = 0.2
_TICK_S = 0.01


class BlockedLoop(AssertionError):
    """One step of a coroutine or a callback held the loop up."""


class _Collector(logging.Handler):
    """Gathers what asyncio tells of slow steps while the process as a whole could run.

    Where the machine gave the process no time, or the garbage collector held everything up, a
    thread that wakes often stood still as well: that is not the step's fault.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        self._woken: list[float] = []
        self._ended = threading.Event()
        self._waking = threading.Thread(target=self._wake, daemon=True)
        self._waking.start()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        step = re.match(r"Executing .* took ([0-9.]+) seconds$", text, flags=re.DOTALL)
        if step is not None and self._could_run(float(step[1])):
            self.found.append(text)

    def close(self) -> None:
        self._ended.set()
        self._waking.join()
        super().close()

    def _wake(self) -> None:
        while not self._ended.wait(_TICK_S):
            self._woken.append(time.monotonic())

    def _could_run(self, seconds: float) -> bool:
        since = time.monotonic() - seconds
        woken = sum(at >= since for at in self._woken)
        return woken >= seconds / _TICK_S / 2


@contextmanager
def watch_loop(loop: asyncio.AbstractEventLoop, *, slow_s: float = _SLOW_S) -> Iterator[None]:
    """Fail at the end if one step on the loop took longer than ``slow_s``."""
    logger, collector = logging.getLogger("asyncio"), _Collector()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = slow_s
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)
        collector.close()
        debug, loop.slow_callback_duration = before
        loop.set_debug(debug)
    if collector.found:
        raise BlockedLoop("\n".join(collector.found))
