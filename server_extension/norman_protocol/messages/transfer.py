"""The transfer channel: a client on the server's host gives it files by their descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from norman_protocol.messages.base import Message

__all__ = ["Copying", "Kept", "Offer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Message):
    """Store the file whose descriptor comes with this frame (``SCM_RIGHTS``), open for reading.

    ``digest`` is what the sender found; without one the server says what it is.
    """

    TYPE: ClassVar[str] = "offer"
    id: str
    size_bytes: int
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying(Message):
    """So much of an offered file has been read; more follows."""

    TYPE: ClassVar[str] = "copying"
    id: str
    done_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Message):
    """The file is stored, verified and synced; ``copied_bytes`` is 0 where it was so before."""

    TYPE: ClassVar[str] = "kept"
    id: str
    digest: str
    size_bytes: int
    copied_bytes: int
