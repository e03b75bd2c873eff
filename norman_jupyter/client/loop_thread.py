"""A coroutine beside a blocking caller, who waits for it and may be interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

__all__ = ["LoopThread"]


class LoopThread:
    """One coroutine on a loop in a thread of its own; it may be cancelled from another.

    Parameters
    ----------
    make
        Makes the coroutine, on that thread.
    """

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make = make
        self._ended = threading.Event()
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="norman-map", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._begun.wait()

    def wait(self, seconds: float) -> bool:
        """Whether it ended, within so many seconds."""
        return self._ended.wait(seconds)

    def cancel(self) -> None:
        """Cancel, and wait until it is over."""
        self._begun.wait()
        if self._loop is not None and self._task is not None and not self._ended.is_set():
            with suppress(RuntimeError):  # it ended at this moment
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def result(self) -> Any:
        """Return what the coroutine returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error
        finally:
            self._begun.set()
            self._ended.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        self._value = await self._make()
