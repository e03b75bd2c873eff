"""One connection to the executor: messages out, answers in by their id, on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable
from typing import cast

from norman_protocol.errors import ExecutorUnavailable, NormanError, ProtocolViolation
from norman_protocol.frames import Buffer, FrameDecoder, FrameLimits
from norman_protocol.messages import Failure, Message, decode_message, encode_message

__all__ = ["Connection"]

_log = logging.getLogger(__name__)

_JOINED_BYTES = 256 * 1024
"""Frames up to this size are sent in one piece; one system call costs more than the copy."""

_CHUNK_BYTES = 1 << 20


class Connection(asyncio.BufferedProtocol):
    """Sends messages and hands each answer to who asked.

    Belongs to one event loop. Make one with `open_socket` or `open_path`, end it with `close`.

    Parameters
    ----------
    limits
        Bounds for what the peer sends.
    lost
        Makes the error for requests that were unanswered when the connection ended.
    on_event
        Takes messages that answer no request.
    """

    def __init__(
        self,
        *,
        limits: FrameLimits | None = None,
        lost: Callable[[], NormanError] | None = None,
        on_event: Callable[[Message], None] | None = None,
    ) -> None:
        self._decoder = FrameDecoder(limits)
        self._lost = lost or _unavailable
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None
        self._pending: dict[str, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._sending = asyncio.Lock()
        self._senders: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open_socket(
        cls,
        connected: socket.socket,
        *,
        limits: FrameLimits | None = None,
        lost: Callable[[], NormanError] | None = None,
        on_event: Callable[[Message], None] | None = None,
    ) -> Connection:
        """Take over a connected socket."""
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: cls(limits=limits, lost=lost, on_event=on_event), sock=connected
        )
        return protocol

    @classmethod
    async def open_path(
        cls,
        path: str,
        *,
        limits: FrameLimits | None = None,
        lost: Callable[[], NormanError] | None = None,
    ) -> Connection:
        """Connect to a Unix socket.

        Raises
        ------
        OSError
            Nobody listens there.
        """
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(lambda: cls(limits=limits, lost=lost), path)
        return protocol

    @property
    def is_open(self) -> bool:
        """True until either side has ended the connection."""
        return not self._closed.done()

    @property
    def waiting(self) -> int:
        """Requests without an answer so far."""
        return len(self._pending)

    def new_id(self) -> str:
        """Return an id that is unique on this connection."""
        return str(next(self._numbers))

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.shield(self._closed)

    def close(self) -> None:
        """End the connection; unanswered requests get the error of a lost one."""
        if self._transport is not None:
            self._transport.abort()

    async def request(self, request_id: str, message: Message) -> Message:
        """Send a message and return the answer that carries its id.

        The empty id is that of the greeting: a message without an id answers it.

        Raises
        ------
        NormanError
            What the peer reported, or the error of a lost connection.
        """
        if not self.is_open:
            raise _unavailable()
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answer
        try:
            await self.send(message)
            received = await answer
        finally:
            self._pending.pop(request_id, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen here, also where sending itself failed
        if isinstance(received, Failure):
            raise received.to_error()
        return received

    async def send(self, message: Message) -> None:
        """Send a message that nobody answers; returns when it is with the kernel or queued.

        Raises
        ------
        NormanError
            The connection has ended.
        """
        pieces = encode_message(message)
        if not self._sending.locked() and self._writable.is_set():
            size_bytes = sum(map(len, map(_flat, pieces)))
            if size_bytes <= _JOINED_BYTES:
                self._write(b"".join(pieces) if len(pieces) > 1 else pieces[0])
                return
        # A task of its own: a caller that is cancelled must not leave half a frame behind.
        sending = asyncio.create_task(self._send_in_turn(pieces))
        self._senders.add(sending)
        sending.add_done_callback(self._sent)
        await asyncio.shield(sending)

    async def _send_in_turn(self, pieces: list[Buffer]) -> None:
        async with self._sending:
            for piece in pieces:
                view = _flat(piece)
                for start in range(0, len(view), _CHUNK_BYTES):
                    await self._writable.wait()
                    self._write(view[start : start + _CHUNK_BYTES])

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._senders.discard(sending)
        if not sending.cancelled():
            sending.exception()  # whoever still waits sees it through the shield

    def _write(self, data: Buffer) -> None:
        if self._transport is None or not self.is_open:
            raise self._lost()
        self._transport.write(data)

    # --- called by the event loop -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Say where the next bytes go."""
        return self._decoder.receive_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes that were received."""
        self._decoder.received(nbytes)
        try:
            for frame in self._decoder.frames():
                self._dispatch(decode_message(frame))
        except NormanError as error:
            _log.error("The executor's connection is of no further use: %s", error)
            self.close()

    def eof_received(self) -> bool:
        """Close this side too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is unanswered."""
        if exc is not None:
            _log.debug("The executor's connection ended: %s", exc)
        if not self._closed.done():
            self._closed.set_result(None)
        self._writable.set()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(self._lost())

    def pause_writing(self) -> None:
        """Hold back: the peer reads slower than we send."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()

    def _dispatch(self, message: Message) -> None:
        request_id: str = getattr(message, "id", "")
        answer = self._pending.get(request_id)
        if answer is not None:
            if not answer.done():
                answer.set_result(message)
        elif not request_id:
            self._take_event(message)
        # Else the answer to a request that was given up meanwhile.

    def _take_event(self, message: Message) -> None:
        if isinstance(message, Failure):  # why the peer ends the connection
            error = message.to_error()
            self._lost = lambda: error
            self.close()
            return
        if self._on_event is None:
            raise ProtocolViolation(f"Nobody waits for a {message.TYPE} message.")
        self._on_event(message)


def _flat(piece: Buffer) -> memoryview:
    return memoryview(piece).cast("B")


def _unavailable() -> NormanError:
    return ExecutorUnavailable(
        "The executor is not reachable; it is being restarted. Try again in a moment.",
        retry_after_s=1.0,
    )
