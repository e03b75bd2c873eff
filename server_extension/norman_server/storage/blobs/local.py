"""Blobs as files in a folder, ``sha256/ab/<digest>``."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from norman_protocol.errors import BlobNotFound, BundleInvalid
from norman_protocol.frames import Buffer
from norman_protocol.identifiers import new_id
from norman_server.storage.blobs.base import BlobStore, BlobWriter
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import clone_file, make_folder, sync_folder

__all__ = ["LocalBlobStore"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 1 << 20
_ABANDONED_S: Final = 24 * 3600.0
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
        What lies longer than this, untouched, in ``incoming`` is removed now.
    """

    def __init__(self, folder: Path, *, abandoned_s: float = _ABANDONED_S) -> None:
        self._blobs = folder / "sha256"
        self._incoming = folder / "incoming"
        with disk_faults("opening the store of blobs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_folder(self._blobs)
            make_folder(self._incoming)
            _sweep(self._incoming, abandoned_s)

    def begin(self, digest: str) -> BlobWriter:
        """Begin to store a blob; see the base class."""
        with disk_faults("storing a blob"):
            return _LocalWriter(digest, self._incoming, self._path(digest))

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


class _LocalWriter(BlobWriter):
    def __init__(self, digest: str, incoming: Path, path: Path) -> None:
        self._digest = digest
        self._path = path
        self._part = incoming / f"{digest}.{new_id()}"
        self._hasher = hashlib.sha256()
        self._size_bytes = 0
        self._file: BinaryIO | None = self._part.open("xb")

    def write(self, chunk: Buffer) -> None:
        file = self._open_file()
        with self._abort_on_error():
            file.write(chunk)
        self._hasher.update(chunk)
        self._size_bytes += memoryview(chunk).nbytes

    def commit(self) -> int:
        file = self._open_file()
        found = self._hasher.hexdigest()
        if found != self._digest:
            self.abort()
            raise BundleInvalid(
                f"The bytes that came have the digest {found[:12]}…, not {self._digest[:12]}…: "
                "the file changed meanwhile, or was damaged on its way. Upload it again.",
                digests=[self._digest],
            )
        with self._abort_on_error():
            file.flush()
            os.fchmod(file.fileno(), 0o400)
            os.fsync(file.fileno())
            file.close()
            self._file = None
            make_folder(self._path.parent)
            # Renaming over a blob that is there replaces it by the same bytes, just verified.
            self._part.replace(self._path)
            sync_folder(self._path.parent)
        return self._size_bytes

    def abort(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # closing flushes: a full disk shows up again
                self._file.close()
            self._file = None
        with contextlib.suppress(OSError):  # what can't be removed now is swept later
            self._part.unlink()

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the writer is committed or aborted")
        return self._file

    @contextlib.contextmanager
    def _abort_on_error(self) -> Iterator[None]:
        try:
            with disk_faults("storing a blob"):
                yield
        except BaseException:
            self.abort()
            raise


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sweep(incoming: Path, abandoned_s: float) -> None:
    oldest = time.time() - abandoned_s
    for path in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another server on this home was first
            if path.stat().st_mtime < oldest:
                path.unlink()
                _log.info("removed the abandoned upload %s", path.name)
