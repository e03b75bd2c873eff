"""The fast path for blocking callers: plain sockets, no threads, a few system calls for each call.

Linux and macOS keep time limits of a socket themselves (SO_RCVTIMEO), which spares the poll(2)
before each receive that ``socket.settimeout`` costs. They only mark the ticks at which the call's
own limit is looked at.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import Exchange
from norman_jupyter.client.local import (
    CONNECT_TIMEOUT_S,
    SOCKET_BUFFER_BYTES,
    LinkUnavailable,
    check_welcome,
    connection_error,
    ended_early,
    hello_frame,
    took_too_long,
)
from norman_protocol.errors import NormanError
from norman_protocol.frames import Buffer, FrameDecoder, drop_bytes
from norman_protocol.messages import Message, decode_message, encode_message

__all__ = ["BlockingLinks"]

_TICK_S = 1
_IOV_MAX = 512
_TIMEVAL = struct.Struct("@ll")


class _SendFailed(Exception):
    """The peer was gone before it had the whole request: it can't have acted on it."""

    def __init__(self, reason: NormanError | None) -> None:
        super().__init__()
        self.reason = reason


class BlockingLinks:
    """Data connections, as many as there are calls at the same time; idle ones are used again.

    Safe to use from several threads. A forked child begins with none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[_Link] = deque()
        self._target: Target | None = None
        self._pid = os.getpid()
        self._closed = False

    def exchange(self, call: Exchange) -> Message:
        """Send the call and wait for its answer.

        Raises
        ------
        LinkUnavailable
            There is no connection to be had; the call was not sent.
        Interrupted
            The executor ended after it had the call.
        TimedOut
            It kept no deadline.
        NormanError
            What the executor said before it ended the connection.
        """
        if self._pid != os.getpid() or self._target != call.target:
            self._begin(call.target)
        idle = self._idle
        pieces = encode_message(call.message)
        while True:
            try:
                link, fresh = idle.pop(), False
            except IndexError:
                link, fresh = _Link(call.target), True
            try:
                answer = link.exchange(call.message.id, pieces, call.wait_s)
            except _SendFailed as error:
                link.close()
                if not fresh:
                    continue  # it ended while it lay idle
                if error.reason is not None:
                    raise error.reason from None
                raise LinkUnavailable("The executor ended the connection at once.") from None
            except BaseException:  # a KeyboardInterrupt among them
                link.close()  # which also takes the call back
                raise
            idle.append(link)
            if self._closed or idle is not self._idle:
                _close_all(idle)
            return answer

    def close(self) -> None:
        """Close the idle connections, and each other one when its call is answered."""
        self._closed = True
        _close_all(self._idle)

    def _begin(self, target: Target) -> None:
        """Drop what leads to another server or, after a fork, belongs to the parent."""
        with self._lock:
            if self._pid == os.getpid() and self._target == target:
                return
            before, self._idle = self._idle, deque()
            self._target, self._pid = target, os.getpid()
        _close_all(before)  # in a child this closes its descriptors, not the parent's connections


def _close_all(links: deque[_Link]) -> None:
    while links:
        try:
            link = links.pop()
        except IndexError:  # another thread was faster
            return
        link.close()


class _Link:
    """One connection, welcomed; one call at a time."""

    def __init__(self, target: Target) -> None:
        self._decoder = FrameDecoder()
        self._socket = _connect(target)
        try:
            self._send(hello_frame(target), time.monotonic() + CONNECT_TIMEOUT_S)
            welcome = self._receive(time.monotonic() + CONNECT_TIMEOUT_S)
            check_welcome(welcome, target)
        except (OSError, EOFError, NormanError) as error:
            self.close()
            raise LinkUnavailable(f"{target.socket_path}: it gave no welcome") from error
        except BaseException:
            self.close()
            raise

    def exchange(self, request_id: str, pieces: Sequence[Buffer], wait_s: float) -> Message:
        """Send the frame and return the answer to the id."""
        limit = time.monotonic() + wait_s
        try:
            self._send(pieces, limit)
        except TimeoutError:
            raise took_too_long(wait_s) from None
        except OSError as error:
            raise _SendFailed(self._last_words()) from error
        try:
            while True:
                message = self._receive(limit)
                if getattr(message, "id", None) == request_id:
                    return message
                farewell = connection_error(message)
                if farewell is not None:
                    raise farewell
        except TimeoutError:
            raise took_too_long(wait_s) from None
        except (EOFError, OSError) as error:
            raise ended_early() from error

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _send(self, pieces: Sequence[Buffer], limit: float) -> None:
        rest: Sequence[Buffer] = pieces
        while rest:
            try:
                sent = self._socket.sendmsg(rest[:_IOV_MAX])
            except BlockingIOError:
                _check_limit(limit)
                continue
            rest = drop_bytes(rest, sent)

    def _receive(self, limit: float) -> Message:
        decoder = self._decoder
        while True:
            for frame in decoder.frames():
                return decode_message(frame)
            try:
                size_bytes = self._socket.recv_into(decoder.receive_buffer())
            except BlockingIOError:
                _check_limit(limit)
                continue
            if not size_bytes:
                raise EOFError("the connection was ended")
            decoder.received(size_bytes)

    def _last_words(self) -> NormanError | None:
        """Read why the peer ended the connection, where it said so."""
        limit = time.monotonic() + CONNECT_TIMEOUT_S
        try:
            while True:
                error = connection_error(self._receive(limit))
                if error is not None:
                    return error
        except (EOFError, OSError, NormanError):
            return None


def _connect(target: Target) -> socket.socket:
    if target.socket_path is None:
        raise LinkUnavailable("The server has no data socket.")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        tick = _TIMEVAL.pack(_TICK_S, 0)
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, tick)
        connection.connect(target.socket_path)
    except OSError as error:
        connection.close()
        raise LinkUnavailable(f"{target.socket_path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check_limit(limit: float) -> None:
    if time.monotonic() >= limit:
        raise TimeoutError
