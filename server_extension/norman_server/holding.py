"""Who holds the home: what the server that does so tells those which relay to it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from norman_protocol.decoding import decode, dump_json, encode
from norman_protocol.errors import NormanError
from norman_protocol.identifiers import new_id
from norman_server.storage.files import write_private

__all__ = ["Holder", "Identity", "Waiting", "read_holder", "remove_holder", "write_holder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What kernels know a server by; it stays when another one takes the home over.

    Attributes
    ----------
    server_id
        Named by discovery records, by the status, and by the executor's welcome.
    token
        Of the extension, for kernels.
    relay_secret
        With it a server speaks for its callers to the one that holds the home.
    """

    server_id: str
    token: str
    relay_secret: str

    @classmethod
    def new(cls) -> Identity:
        """Make one that nobody knows yet."""
        return cls(
            server_id=new_id(),
            token=secrets.token_urlsafe(32),
            relay_secret=secrets.token_urlsafe(32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The server that has the home: ``run/holder.json``, for the owner's eyes only.

    Attributes
    ----------
    socket_path
        Of the server itself, for relays.
    base_path
        Of its API's routes, ending in ``/``.
    data_path, transfer_path
        Sockets of its executor, and for files.
    """

    identity: Identity
    pid: int
    url: str
    socket_path: str
    base_path: str
    data_path: str
    transfer_path: str


def write_holder(path: Path, holder: Holder) -> None:
    """Tell who holds the home, whole or not at all."""
    write_private(path, dump_json(encode(holder)))


def read_holder(path: Path) -> Holder | None:
    """Return who holds the home, or held it last; None where nobody has said so."""
    try:
        return decode(Holder, json.loads(path.read_text()), tolerant=True)
    except (OSError, ValueError, NormanError):
        return None


def remove_holder(path: Path) -> None:
    """Forget who held the home. Twice is fine."""
    path.unlink(missing_ok=True)


class Waiting:
    """Says that servers wait for the home: a lock that they share.

    While there are some, whoever takes the home keeps the identity that their kernels know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def join(self) -> None:
        """Wait together with the others. Twice is fine."""
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            self._descriptor = descriptor

    def leave(self) -> None:
        """Wait no longer. Twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def has_others(self) -> bool:
        """Whether somebody waits; asked by one that doesn't."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
