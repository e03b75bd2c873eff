"""Files to a server on this host by their descriptors: nothing is sent, the server copies them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from functools import partial
from typing import BinaryIO, Final

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.local import (
    CONNECT_TIMEOUT_S,
    LinkUnavailable,
    check_welcome,
    hello_frame,
)
from norman_jupyter.client.metering import Meter
from norman_jupyter.packaging.folders import LocalFile
from norman_jupyter.packaging.hashing import check_unchanged, open_unchanged
from norman_protocol.errors import BundleInvalid, Interrupted, NormanError, ProtocolViolation
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Copying,
    Failure,
    Kept,
    Message,
    Offer,
    decode_message,
    encode_message,
)

__all__ = ["Handover", "connect_handover", "hand_over"]

_ANSWER_S: Final = 600.0
_RECEIVED_BYTES: Final = 64 * 1024


class Handover:
    """A connection over which files are offered, one after the other. Everything here blocks.

    Parameters
    ----------
    target
        Has a ``transfer_path``.

    Raises
    ------
    LinkUnavailable
        There is no such connection to be had.
    """

    def __init__(self, target: Target) -> None:
        self._decoder = FrameDecoder()
        self._messages: deque[Message] = deque()
        self._file: BinaryIO | None = None
        self._count = 0
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._stream.settimeout(CONNECT_TIMEOUT_S)
            self._stream.connect(target.transfer_path or "")
            self._stream.sendall(b"".join(hello_frame(target)))
            check_welcome(self._next(), target)
            self._stream.settimeout(_ANSWER_S)
        except (OSError, NormanError) as error:
            self._stream.close()
            raise LinkUnavailable(f"{target.transfer_path}: {error}") from error
        except BaseException:
            self._stream.close()
            raise

    def offer(self, file: LocalFile, digest: str | None) -> None:
        """Offer a file.

        Raises
        ------
        BundleInvalid
            It can't be read, or changed since it was listed.
        Interrupted
            The server is gone.
        """
        self._file = open_unchanged(file)
        self._count += 1
        message = Offer(id=f"{self._count:x}", size_bytes=file.size_bytes, digest=digest)
        frame = b"".join(encode_message(message))
        try:
            sent = socket.send_fds(self._stream, [frame], [self._file.fileno()])
            self._stream.sendall(frame[sent:])
        except OSError as error:
            raise _gone() from error

    def receive(self) -> Copying | Kept:
        """Wait for the next word on the file that was offered.

        Raises
        ------
        Interrupted
            The server is gone.
        NormanError
            It refuses the file.
        """
        try:
            message = self._next()
        except OSError as error:
            raise _gone() from error
        if isinstance(message, Failure):
            raise message.to_error()
        if not isinstance(message, (Copying, Kept)) or message.id != f"{self._count:x}":
            raise ProtocolViolation(f"An offer was answered with {type(message).__name__}.")
        return message

    def release(self, file: LocalFile) -> None:
        """Close the file that was offered.

        Raises
        ------
        BundleInvalid
            It changed meanwhile.
        """
        if self._file is not None:
            with self._file as stream:
                self._file = None
                check_unchanged(file, stream)

    def close(self) -> None:
        """End the connection; who waits for a word is woken. Harmless when repeated."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> Message:
        while not self._messages:
            data = self._stream.recv(_RECEIVED_BYTES)
            if not data:
                raise ConnectionResetError("the server ended the connection")
            self._messages.extend(map(decode_message, self._decoder.feed(data)))
        return self._messages.popleft()


def connect_handover(target: Target) -> Handover | None:
    """Connect where the server is on this host and takes files so; blocks."""
    if target.transfer_path is None or not hasattr(socket, "send_fds") or os.name != "posix":
        return None
    try:
        return Handover(target)
    except LinkUnavailable:
        return None


def hand_over(link: Handover, file: LocalFile, digest: str | None, meter: Meter) -> Steps[str]:
    """Give a file to the server, and return its digest.

    Raises
    ------
    BundleInvalid
        The file changed meanwhile.
    Interrupted
        The server is gone.
    NormanError
        It refuses the file.
    """
    before = meter.done_bytes
    yield from work(partial(link.offer, file, digest))
    try:
        while isinstance(message := (yield from work(link.receive)), Copying):
            # Hashed first, where it may be stored already, and then copied: counted once.
            meter.add(max(0, before + min(message.done_bytes, file.size_bytes) - meter.done_bytes))
    except BundleInvalid:
        yield from work(partial(link.release, file))  # names the file, if it is what changed
        raise
    yield from work(partial(link.release, file))
    if digest not in (None, message.digest):
        raise ProtocolViolation("The server stored another file than was offered.")
    meter.add(file.size_bytes - (meter.done_bytes - before))
    return message.digest


def _gone() -> Interrupted:
    return Interrupted("The server ended while it took a file in.")
