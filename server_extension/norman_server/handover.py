"""Takes files of this host in by their descriptors, over a Unix socket beside the REST API."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hmac
import logging
import os
import socket
import stat
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.errors import (
    BundleInvalid,
    NormanError,
    PayloadTooLarge,
    ProtocolViolation,
    QueueFull,
    Unauthenticated,
)
from norman_protocol.frames import FrameDecoder, FrameLimits
from norman_protocol.messages import (
    Copying,
    Hello,
    Kept,
    Message,
    Offer,
    Welcome,
    decode_message,
    encode_message,
    failure_from_error,
)
from norman_protocol.peers import check_peer

if TYPE_CHECKING:
    from norman_server.registry.service import Registry

__all__ = ["HandoverServer"]

_log = logging.getLogger(__name__)

_BACKLOG: Final = 16
_CONNECTIONS: Final = 16
_GREETING_S: Final = 10.0
_IDLE_S: Final = 300.0
_RECEIVED_BYTES: Final = 4096
_LIMITS: Final = FrameLimits(header_bytes=16 * 1024, body_bytes=0, buffers=0)
_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class HandoverServer:
    """Listens for clients of this host; each has a thread, since copying blocks.

    A client that isn't taken uploads over REST: nothing depends on this.

    Parameters
    ----------
    path
        Of the socket, in a private folder.
    limit_bytes
        Largest file.
    """

    def __init__(
        self, path: Path, *, registry: Registry, server_id: str, token: str, limit_bytes: int
    ) -> None:
        self.registry = registry
        self.server_id = server_id
        self.token = token.encode()
        self.limit_bytes = limit_bytes
        self._path = path
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._sessions: dict[_Session, threading.Thread] = {}

    def start(self) -> None:
        """Listen and accept, on the running loop."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            self._path.unlink(missing_ok=True)  # of a server that was killed; the home is ours
            listener.bind(os.fspath(self._path))
            self._path.chmod(0o600)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            _log.warning("Files of this host are taken over REST alone: %s", error)
            return
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener), name="norman-handover")

    async def close(self) -> None:
        """End all connections, copies in progress included, and remove the socket."""
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
        if self._listener is not None:
            self._listener.close()
            self._path.unlink(missing_ok=True)
        sessions = dict(self._sessions)
        for session in sessions:
            session.end()
        for thread in sessions.values():
            await asyncio.to_thread(thread.join)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                stream, _ = await loop.sock_accept(listener)
            except OSError as error:  # too many open files, say: those of others end some time
                _log.warning("A client of this host can't be taken: %s", error)
                await asyncio.sleep(1.0)
                continue
            self._sessions = {
                session: thread for session, thread in self._sessions.items() if thread.is_alive()
            }
            session = _Session(stream, self, refused=len(self._sessions) >= _CONNECTIONS)
            thread = threading.Thread(target=session.run, name="norman-handover", daemon=True)
            self._sessions[session] = thread
            thread.start()


class _Session:
    """One client, on a thread of its own."""

    def __init__(self, stream: socket.socket, server: HandoverServer, *, refused: bool) -> None:
        self._stream = stream
        self._server = server
        self._refused = refused
        self._decoder = FrameDecoder(_LIMITS)
        self._messages: deque[Message] = deque()
        self._files: deque[int] = deque()

    def run(self) -> None:
        """Serve until the client leaves."""
        try:
            with self._stream:
                self._stream.settimeout(_GREETING_S)
                self._serve()
        except (OSError, _ClientLeft) as error:  # it left, or was silent for too long
            _log.debug("a client of this host left: %s", error)
        except Exception:  # noqa: BLE001 - the border of this thread
            _log.exception("A client of this host can't be served")
        finally:
            while self._files:
                os.close(self._files.popleft())

    def end(self) -> None:
        """End the connection from another thread; what it waits for ends too."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        try:
            self._greet()
            while (message := self._receive()) is not None:
                if not isinstance(message, Offer):
                    raise ProtocolViolation(f"A {message.TYPE} message has no place here.")
                self._take(message)
        except NormanError as error:
            self._send(failure_from_error("", error))

    def _greet(self) -> None:
        check_peer(self._stream)
        hello = self._receive()
        if hello is None:
            return
        if not isinstance(hello, Hello):
            raise ProtocolViolation("The first message must be hello.")
        if not hmac.compare_digest(hello.token.encode(), self._server.token):
            raise Unauthenticated("The token is not this server's.")
        version = min(hello.newest_protocol, PROTOCOL_VERSIONS[1])
        if version < max(hello.oldest_protocol, PROTOCOL_VERSIONS[0]):
            raise ProtocolViolation("There is no version of the protocol that both speak.")
        if self._refused:
            raise QueueFull("This server takes no more files by descriptor now; send them.")
        self._stream.settimeout(_IDLE_S)
        self._send(Welcome(protocol=version, server_id=self._server.server_id, executor_id=""))

    def _take(self, offer: Offer) -> None:
        if not self._files:
            raise ProtocolViolation("An offer came without its file.")
        file = self._files.popleft()
        try:
            kept = self._store(offer, file)
        except NormanError as error:
            self._send(failure_from_error(offer.id, error))
        else:
            self._send(kept)
        finally:
            os.close(file)

    def _store(self, offer: Offer, file: int) -> Kept:
        before = _check_file(file, offer.size_bytes, self._server.limit_bytes)
        digest, copied_bytes = self._server.registry.take_file(
            file,
            size_bytes=offer.size_bytes,
            digest=offer.digest,
            on_done=lambda done: self._send(Copying(id=offer.id, done_bytes=done)),
        )
        after = os.fstat(file)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise BundleInvalid("The file changed while it was uploaded. Upload it again.")
        return Kept(
            id=offer.id, digest=digest, size_bytes=offer.size_bytes, copied_bytes=copied_bytes
        )

    def _receive(self) -> Message | None:
        """Return the next message, None where the client left."""
        while not self._messages:
            data, files, flags, _ = socket.recv_fds(self._stream, _RECEIVED_BYTES, 1, _CLOEXEC)
            for file in files:
                os.set_inheritable(file, False)
                self._files.append(file)
            if flags & socket.MSG_CTRUNC:
                raise ProtocolViolation("More than one file came with a message.")
            if not data:
                return None
            self._messages.extend(map(decode_message, self._decoder.feed(data)))
        return self._messages.popleft()

    def _send(self, message: Message) -> None:
        try:
            self._stream.sendall(b"".join(encode_message(message)))
        except OSError as error:
            # Inside of a copy an OSError would be the disk's.
            raise _ClientLeft from error


class _ClientLeft(Exception):
    """Nobody is there any more to be told."""


def _check_file(file: int, size_bytes: int, limit_bytes: int) -> os.stat_result:
    """Check that a descriptor is a regular file, open for reading, of the announced size.

    Raises
    ------
    BundleInvalid, PayloadTooLarge
        It is not.
    """
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise BundleInvalid("What was offered is no regular file.")
    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        raise BundleInvalid("The file that was offered is not open for reading.")
    if found.st_size != size_bytes:
        raise BundleInvalid(
            f"The file has {found.st_size} bytes, not the {size_bytes} that were announced. "
            "Upload it again when it is written to its end."
        )
    if size_bytes > limit_bytes:
        raise PayloadTooLarge(
            f"The file has {size_bytes} bytes; at most {limit_bytes} are taken.",
            size_bytes=size_bytes,
            limit_bytes=limit_bytes,
        )
    return found
