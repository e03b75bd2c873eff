"""Carries out the steps of an operation on the running loop, with its own connections."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, TypeVar

from norman_jupyter.client.effects import Effect, Exchange, Pause, Read, Send, Steps
from norman_jupyter.client.local_asyncio import AsyncioLinks
from norman_jupyter.client.rest_transport import AsyncioHttp
from norman_jupyter.client.threaded_http import ThreadedHttp

__all__ = ["AsyncioDriver"]

T = TypeVar("T")


class AsyncioDriver:
    """Runs operations for ``await``; each event loop that it is used from has its connections.

    Parameters
    ----------
    http
        Sends requests over HTTP in another way than `AsyncioHttp`.
    """

    def __init__(self, http: ThreadedHttp | None = None) -> None:
        self._links = AsyncioLinks()
        self._http: AsyncioHttp | ThreadedHttp = http or AsyncioHttp()

    async def run(self, steps: Steps[T]) -> T:
        """Return what an operation returns."""
        try:
            effect = next(steps)
            while True:
                try:
                    outcome = await self._perform(effect)
                except Exception as error:  # noqa: BLE001 - the operation decides, whatever it is
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as end:
            answer: T = end.value
            return answer
        finally:
            steps.close()

    async def close(self) -> None:
        """Close the connections of the running loop. Harmless when repeated."""
        await self._links.close()
        await self._http.close()

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Exchange):
            return await self._links.exchange(effect)
        if isinstance(effect, Send):
            return await self._http.send(effect.target, effect.request)
        if isinstance(effect, Pause):
            await asyncio.sleep(effect.seconds)
            return None
        if isinstance(effect, Read):
            return await _read(effect)
        return await asyncio.to_thread(effect.run)


async def _read(effect: Read) -> Any:
    """Read a piece: a coroutine on this loop, which its stream belongs to, else in a thread."""
    method = effect.stream.read
    sizes = () if effect.size_bytes is None else (effect.size_bytes,)
    if inspect.iscoroutinefunction(method):
        return await method(*sizes)
    piece = await asyncio.to_thread(method, *sizes)
    return await piece if inspect.isawaitable(piece) else piece
