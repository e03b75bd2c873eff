"""Unfinished blobs: what came of each outlives its upload, and the server."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import Conflict, RangeInvalid
from norman_server.storage.blobs.writing import Checkpoint, FileWriter

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["PARTIAL_SUFFIX", "PartialBlobs"]

PARTIAL_SUFFIX: Final = ".partial"
_CHUNK_BYTES: Final = 1 << 20
_REMEMBERED: Final = 1024


class PartialBlobs:
    """One file ``<digest>.partial`` and at most one writer for each unfinished blob.

    Nothing but the file counts: what a killed server left is hashed again when somebody goes on
    with it. Within one server the hash is remembered, so that chunks don't cost it twice.

    Parameters
    ----------
    folder
        Of the files.
    place
        Digest → where the whole blob goes.
    """

    def __init__(self, folder: Path, place: Callable[[str], Path], checkpoint: Checkpoint) -> None:
        self._folder = folder
        self._place = place
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._hashers: dict[str, tuple[_Hash, int]] = {}

    def offset(self, digest: str) -> int:
        """Return how many bytes are kept, 0 where nothing is."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def is_written(self, path: Path) -> bool:
        """Whether a file of the folder has a writer now."""
        with self._lock:
            return path.name.removesuffix(PARTIAL_SUFFIX) in self._written

    def resume(self, digest: str, offset: int) -> FileWriter:
        """Go on with a file, or begin it.

        Raises
        ------
        RangeInvalid
            The file doesn't end at ``offset``.
        Conflict
            It has a writer.
        """
        with self._lock:
            if digest in self._written:
                raise Conflict(
                    f"Another request is sending the blob {digest[:12]}…. Ask for its offset, then "
                    "try again.",
                    name=digest,
                )
            self._written.add(digest)
        try:
            return self._open(digest, offset)
        except BaseException:
            self._release(digest)
            raise

    def _open(self, digest: str, offset: int) -> FileWriter:
        kept = self.offset(digest)
        if kept != offset:
            raise RangeInvalid(
                f"{kept} bytes of the blob {digest[:12]}… are here; what comes next begins there, "
                f"not at {offset}.",
                offset=kept,
            )
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o600)  # read-only where the server ended before the last step
        hasher = self._hasher(digest, path, kept)
        # Unbuffered: whatever was acknowledged is with the system, should this process end.
        file = path.open("ab", buffering=0)
        writer = FileWriter(
            digest,
            file,
            part=path,
            path=self._place(digest),
            checkpoint=self._checkpoint,
            hasher=hasher,
            offset=kept,
            on_closed=lambda stays: self._closed(digest, writer if stays else None),
        )
        return writer

    def _hasher(self, digest: str, path: Path, size_bytes: int) -> _Hash:
        with self._lock:
            remembered = self._hashers.pop(digest, None)
        if remembered is not None and remembered[1] == size_bytes:
            return remembered[0]
        hasher = hashlib.sha256()
        if size_bytes:
            with path.open("rb", buffering=0) as file:
                for chunk in iter(partial(file.read, _CHUNK_BYTES), b""):
                    hasher.update(chunk)
        return hasher

    def _closed(self, digest: str, writer: FileWriter | None) -> None:
        if writer is not None:
            with self._lock:
                while len(self._hashers) >= _REMEMBERED:
                    del self._hashers[next(iter(self._hashers))]
                self._hashers[digest] = (writer.hasher, writer.offset)
        self._release(digest)

    def _release(self, digest: str) -> None:
        with self._lock:
            self._written.discard(digest)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{PARTIAL_SUFFIX}"
