"""The fast path for asyncio: one connection for each loop carries many calls at once.

A call of more than 1 MiB gets a connection of its own for as long as it lasts: no small call waits
behind it, and a cancelled one can end in the middle of its frame without harm to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import Exchange
from norman_jupyter.client.local import (
    CONNECT_TIMEOUT_S,
    LinkUnavailable,
    cancel_frame,
    check_welcome,
    connection_error,
    ended_early,
    hello_frame,
    took_too_long,
)
from norman_protocol.errors import NormanError
from norman_protocol.frames import Buffer, FrameDecoder
from norman_protocol.messages import Message, decode_message, encode_message

__all__ = ["AsyncioLinks"]

_SHARED_LIMIT_BYTES = 1 << 20
_CHUNK_BYTES = 256 * 1024


class AsyncioLinks:
    """Data connections of every loop that the client is used from."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopLinks] = WeakKeyDictionary()

    async def exchange(self, call: Exchange) -> Message:
        """Send the call and wait for its answer, with the errors of `BlockingLinks.exchange`."""
        loop = asyncio.get_running_loop()
        links = self._loops.get(loop)
        if links is None:
            for other in [other for other in self._loops if other.is_closed()]:
                del self._loops[other]  # nobody closed its connections while it ran
            links = self._loops[loop] = _LoopLinks()
        return await links.exchange(call)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        links = self._loops.pop(asyncio.get_running_loop(), None)
        if links is not None:
            await links.close()


class _LoopLinks:
    """The connections of one loop."""

    def __init__(self) -> None:
        self._shared: dict[Target, _Link] = {}
        self._connecting = asyncio.Lock()
        self._open: set[_Link] = set()

    async def exchange(self, call: Exchange) -> Message:
        pieces = encode_message(call.message)
        size_bytes = sum(memoryview(piece).nbytes for piece in pieces)
        if size_bytes <= _SHARED_LIMIT_BYTES:
            return await self._exchange_shared(call, b"".join(pieces))
        link = await self._connect(call.target)
        try:
            return await link.exchange(call.message.id, pieces, call.wait_s)
        finally:
            link.abort()

    async def _exchange_shared(self, call: Exchange, frame: bytes) -> Message:
        link = self._shared.get(call.target)
        if link is not None and link.usable:
            try:
                return await link.exchange(call.message.id, [frame], call.wait_s)
            except LinkUnavailable:
                link.abort()  # it ended while it lay idle; nothing was taken
        link = await self._share(call.target)
        return await link.exchange(call.message.id, [frame], call.wait_s)

    async def close(self) -> None:
        links, self._open, self._shared = self._open, set(), {}
        for link in links:
            link.abort()
        for link in links:
            await link.gone.wait()

    async def _share(self, target: Target) -> _Link:
        async with self._connecting:  # many first calls at once make one connection
            link = self._shared.get(target)
            if link is None or not link.usable:
                link = await self._connect(target)
                self._shared = {target: link}
            return link

    async def _connect(self, target: Target) -> _Link:
        if target.socket_path is None:
            raise LinkUnavailable("The server has no data socket.")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, link = await loop.create_unix_connection(_Link, target.socket_path)
        except (OSError, TimeoutError) as error:
            raise LinkUnavailable(f"{target.socket_path}: {error}") from error
        self._open.add(link)
        link.on_gone = lambda: self._open.discard(link)
        try:
            check_welcome(await link.greet(hello_frame(target)), target)
        except NormanError as error:
            link.abort()
            raise LinkUnavailable(f"{target.socket_path}: it gave no welcome") from error
        except BaseException:
            link.abort()
            raise
        return link


class _Link(asyncio.BufferedProtocol):
    """One connection; bytes are received straight into where they belong."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._decoder = FrameDecoder()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._welcome: asyncio.Future[Message] = self._loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self.on_gone: Callable[[], None] = _nothing
        self.gone = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether a call may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def greet(self, hello: Sequence[Buffer]) -> Message:
        """Send Hello and return what answers it."""
        if not await self._write(hello):
            raise ended_early()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._welcome
        except TimeoutError:
            raise took_too_long(CONNECT_TIMEOUT_S) from None

    async def exchange(self, request_id: str, pieces: Sequence[Buffer], wait_s: float) -> Message:
        """Send the frame and return the answer to the id."""
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._waiting[request_id] = answer
        sent = False
        try:
            async with asyncio.timeout(wait_s):
                sent = await self._write(pieces)
                if not sent and not answer.done():
                    raise LinkUnavailable("The executor ended the connection.")
                return await answer
        except TimeoutError:
            self._take_back(request_id, sent)
            raise took_too_long(wait_s) from None
        except asyncio.CancelledError:
            self._take_back(request_id, sent)
            raise
        finally:
            self._waiting.pop(request_id, None)

    def abort(self) -> None:
        """Close without waiting for what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection that the loop made."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream is needed")
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Tell the loop where the next bytes belong."""
        return self._decoder.receive_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many bytes, which the loop received."""
        self._decoder.received(nbytes)
        try:
            for frame in self._decoder.frames():
                self._take(decode_message(frame))
        except NormanError as error:
            self._end(error)
            self.abort()

    def pause_writing(self) -> None:
        """Hold back: too much is unsent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on: there is room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - both are an end
        """Answer all that waits: the connection is over."""
        self._end(ended_early())
        self._writable.set()
        self.gone.set()
        self.on_gone()

    def _take(self, message: Message) -> None:
        if not self._welcome.done():
            self._welcome.set_result(message)
            return
        error = connection_error(message)
        if error is not None:
            self._end(error)
            return
        answer = self._waiting.get(getattr(message, "id", ""))
        if answer is not None and not answer.done():  # else its call was taken back
            answer.set_result(message)

    def _end(self, error: NormanError) -> None:
        """Answer everything that waits with the error."""
        if not self._welcome.done():
            self._welcome.set_exception(error)
            self._welcome.exception()  # nobody may be left to look at it
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()

    def _take_back(self, request_id: str, sent: bool) -> None:
        # Inside an unfinished frame nothing can be said. Such a frame has a connection for
        # itself, whose owner aborts it, and that takes the call back too.
        if sent and self._transport is not None and self.usable:
            self._transport.write(cancel_frame(request_id))

    async def _write(self, pieces: Sequence[Buffer]) -> bool:
        """Hand all bytes to the loop; False where the connection ended before it had them all."""
        for piece in pieces:
            view = memoryview(piece).cast("B")
            for start in range(0, view.nbytes, _CHUNK_BYTES):
                await self._writable.wait()
                if self._transport is None or not self.usable:
                    return False
                self._transport.write(view[start : start + _CHUNK_BYTES])
        return self.usable


def _nothing() -> None:
    """Do nothing: the connection has no owner yet."""
