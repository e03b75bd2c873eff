"""The one place where asynchronous services cross to threads for synchronous storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from norman_protocol.errors import InternalError

__all__ = ["ThreadPool"]

T = TypeVar("T")


class ThreadPool:
    """A few named threads that run one thing after the other each.

    Work that was begun is finished even when the task that awaits it is cancelled: a transaction
    is never cut in two.
    """

    def __init__(self, name: str, size: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix=f"norman-{name}")
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and await what it returns.

        Raises
        ------
        InternalError
            The pool is closed: the server stops.
        """
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def run_now(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and block until it is done; never call it on an event loop."""
        self._check_open()
        return self._pool.submit(work).result()

    def close(self) -> None:
        """Finish what was given and end the threads. Closing twice is fine."""
        self._closed = True
        self._pool.shutdown(wait=True)

    def _check_open(self) -> None:
        if self._closed:
            raise InternalError("The server is stopping; its storage is closed.")
