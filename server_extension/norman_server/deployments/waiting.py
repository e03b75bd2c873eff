"""Waiting for a version to change, without asking the database again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Waiters"]


class Waiters:
    """Those who wait for something to happen to a version."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    @contextmanager
    def watch(self, version_id: str) -> Iterator[asyncio.Future[None]]:
        """Give a future that is done at the version's next change from here on."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(version_id, set())
        waiting.add(change)
        try:
            yield change
        finally:
            waiting.discard(change)
            if not waiting and self._waiting.get(version_id) is waiting:
                del self._waiting[version_id]

    def announce(self, version_id: str) -> None:
        """Wake who waits for this version."""
        for change in self._waiting.pop(version_id, ()):
            if not change.done():
                change.set_result(None)
