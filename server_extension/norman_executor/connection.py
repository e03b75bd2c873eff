"""A socket that speaks messages, driven by callbacks of the event loop.

Callbacks instead of streams and tasks: a call passes four sockets, and each task switch saved
there shows in its latency. Reading straight from the socket also leaves room for descriptors
(``recvmsg``), which asyncio's transports drop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from norman_protocol.errors import NormanError, ProtocolViolation
from norman_protocol.frames import Buffer, FrameDecoder, FrameLimits, buffer_bytes, drop_bytes
from norman_protocol.messages import Message, decode_message, encode_message, failure_from_error

__all__ = ["Connection"]

_log = logging.getLogger(__name__)

_READS_PER_WAKE = 16
_IOV_MAX = 512
_BACKLOG_HIGH_BYTES = 64 << 20
_SOCKET_BUFFER_BYTES = 1 << 20


class Connection:
    """One connected, non-blocking stream socket.

    Parameters
    ----------
    stream
        The socket; the connection closes it.
    limits
        Bounds on what may be received.
    on_message
        Called with each message, in order. An exception of `NormanError` ends the connection.
    on_closed
        Called once, when the peer is gone or broke the protocol, or after `close`.

    Notes
    -----
    Not thread-safe: everything happens on the loop's thread. While more than 64 MiB wait to be
    sent, nothing more is read: a peer that doesn't take its answers is not given new ones.
    """

    def __init__(
        self,
        stream: socket.socket,
        *,
        limits: FrameLimits,
        on_message: Callable[[Message], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = stream
        self._socket.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER_BYTES)
        self._decoder = FrameDecoder(limits)
        self._on_message = on_message
        self._on_closed = on_closed
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._reading = False
        self.closed = False

    def widen(self, limits: FrameLimits) -> None:
        """Hold the peer to other limits from the next frame on."""
        self._decoder.limits = limits

    def start(self) -> None:
        """Begin to receive."""
        self._resume_reading()

    def send(self, message: Message) -> None:
        """Send a message, at once as far as the socket takes it. Does nothing once closed.

        Raises
        ------
        RequestInvalid
            The message can't be written as JSON; nothing was sent.
        """
        if self.closed:
            return
        rest: Sequence[Buffer] = encode_message(message)
        if not self._backlog:
            rest = self._try_send(rest)
            if not rest:
                return
            if not self.closed:
                self._loop.add_writer(self._socket.fileno(), self._writable)
        self._backlog.extend(memoryview(piece).cast("B") for piece in rest)
        self._backlog_bytes += sum(map(buffer_bytes, rest))
        if self._backlog_bytes > _BACKLOG_HIGH_BYTES:
            self._pause_reading()

    def close(self, error: NormanError | None = None) -> None:
        """Close, after trying to say why."""
        if self.closed:
            return
        if error is not None:
            self.send(failure_from_error("", error))
        self.closed = True
        self._pause_reading()
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._backlog.clear()
        self._on_closed()

    def _resume_reading(self) -> None:
        if not self._reading and not self.closed:
            self._loop.add_reader(self._socket.fileno(), self._readable)
            self._reading = True

    def _pause_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._socket.fileno())
            self._reading = False

    def _readable(self) -> None:
        try:
            for _ in range(_READS_PER_WAKE):
                if not self._receive_once():
                    return
        except NormanError as error:
            _log.warning("connection ended: %s", error.code)
            self.close(error)

    def _receive_once(self) -> bool:
        """Receive and dispatch once; say whether more may be waiting."""
        view = self._decoder.receive_buffer()
        room = view.nbytes
        try:
            received = self._socket.recv_into(view)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.close()
            return False
        finally:
            view.release()
        if not received:
            if not self._decoder.idle:
                raise ProtocolViolation("The connection ended inside a frame.")
            self.close()
            return False
        self._decoder.received(received)
        for frame in self._decoder.frames():
            self._on_message(decode_message(frame))
            if self.closed:
                return False
        return received == room and self._reading

    def _try_send(self, pieces: Sequence[Buffer]) -> Sequence[Buffer]:
        """Send what the socket takes; return the rest."""
        while pieces:
            try:
                sent = self._socket.sendmsg(pieces[:_IOV_MAX])
            except (BlockingIOError, InterruptedError):
                return pieces
            except OSError:
                # The reader learns of the peer's end too; closing here could re-enter a sender.
                self._loop.call_soon(self.close)
                return []
            pieces = drop_bytes(pieces, sent)
        return []

    def _writable(self) -> None:
        rest = self._try_send(list(self._backlog))
        self._backlog = deque(memoryview(piece).cast("B") for piece in rest)
        self._backlog_bytes = sum(map(buffer_bytes, rest))
        if not rest and not self.closed:
            self._loop.remove_writer(self._socket.fileno())
        if self._backlog_bytes <= _BACKLOG_HIGH_BYTES:
            self._resume_reading()
