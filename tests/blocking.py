"""A detector for a blocked event loop: asyncio's own, made to fail a test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BlockedLoop", "watch_loop"]

_SLOW_S = 0.2


class BlockedLoop(AssertionError):
    """One step of a coroutine or a callback held the loop up."""


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Executing ") and " took " in text:
            self.found.append(text)


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
        debug, loop.slow_callback_duration = before
        loop.set_debug(debug)
    if collector.found:
        raise BlockedLoop("\n".join(collector.found))
