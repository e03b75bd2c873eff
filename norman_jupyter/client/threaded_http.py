"""Many small requests at once from a loop that is ours alone: each on a thread, over http.client.

httpx carries asyncio elsewhere, and costs five times the processor time of a small call.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import HttpAnswer, HttpRequest
from norman_jupyter.client.rest_transport import BlockingHttp

__all__ = ["ThreadedHttp"]


class ThreadedHttp:
    """Sends requests for one loop, with the errors of `BlockingHttp.send`.

    Parameters
    ----------
    at_once
        How many requests may be under way.
    """

    def __init__(self, at_once: int) -> None:
        self._http = BlockingHttp()
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="norman-map-http")

    async def send(self, target: Target, request: HttpRequest) -> HttpAnswer:
        """Send a request and read its answer. When cancelled, it ends at `close` at the latest."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._http.send, target, request)

    async def close(self) -> None:
        """End the requests that are under way, which takes their calls back, and the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.abort()
