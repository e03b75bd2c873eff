"""Relays a request to the server that holds the home, and its answer back, as they stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import httpx
from tornado.iostream import StreamClosedError

from norman_protocol.errors import ExecutorUnavailable, Interrupted

if TYPE_CHECKING:
    from norman_server.api.base import Handler

__all__ = [
    "RELAY_PID",
    "RELAY_SECRET",
    "RELAY_USER",
    "Hold",
    "HolderGone",
    "HolderLink",
    "RelayedRequest",
    "interrupted",
    "pass_answer",
    "pass_headers",
    "pass_location",
    "read_relay_user",
    "relay_query",
]

RELAY_SECRET: Final = "X-Norman-Relay"  # noqa: S105 - the name of a header
RELAY_USER: Final = "X-Norman-Relay-User"
RELAY_PID: Final = "X-Norman-Relay-Pid"

_PIECES: Final = 4
_CONNECT_S: Final = 5.0
_CONNECTIONS: Final = 200
_OWN_REQUEST_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-xsrftoken",
    }
)
_OWN_ANSWER_HEADERS: Final = frozenset(
    {
        "connection",
        "content-security-policy",
        "date",
        "keep-alive",
        "server",
        "set-cookie",
        "transfer-encoding",
        "x-content-type-options",
    }
)


class HolderGone(Exception):
    """The holder ended. ``was_sent`` tells whether it may have acted on the request."""

    def __init__(self, *, was_sent: bool) -> None:
        super().__init__("the server that holds the home is gone")
        self.was_sent = was_sent


class HolderLink:
    """The way to the server that holds the home.

    Parameters
    ----------
    socket_path, base_path, secret
        As that server has told them.
    pid
        Of this server, for its status.
    holder_pid
        Of that server, for errors.
    """

    def __init__(
        self, *, socket_path: str, base_path: str, secret: str, pid: int, holder_pid: int
    ) -> None:
        self.base_path = base_path
        self._socket_path = socket_path
        self._holder_pid = holder_pid
        self._headers = {RELAY_SECRET: secret, RELAY_PID: str(pid)}
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=20)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket_path, limits=limits),
            base_url="http://localhost",
            timeout=httpx.Timeout(None, connect=_CONNECT_S, pool=_CONNECT_S),
            follow_redirects=False,
        )

    async def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        content: bytes | AsyncIterator[bytes] | None,
        user: str,
    ) -> httpx.Response:
        """Send a request for a user and return the answer with its body unread.

        Raises
        ------
        HolderGone
            The other server ended.
        """
        if self._client.is_closed:  # another request has found out
            raise HolderGone(was_sent=False)
        request = self._client.build_request(
            method,
            "/",
            headers=[*headers, *self._headers.items(), (RELAY_USER, quote(user))],
            content=content,
            # As it came: httpx would make another path of one with dots in it.
            extensions={"target": target.encode("ascii")},
        )
        try:
            return await self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise HolderGone(was_sent=False) from error
        except httpx.PoolTimeout as error:
            raise ExecutorUnavailable(
                "Too many requests are relayed already. Try again.", retry_after_s=1.0
            ) from error
        except httpx.TransportError as error:
            raise HolderGone(was_sent=True) from error

    def unreachable(self) -> ExecutorUnavailable:
        """Make the error for a holder that lives but can't be reached for long."""
        return ExecutorUnavailable(
            f"The Jupyter server that holds the models (process {self._holder_pid}) can't be "
            f"reached over {self._socket_path}, although it has not ended. End or restart that "
            "server: another one then takes over.",
            retry_after_s=1.0,
        )

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


class Hold:
    """How long one request is held while the holder can't be reached.

    Examples
    --------
    >>> times = iter([100.0, 129.0, 131.0])
    >>> hold = Hold(30.0, clock=lambda: next(times))
    >>> hold.is_over(), hold.is_over(), hold.is_over()  # from the first time on
    (False, False, True)
    """

    def __init__(self, limit_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._begun: float | None = None

    def is_over(self) -> bool:
        """Whether it was held for as long as it may be; the first question begins it."""
        now = self._clock()
        if self._begun is None:
            self._begun = now
        return now - self._begun >= self._limit_s


class RelayedRequest:
    """One request on its way through this server; its body streams where it may be large."""

    def __init__(self, handler: Handler, link: HolderLink, *, streams: bool) -> None:
        self._handler = handler
        self._link = link
        self._streams = streams
        self._has_left = False
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_PIECES)
        self._sending: asyncio.Task[httpx.Response] | None = None
        if streams:
            self._sending = asyncio.create_task(self._send(self._body()))

    @property
    def link(self) -> HolderLink:
        """Where it goes."""
        return self._link

    @property
    def streams(self) -> bool:
        """Whether the body goes through as it comes in."""
        return self._streams

    async def feed(self, piece: bytes) -> bool:
        """Pass a piece of the body on; False where the answer is there already."""
        return await self._put(piece)

    async def answer(self) -> httpx.Response:
        """Return the answer, its body unread, once the request's is whole.

        Raises
        ------
        HolderGone
            The other server ended before it answered.
        StreamClosedError
            The caller left.
        """
        if self._sending is None:
            body = bytes(self._handler.body) or None
            self._sending = asyncio.create_task(self._send(body))
        else:
            await self._put(None)
        try:
            return await self._sending
        except asyncio.CancelledError:
            if self._has_left:
                raise StreamClosedError from None
            raise

    def cancel(self) -> None:
        """Give up: the caller has left."""
        self._has_left = True
        if self._sending is not None:
            self._sending.cancel()

    async def _put(self, piece: bytes | None) -> bool:
        if self._sending is None or self._sending.done():
            return False
        putting = asyncio.ensure_future(self._pieces.put(piece))
        await asyncio.wait((putting, self._sending), return_when=asyncio.FIRST_COMPLETED)
        if putting.done():
            return True
        putting.cancel()
        return False

    async def _body(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def _send(self, content: bytes | AsyncIterator[bytes] | None) -> httpx.Response:
        request = self._handler.request
        headers = pass_headers(request.headers.get_all(), _OWN_REQUEST_HEADERS)
        if self._streams and "Content-Length" in request.headers:
            headers.append(("Content-Length", request.headers["Content-Length"]))
        tail = request.path.removeprefix(self._handler.base_url)
        query = relay_query(request.query)
        target = f"{self._link.base_path}{tail}" + (f"?{query}" if query else "")
        method = request.method or "GET"
        return await self._link.send(method, target, headers, content, self._handler.user)


async def pass_answer(handler: Handler, response: httpx.Response, base_path: str) -> None:
    """Give an answer to the caller as it comes in.

    Parameters
    ----------
    base_path
        Of the server that gave it.

    Raises
    ------
    Interrupted
        It broke off before its first byte was passed on; later the connection just ends.
    """
    handler.set_status(response.status_code, response.reason_phrase or None)
    for name, value in pass_headers(response.headers.items(), _OWN_ANSWER_HEADERS):
        if name.lower() == "location":
            value = pass_location(value, base_path, handler.base_url)
        handler.set_header(name, value)
    begun = False
    try:
        async for piece in response.aiter_raw():
            handler.write(piece)
            await handler.flush()
            begun = True
    except httpx.TransportError as error:
        if not begun:
            raise interrupted() from error
        # Nothing else tells the caller that this is not the whole.
        stream = handler.detach()
        stream.close()
        return
    finally:
        await response.aclose()
    # The content type is the holder's, which Jupyter's own finish would replace.
    await handler.finish(set_content_type=response.headers.get("Content-Type"))


def interrupted() -> Interrupted:
    """Make the error for a request whose outcome nobody knows."""
    return Interrupted(
        "The server that holds the models ended in the middle of this request, so whether it was "
        "done is unknown. Another one takes over: ask again."
    )


def pass_headers(headers: Iterable[tuple[str, str]], own: frozenset[str]) -> list[tuple[str, str]]:
    """Return the headers that go through: not those of one connection, nor those of the relay.

    Examples
    --------
    >>> pass_headers([("X-Norman-Relay", "s"), ("Cookie", "c"), ("Accept", "*/*")],
    ...              frozenset({"cookie"}))
    [('Accept', '*/*')]
    """
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in own and not name.lower().startswith("x-norman-")
    ]


def pass_location(location: str, base_path: str, own_base_path: str) -> str:
    """Return where something is here that stands elsewhere in the other server.

    Examples
    --------
    >>> pass_location("/one/norman/api/v1/invocations/7", "/one/", "/user/ann/")
    '/user/ann/norman/api/v1/invocations/7'
    """
    if not location.startswith(base_path):
        return location
    return own_base_path + location.removeprefix(base_path)


def relay_query(query: str) -> str:
    """Return a query without the token that may be in it: that is for this server alone.

    Examples
    --------
    >>> relay_query("limit=5&token=secret&search=a%20b")
    'limit=5&search=a+b'
    """
    kept = [(name, text) for name, text in parse_qsl(query, keep_blank_values=True)]
    return urlencode([(name, text) for name, text in kept if name != "token"])


def read_relay_user(headers: Mapping[str, str]) -> str:
    """Return for whom another server speaks."""
    return unquote(headers.get(RELAY_USER, ""))
