"""Blobs as files in a folder, ``sha256/ab/<digest>``."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from norman_protocol.errors import BlobNotFound, BundleInvalid
from norman_protocol.frames import Buffer
from norman_protocol.identifiers import new_id
from norman_server.storage.blobs.base import BlobStore, BlobWriter, StoredBlob, Unstored
from norman_server.storage.blobs.copying import copy_hashed
from norman_server.storage.blobs.packing import settle_all
from norman_server.storage.blobs.partial import PARTIAL_SUFFIX, PartialBlobs
from norman_server.storage.blobs.writing import (
    Checkpoint,
    FileWriter,
    pass_on,
    settle,
    wrong_digest,
)
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import clone_file, hold_file, is_held, make_folder, sync_folder

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
        An unfinished blob that lies longer than this is removed by `sweep`, and now; what only
        its writer could have finished goes with that one.
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
        super().__init__()
        self._blobs = folder / "sha256"
        self._incoming = folder / "incoming"
        self._quarantined = folder / "quarantine"
        self._discarded = folder / "discarded"
        self._abandoned_s = abandoned_s
        self._naming = threading.Lock()
        self._checkpoint = checkpoint
        self._partial = PartialBlobs(self._incoming, self._path, checkpoint)
        with disk_faults("opening the store of blobs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_folder(self._blobs)
            make_folder(self._incoming)
        self.sweep()

    def begin(self, digest: str) -> BlobWriter:
        """Begin to store a blob; see the base class."""
        with disk_faults("storing a blob"):
            part, file = self._new_part(digest)
            return FileWriter(
                digest,
                file,
                part=part,
                path=self._path(digest),
                checkpoint=self._checkpoint,
            )

    def resume(self, digest: str, offset: int) -> BlobWriter:
        """Go on with an unfinished blob; see the base class."""
        with disk_faults("storing a blob"):
            return self._partial.resume(digest, offset)

    def copy_in(
        self, source: int, size_bytes: int, *, digest: str | None, on_done: Callable[[int], None]
    ) -> str:
        """Store the bytes of an open file; see the base class."""
        with disk_faults("storing a blob"):
            part, file = self._new_part("copy")
            with file, _removed_on_error(part):
                found = copy_hashed(source, file.fileno(), size_bytes, on_done)
                if digest is not None and found != digest:
                    raise wrong_digest(found, digest)
                settle(file.fileno(), part, self._path(found), self._checkpoint)
        return found

    def offset(self, digest: str) -> int:
        """Return how much of an unfinished blob is kept; see the base class."""
        with disk_faults("looking for a blob"):
            return self._partial.offset(digest)

    def examine(self, digest: str, step_bytes: int) -> Iterator[int | bool]:
        """Read a blob in steps; see the base class."""
        hasher = hashlib.sha256()
        with disk_faults("verifying a blob"):
            try:
                with self._path(digest).open("rb", buffering=0) as file:
                    while chunk := file.read(step_bytes):
                        hasher.update(chunk)
                        yield len(chunk)
            except FileNotFoundError:
                yield False
            except OSError as error:
                if error.errno != errno.EIO:  # a sector that can't be read is damage, too
                    raise
                yield False
            else:
                yield hasher.hexdigest() == digest

    def quarantine(self, digest: str) -> bool:
        """Set a damaged blob aside; see the base class."""
        path = self._path(digest)
        with disk_faults("setting a damaged blob aside"):
            if not path.exists() or self._is_sound(digest):
                return False
            make_folder(self._quarantined)
            path.replace(self._quarantined / digest)
            sync_folder(self._quarantined)
            sync_folder(path.parent)
        return True

    def _is_sound(self, digest: str) -> bool:
        return any(found is True for found in self.examine(digest, _CHUNK_BYTES))

    def sweep(self) -> None:
        """Remove what was left in ``incoming`` for long; see the base class."""
        with disk_faults("removing abandoned uploads"):
            for path in self._incoming.iterdir():
                with contextlib.suppress(FileNotFoundError), self._naming:
                    if self._is_abandoned(path):
                        path.unlink()
                        _log.info("removed the abandoned upload %s", path.name)

    def _is_abandoned(self, path: Path) -> bool:
        """Whether nobody will go on with a file: only what is resumed outlives its writer."""
        if path.suffix == PARTIAL_SUFFIX and self._partial.is_written(path):
            return False
        if path.suffix != PARTIAL_SUFFIX and not is_held(path):
            return True
        return path.stat().st_mtime < time.time() - self._abandoned_s

    def stored(self) -> Iterator[StoredBlob]:
        """Walk over every blob; see the base class."""
        with disk_faults("looking through the store of blobs"):
            for path in self._blobs.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    yield StoredBlob(digest=path.name, size_bytes=path.stat().st_size)

    def unstored(self) -> Unstored:
        """Return what else takes room; see the base class."""
        with disk_faults("looking through the store of blobs"):
            return Unstored(
                incoming_bytes=_folder_bytes(self._incoming) + _folder_bytes(self._discarded),
                quarantined_bytes=_folder_bytes(self._quarantined),
            )

    def discard(self, digest: str) -> bool:
        """Take a blob out; see the base class."""
        path = self._path(digest)

        def move() -> None:
            with contextlib.suppress(FileNotFoundError):
                path.replace(self._discarded / digest)

        with disk_faults("removing a blob"):
            make_folder(self._discarded)
            return self.claims.unless_held(digest, move)

    def empty_discarded(self) -> None:
        """Remove what was discarded; see the base class."""
        with disk_faults("removing blobs"):
            for path in _files(self._discarded):
                path.unlink(missing_ok=True)

    def recover_discarded(self, noted: Callable[[Sequence[str]], Collection[str]]) -> None:
        """Take back what is noted; see the base class."""
        with disk_faults("taking back blobs"):
            left = _files(self._discarded)
            kept = noted([path.name for path in left])
            for path in left:
                target = self._path(path.name)
                if path.name in kept and not target.exists():
                    path.replace(target)
                    sync_folder(target.parent)
        self.empty_discarded()

    def empty_quarantine(self, keep: Callable[[Sequence[str]], Collection[str]]) -> int:
        """Remove damaged blobs; see the base class."""
        freed = 0
        with disk_faults("removing damaged blobs"):
            left = _files(self._quarantined)
            kept = keep([path.name for path in left])
            for path in left:
                if path.name not in kept:
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def _new_part(self, name: str) -> tuple[Path, FileIO]:
        path = self._incoming / f"{name}.{new_id()}"
        with self._naming:  # never swept between its making and its lock
            file = path.open("x+b", buffering=0)
            hold_file(file.fileno())
        return path, file

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

    def store_all(self, blobs: Sequence[tuple[str, Buffer]]) -> None:
        """Store small blobs together; see the base class."""
        with disk_faults("storing blobs"):
            settle_all(blobs, self._incoming, self._path, self._checkpoint)

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
        _log.error("blob %s is damaged on disk; set aside, so that it can be sent again", digest)
        self.quarantine(digest)
        raise BundleInvalid(
            f"The server's copy of the blob {digest[:12]}… was damaged and has been set aside. "
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


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
