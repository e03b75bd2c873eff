"""Reading the journal: the files that executors append accepted and ended calls to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from norman_protocol.errors import PayloadTooLarge, ProtocolViolation
from norman_protocol.frames import PREFIX_BYTES, FrameLimits, decode_frame, frame_bytes
from norman_protocol.messages import Accepted, Ended, decode_message
from norman_server.storage.faults import disk_faults

__all__ = ["Entry", "Group", "Segment", "list_segments", "read_group", "remove", "set_aside"]

Entry: TypeAlias = Accepted | Ended

_NAME: Final = re.compile(r"([\w-]{1,180})-([0-9]{6,})\.frames", re.ASCII)
_GROUP_BYTES: Final = 4 << 20
_GROUP_ENTRIES: Final = 1000
# A frame is never read beyond the end of its file, so that no length in it can take more memory
# than the executor wrote.
_LIMITS: Final = FrameLimits(header_bytes=1 << 30, body_bytes=1 << 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of the journal."""

    path: Path
    executor_id: str
    sequence: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Entries that are recorded together.

    Attributes
    ----------
    offset_bytes
        Where the entry after them begins.
    rest_bytes
        What the file held after that: 0, or a part of an entry, or further entries.
    """

    entries: tuple[Entry, ...]
    offset_bytes: int
    rest_bytes: int


def list_segments(folder: Path) -> list[Segment]:
    """Return the segments in a folder, those of one executor in their order.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("reading the journal"):
        paths = list(folder.iterdir())
    found = [
        Segment(path=path, executor_id=match[1], sequence=int(match[2]))
        for path in paths
        if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda segment: (segment.executor_id, segment.sequence))


def read_group(path: Path, offset_bytes: int) -> Group:
    """Read the next whole entries from ``offset_bytes``; an entry that is cut off is left.

    Raises
    ------
    ProtocolViolation
        The bytes there are no entry.
    InternalError
        The disk failed.
    """
    with disk_faults("reading the journal"), path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        if size_bytes < offset_bytes:
            raise ProtocolViolation(f"The journal: {path.name} is shorter than it was.")
        file.seek(offset_bytes)
        data = _read_some(file, size_bytes - offset_bytes)
    entries: list[Entry] = []
    position = 0
    try:
        while len(entries) < _GROUP_ENTRIES:
            following = _next_end(data, position)
            if following is None or following > data.nbytes:
                break
            entries.append(_decode(data[position:following]))
            position = following
    except ProtocolViolation:
        if not entries:  # else those before the damage are recorded first
            raise
    return Group(
        entries=tuple(entries),
        offset_bytes=offset_bytes + position,
        rest_bytes=size_bytes - offset_bytes - position,
    )


def _read_some(file: BinaryIO, available: int) -> memoryview:
    """Read a group's worth of bytes, or one whole entry where that is larger."""
    data = file.read(min(available, _GROUP_BYTES))
    end = _next_end(memoryview(data), 0)
    if end is not None and len(data) < end <= available:
        data += file.read(end - len(data))
    return memoryview(data)


def _next_end(data: memoryview, position: int) -> int | None:
    """Return where the entry at ``position`` ends, None where not even its prefix is there."""
    prefix = data[position : position + PREFIX_BYTES]
    if prefix.nbytes < PREFIX_BYTES:
        return None
    try:
        return position + frame_bytes(prefix, _LIMITS)
    except PayloadTooLarge as error:
        raise ProtocolViolation(f"The journal: {error.message}") from None


def _decode(data: memoryview) -> Entry:
    message = decode_message(decode_frame(data, _LIMITS))
    if not isinstance(message, (Accepted, Ended)):
        raise ProtocolViolation(f"The journal holds a {message.TYPE} message.")
    seconds = message.accepted_at if isinstance(message, Accepted) else message.ended_at
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise ProtocolViolation(f"The journal: {seconds} is no time.") from None
    return message


def set_aside(path: Path) -> Path | None:
    """Rename a segment that can't be read on to ``….corrupt``; None where it is gone.

    Raises
    ------
    InternalError
        The disk failed.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    with disk_faults("setting a damaged part of the journal aside"):
        try:
            return path.rename(aside)
        except FileNotFoundError:
            return None


def remove(path: Path) -> None:
    """Delete a segment that is wholly recorded.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("deleting a recorded part of the journal"):
        path.unlink(missing_ok=True)
