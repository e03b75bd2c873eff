"""The journal: what the executor accepted and how it ended, appended before it acts.

A write(2) survives the death of this process, so that the server, which reads the segments, misses
nothing. Segments are frames in a file; a torn last frame means that the process was killed in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from norman_protocol.frames import buffer_bytes
from norman_protocol.messages import Accepted, Ended, encode_message

__all__ = ["Journal"]

_SEGMENT_BYTES = 64 << 20
_IOV_MAX = 512


class Journal:
    """Appends to ``<executor_id>-<sequence>.frames`` in a folder; a new segment every 64 MiB.

    Use as a context manager. Not thread-safe.
    """

    def __init__(
        self, folder: Path, executor_id: str, *, segment_bytes: int = _SEGMENT_BYTES
    ) -> None:
        self._folder = folder
        self._executor_id = executor_id
        self._segment_bytes = segment_bytes
        self._sequence = 0
        self._size_bytes = 0
        self._descriptor = self._open_segment()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def append(self, record: Accepted | Ended) -> None:
        """Write one record.

        Raises
        ------
        OSError
            The disk is full, say. The segment is cut back to its last whole record.
        """
        if self._size_bytes >= self._segment_bytes:
            following = self._open_segment()
            os.close(self._descriptor)
            self._descriptor, self._size_bytes = following, 0
        pieces = encode_message(record)
        if len(pieces) > _IOV_MAX:
            pieces = [b"".join(pieces)]
        total = sum([buffer_bytes(piece) for piece in pieces])
        try:
            written = os.writev(self._descriptor, pieces)
            if written != total:
                self._write_rest(memoryview(b"".join(pieces))[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += total

    def _write_rest(self, rest: memoryview) -> None:
        while rest.nbytes:
            rest = rest[os.write(self._descriptor, rest) :]

    def _open_segment(self) -> int:
        self._sequence += 1
        path = self._folder / f"{self._executor_id}-{self._sequence:06d}.frames"
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
