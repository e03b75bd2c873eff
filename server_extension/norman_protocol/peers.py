"""Who is at the other end of a local socket."""

from __future__ import annotations

import os
import socket
import struct

from norman_protocol.errors import Forbidden

__all__ = ["check_peer", "check_uid"]

_UCRED = struct.Struct("3i")


def check_peer(stream: socket.socket) -> None:
    """Refuse a peer of another user than ours, where the platform tells (root may call too).

    The folder of the socket is closed to others already; this holds where its mode was changed.

    Raises
    ------
    Forbidden
        The peer runs as somebody else.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return
    credentials = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    check_uid(uid, os.getuid())


def check_uid(peer: int, own: int) -> None:
    """Refuse another user than ourselves and root.

    Raises
    ------
    Forbidden
        The peer runs as somebody else.
    """
    if peer not in (own, 0):
        raise Forbidden("This socket belongs to another user.")
