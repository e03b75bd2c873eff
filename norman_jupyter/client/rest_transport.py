"""Requests over HTTP: kept connections for blocking callers, httpx for asyncio and proxies."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from norman_jupyter.client.discovery import Target, is_loopback
from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest, Sink
from norman_jupyter.client.http_pool import DirectPool, NotConnected
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

    Bodies that stream, and all where a proxy stands between, are carried by httpx, which costs
    thrice as much per request. Closed by `close`. A forked child begins with pools of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._direct: dict[str, DirectPool | None] = {}
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
        if self._pid != os.getpid():
            self._forget()
        body = request.body
        if request.sink is None and not isinstance(body, Body):
            pool = self._pool(target)
            if pool is not None:
                return _send_directly(pool, target, request, body)
        import httpx

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
            pools: list[httpx.Client | DirectPool] = [*self._clients.values()]
            pools += [pool for pool in self._direct.values() if pool is not None]
            self._clients, self._direct = {}, {}
        for pool in pools:
            pool.close()

    def abort(self) -> None:
        """Close all connections, those too that other threads wait at: their requests fail."""
        with self._lock:
            pools = [pool for pool in self._direct.values() if pool is not None]
        for pool in pools:
            pool.abort()
        self.close()

    def _forget(self) -> None:
        """Leave a parent's connections to the parent."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._clients, self._direct = os.getpid(), {}, {}

    def _pool(self, target: Target) -> DirectPool | None:
        with self._lock:
            if target.url not in self._direct:
                self._direct[target.url] = _open_pool(target)
            return self._direct[target.url]

    def _client(self, target: Target) -> httpx.Client:
        import httpx

        with self._lock:
            client = self._clients.get(target.url)
            if client is None:
                client = self._clients[target.url] = httpx.Client(**_settings(target))
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


def _headers(target: Target, request: HttpRequest) -> dict[str, str]:
    headers = {**request.headers, "Accept": request.accept}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    if request.media_type is not None:
        headers["Content-Type"] = request.media_type
    if request.sink is not None:
        headers["Accept-Encoding"] = "identity"  # files of models rarely get smaller
    if isinstance(request.body, Body):
        headers["Content-Length"] = str(request.body.size_bytes)
    return headers


def _open_pool(target: Target) -> DirectPool | None:
    """Make a pool, or none where the environment's proxy is to be used: never before loopback."""
    if not is_loopback(target.url):
        from urllib.request import getproxies, proxy_bypass

        scheme, proxies = target.url.partition(":")[0], getproxies()
        host = urlsplit(target.url).hostname or ""
        if (scheme in proxies or "all" in proxies) and not proxy_bypass(host):
            return None
    try:
        return DirectPool(urlsplit(target.url), connect_timeout_s=_CONNECT_TIMEOUT_S)
    except ValueError as error:
        raise RequestInvalid(f"{target.url} is no address of a server: {error}") from error


def _send_directly(
    pool: DirectPool, target: Target, request: HttpRequest, body: bytes
) -> HttpAnswer:
    path = f"{urlsplit(target.url).path}{API_PATH}/{request.path}"
    try:
        answer = pool.send(
            request.method,
            path,
            body=body or None,
            headers=_headers(target, request),
            answer_timeout_s=request.answer_timeout_s,
        )
    except NotConnected as error:
        raise _unreachable(error, target) from error
    except TimeoutError as error:
        raise _too_slow(target, request) from error
    except (http.client.HTTPException, OSError) as error:
        if isinstance(error, http.client.InvalidURL):
            raise RequestInvalid(f"The request can't be sent to {target.url}: {error}") from error
        raise _cut_short(error, target, request) from error
    except ValueError as error:
        raise RequestInvalid(f"The request can't be sent to {target.url}: {error}") from error
    return HttpAnswer(
        url=f"{target.url}{API_PATH}/{request.path.partition('?')[0]}",
        status=answer.status,
        media_type=_media_type(answer.headers.get("Content-Type", "")),
        body=answer.body,
        location=answer.headers.get("Location", ""),
    )


def _arguments(target: Target, request: HttpRequest) -> dict[str, Any]:
    import httpx

    return {
        "method": request.method,
        "url": f"{target.url}{API_PATH}/{request.path}",
        "headers": _headers(target, request),
        "timeout": httpx.Timeout(
            request.answer_timeout_s,
            connect=_CONNECT_TIMEOUT_S,
            write=_WRITE_TIMEOUT_S,
        ),
    }


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _read(response: httpx.Response, body: bytes) -> HttpAnswer:
    return HttpAnswer(
        url=str(response.url.copy_with(query=None)),
        status=response.status_code,
        media_type=_media_type(response.headers.get("Content-Type", "")),
        body=body,
        location=response.headers.get("Location", ""),
    )


def _reraise(error: Exception, target: Target, request: HttpRequest) -> NoReturn:
    import httpx

    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise _unreachable(error, target) from error
    if isinstance(error, httpx.TimeoutException):
        raise _too_slow(target, request) from error
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        raise RequestInvalid(f"The request can't be sent to {target.url}: {error}") from error
    raise _cut_short(error, target, request) from error


def _unreachable(error: Exception, target: Target) -> ServerNotFound:
    return ServerNotFound(
        f"The server at {target.url} (from {target.source}) can't be reached: "
        f"{str(error) or 'no answer'}. Start it again with `norman serve` or `jupyter lab`, or "
        "set NORMAN_URL to another one."
    )


def _too_slow(target: Target, request: HttpRequest) -> TimedOut:
    return TimedOut(
        f"{target.url} didn't answer {request.method} {request.path.partition('?')[0]} within "
        f"{request.answer_timeout_s:g} s.",
        timeout_s=request.answer_timeout_s,
    )


def _cut_short(error: Exception, target: Target, request: HttpRequest) -> Interrupted:
    return Interrupted(
        f"The connection to {target.url} ended before the answer to {request.method} "
        f"{request.path.partition('?')[0]}: {str(error) or type(error).__name__}."
    )
