"""Requests over HTTP, blocking and asyncio: httpx, imported on first use."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

from norman_jupyter.client.discovery import Target, is_loopback
from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest, Sink
from norman_protocol.errors import Interrupted, RequestInvalid, ServerNotFound, TimedOut
from norman_protocol.rest import API_PATH

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncioHttp", "BlockingHttp"]

_CONNECT_TIMEOUT_S = 10.0
_WRITE_TIMEOUT_S = 60.0
_PIECE_BYTES = 1 << 20


class BlockingHttp:
    """Sends requests from any thread over one pool of connections for each server.

    Closed by `close`. A forked child begins with a pool of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, httpx.Client] = {}
        self._pid = os.getpid()

    def send(self, target: Target, request: HttpRequest) -> HttpAnswer:
        """Send a request and read its answer.

        Raises
        ------
        ServerNotFound
            No connection could be made: nothing was sent.
        Interrupted
            The connection ended before the answer.
        TimedOut
            The answer took longer than it may.
        """
        import httpx

        body = request.body
        content: Any = _sync_pieces(body) if isinstance(body, Body) else body
        try:
            arguments = _arguments(target, request)
            with self._client(target).stream(content=content, **arguments) as response:
                if request.sink is None or not response.is_success:
                    return _read(response, response.read())
                _drain(response, request.sink)
                return _read(response, b"")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _reraise(error, target, request)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _client(self, target: Target) -> httpx.Client:
        import httpx

        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._clients = os.getpid(), {}
            client = self._clients.get(target.url)
            if client is None:
                client = httpx.Client(**_settings(target))
                self._clients[target.url] = client
            return client


class AsyncioHttp:
    """Sends requests from any event loop, over one pool of connections for each loop and server."""

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[str, httpx.AsyncClient]
        ] = WeakKeyDictionary()

    async def send(self, target: Target, request: HttpRequest) -> HttpAnswer:
        """Send a request and read its answer, with the errors of `BlockingHttp.send`."""
        import httpx

        body = request.body
        content: Any = _async_pieces(body) if isinstance(body, Body) else body
        try:
            client = self._client(target)
            arguments = _arguments(target, request)
            async with client.stream(content=content, **arguments) as response:
                if request.sink is None or not response.is_success:
                    return _read(response, await response.aread())
                await _drain_async(response, request.sink)
                return _read(response, b"")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _reraise(error, target, request)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        for client in self._clients.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()

    def _client(self, target: Target) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            for other in [other for other in self._clients if other.is_closed()]:
                del self._clients[other]  # nobody closed its connections while it ran
        clients = self._clients.setdefault(loop, {})
        client = clients.get(target.url)
        if client is None:
            client = clients[target.url] = httpx.AsyncClient(**_settings(target))
        return client


def _sync_pieces(body: Body) -> Iterator[bytes]:
    for piece in body.open():
        yield piece
        if body.on_sent is not None:
            body.on_sent(len(piece))


async def _async_pieces(body: Body) -> AsyncIterator[bytes]:
    pieces = await asyncio.to_thread(body.open)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
        if body.on_sent is not None:
            body.on_sent(len(piece))


def _drain(response: httpx.Response, sink: Sink) -> None:
    sink.begin()
    sink.on_begun()
    for piece in response.iter_bytes(_PIECE_BYTES):
        sink.write(piece)
        sink.on_received(len(piece))


async def _drain_async(response: httpx.Response, sink: Sink) -> None:
    await asyncio.to_thread(sink.begin)
    sink.on_begun()
    async for piece in response.aiter_bytes(_PIECE_BYTES):
        await asyncio.to_thread(sink.write, piece)
        sink.on_received(len(piece))


def _settings(target: Target) -> dict[str, Any]:
    """Arguments of a client: a proxy never stands before loopback, and nothing is redirected."""
    settings: dict[str, Any] = {
        "trust_env": not is_loopback(target.url),
        "follow_redirects": False,
    }
    if target.url.startswith("http:"):
        # Loading the authorities takes 20 ms and serves nothing here; this context trusts none.
        settings["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return settings


def _arguments(target: Target, request: HttpRequest) -> dict[str, Any]:
    import httpx

    headers = {**request.headers, "Accept": request.accept}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    if request.media_type is not None:
        headers["Content-Type"] = request.media_type
    if request.sink is not None:
        headers["Accept-Encoding"] = "identity"  # files of models rarely get smaller
    if isinstance(request.body, Body):
        headers["Content-Length"] = str(request.body.size_bytes)
    return {
        "method": request.method,
        "url": f"{target.url}{API_PATH}/{request.path}",
        "headers": headers,
        "timeout": httpx.Timeout(
            request.answer_timeout_s,
            connect=_CONNECT_TIMEOUT_S,
            write=_WRITE_TIMEOUT_S,
        ),
    }


def _read(response: httpx.Response, body: bytes) -> HttpAnswer:
    media_type, _, _ = response.headers.get("Content-Type", "").partition(";")
    return HttpAnswer(
        url=str(response.url.copy_with(query=None)),
        status=response.status_code,
        media_type=media_type.strip().lower(),
        body=body,
        location=response.headers.get("Location", ""),
    )


def _reraise(error: Exception, target: Target, request: HttpRequest) -> NoReturn:
    import httpx

    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise ServerNotFound(
            f"The server at {target.url} (from {target.source}) can't be reached: "
            f"{str(error) or 'no answer'}. Start it again with `norman serve` or `jupyter lab`, or "
            "set NORMAN_URL to another one."
        ) from error
    if isinstance(error, httpx.TimeoutException):
        raise TimedOut(
            f"{target.url} didn't answer {request.method} {request.path.partition('?')[0]} within "
            f"{request.answer_timeout_s:g} s.",
            timeout_s=request.answer_timeout_s,
        ) from error
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        raise RequestInvalid(f"The request can't be sent to {target.url}: {error}") from error
    raise Interrupted(
        f"The connection to {target.url} ended before the answer to {request.method} "
        f"{request.path.partition('?')[0]}: {str(error) or type(error).__name__}."
    ) from error
