"""Blobs as files in a folder, ``sha256/ab/<digest>``."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from norman_protocol.errors import BlobNotFound, BundleInvalid
from norman_protocol.identifiers import new_id
from norman_server.storage.blobs.base import BlobStore, BlobWriter
from norman_server.storage.blobs.partial import PartialBlobs
from norman_server.storage.blobs.writing import Checkpoint, FileWriter, pass_on
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import clone_file, make_folder

__all__ = ["ABANDONED_S", "LocalBlobStore"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 1 << 20
ABANDONED_S: Final = 24 * 3600.0
"""A file that nobody has written to for so long belongs to no upload that still goes on."""


class LocalBlobStore(BlobStore):
    """A store below one folder.

    Blobs are written beside their final place, in ``incoming``, on the same file system, and
    renamed when they are whole; a reader sees a blob entire or not at all.

    Parameters
    ----------
    folder
        Made where it isn't there.
    abandoned_s
        What lies longer than this, untouched, in ``incoming`` is removed by `sweep`, and now.
    checkpoint
        Told each step on the way to a durable blob; see `Checkpoint`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        abandoned_s: float = ABANDONED_S,
        checkpoint: Checkpoint = pass_on,
    ) -> None:
        self._blobs = folder / "sha256"
        self._incoming = folder / "incoming"
        self._abandoned_s = abandoned_s
        self._checkpoint = checkpoint
        self._partial = PartialBlobs(self._incoming, self._path, checkpoint)
        with disk_faults("opening the store of blobs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_folder(self._blobs)
            make_folder(self._incoming)
        self.sweep()

    def begin(self, digest: str) -> BlobWriter:
        """Begin to store a blob; see the base class."""
        part = self._incoming / f"{digest}.{new_id()}"
        with disk_faults("storing a blob"):
            return FileWriter(
                digest,
                part.open("xb", buffering=0),
                part=part,
                path=self._path(digest),
                checkpoint=self._checkpoint,
            )

    def resume(self, digest: str, offset: int) -> BlobWriter:
        """Go on with an unfinished blob; see the base class."""
        with disk_faults("storing a blob"):
            return self._partial.resume(digest, offset)

    def offset(self, digest: str) -> int:
        """Return how much of an unfinished blob is kept; see the base class."""
        with disk_faults("looking for a blob"):
            return self._partial.offset(digest)

    def sweep(self) -> None:
        """Remove what was left in ``incoming`` for long; see the base class."""
        with disk_faults("removing abandoned uploads"):
            _sweep(self._incoming, self._abandoned_s, self._partial.is_written)

    def size(self, digest: str) -> int | None:
        """Return a blob's size in bytes; see the base class."""
        with disk_faults("looking for a blob"):
            try:
                return self._path(digest).stat().st_size
            except FileNotFoundError:
                return None

    def read_head(self, digest: str, limit_bytes: int) -> bytes:
        """Return a blob's first bytes; see the base class."""
        with disk_faults("reading a blob"), self._open(digest) as file:
            return file.read(limit_bytes)

    def open(self, digest: str) -> BinaryIO:
        """Open a blob; see the base class."""
        with disk_faults("reading a blob"):
            try:
                return self._path(digest).open("rb")
            except FileNotFoundError:
                raise BlobNotFound(
                    f"The blob {digest[:12]}… is not stored on this server.", digest=digest
                ) from None

    def copy_to(self, digest: str, path: Path, *, executable: bool) -> None:
        """Make a file of a blob; see the base class."""
        with (
            disk_faults("laying out a version's files"),
            self._open(digest) as source,
            path.open("xb") as target,
            _removed_on_error(path),  # after the opening: a file that stood there stays
        ):
            if not clone_file(source.fileno(), target.fileno()):
                self._copy(digest, source, target)
            target.flush()
            os.fchmod(target.fileno(), 0o555 if executable else 0o444)
            os.fsync(target.fileno())

    def _copy(self, digest: str, source: BinaryIO, target: BinaryIO) -> None:
        hasher = hashlib.sha256()
        while chunk := source.read(_CHUNK_BYTES):
            hasher.update(chunk)
            target.write(chunk)
        if hasher.hexdigest() == digest:
            return
        _log.error("blob %s is damaged on disk; removed, so that it can be sent again", digest)
        self._path(digest).unlink(missing_ok=True)
        raise BundleInvalid(
            f"The server's copy of the blob {digest[:12]}… was damaged and has been removed. "
            "Upload the model again.",
            digests=[digest],
        )

    def _open(self, digest: str) -> BinaryIO:
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError:
            raise BundleInvalid(
                f"The blob {digest[:12]}… is not stored. Upload the model again.",
                digests=[digest],
            ) from None

    def _path(self, digest: str) -> Path:
        return self._blobs / digest[:2] / digest


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sweep(incoming: Path, abandoned_s: float, in_use: Callable[[Path], bool]) -> None:
    oldest = time.time() - abandoned_s
    for path in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):  # finished or removed meanwhile
            if path.stat().st_mtime < oldest and not in_use(path):
                path.unlink()
                _log.info("removed the abandoned upload %s", path.name)
