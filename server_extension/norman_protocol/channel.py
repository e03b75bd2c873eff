"""A child process's end of its socket pair: whole messages in, whole messages out, blocking."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Sequence

from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import Buffer, Frame, FrameDecoder, FrameLimits
from norman_protocol.messages import Message, decode_message

__all__ = ["Channel", "send_pieces"]

_IOV_MAX = os.sysconf("SC_IOV_MAX") if "SC_IOV_MAX" in os.sysconf_names else 16


class Channel:
    """Messages over one connected stream socket. Not thread-safe: the main thread owns it."""

    def __init__(self, connection: socket.socket, limits: FrameLimits | None = None) -> None:
        self._connection = connection
        self._limits = limits or FrameLimits()
        self._decoder = FrameDecoder(self._limits)
        self._frames: deque[Frame] = deque()
        self._open = True

    @property
    def limits(self) -> FrameLimits:
        """The bounds of one frame, in both directions."""
        return self._limits

    def close(self) -> None:
        """Let go of the socket; `receive` then answers None and `send` does nothing."""
        self._open = False
        self._connection.close()

    def peer_gone(self) -> bool:
        """Whether the other end is closed already (without reading what it sent before)."""
        poll = select.poll()
        poll.register(self._connection, 0)  # POLLHUP and POLLERR are always reported
        return bool(poll.poll(0))

    def receive(self) -> Message | None:
        """Wait for the next message; None when the other end is closed.

        Raises
        ------
        ProtocolViolation
            The bytes are no message. The connection is of no further use.
        """
        while not self._frames:
            if not self._open or not self._receive_some():
                return None
        return decode_message(self._frames.popleft())

    def _receive_some(self) -> bool:
        target = self._decoder.receive_buffer()
        try:
            size_bytes = self._connection.recv_into(target)
        except ConnectionResetError:
            return False
        finally:
            target.release()  # the decoder's buffer can't grow while it is viewed
        if not size_bytes:
            if not self._decoder.idle:
                raise ProtocolViolation("The executor's end closed in the middle of a frame.")
            return False
        self._decoder.received(size_bytes)
        self._frames.extend(self._decoder.frames())
        return True

    def send(self, pieces: Sequence[Buffer]) -> bool:
        """Send one encoded message; False when the other end is closed."""
        if not self._open:
            return False
        try:
            send_pieces(self._connection, pieces)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


def send_pieces(connection: socket.socket, pieces: Sequence[Buffer]) -> None:
    """Send all the pieces in order, in as few system calls as the kernel allows."""
    first = 0
    while first < len(pieces):
        batch = pieces[first : first + _IOV_MAX]
        sent = connection.sendmsg(batch)
        for piece in batch:
            size_bytes = piece.nbytes if isinstance(piece, memoryview) else len(piece)
            if sent < size_bytes:
                # A partial write: the rest of this piece goes out whole, then the batches go on.
                connection.sendall(memoryview(piece).cast("B")[sent:])
                first += 1
                break
            sent -= size_bytes
            first += 1
