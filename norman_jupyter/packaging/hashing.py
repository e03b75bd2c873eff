"""The digests of a bundle's files, a bounded piece at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from norman_bundle.manifest import check_manifest
from norman_jupyter.packaging.folders import LocalFile
from norman_protocol.errors import BundleInvalid
from norman_protocol.rest import FileEntry, Manifest

__all__ = [
    "BundleHasher",
    "check_unchanged",
    "make_manifest",
    "open_unchanged",
    "read_unchanged",
]

_CHUNK_BYTES = 1 << 20


class BundleHasher:
    """Hashes files in memory of 1 MiB, in steps: between two steps progress can be told.

    Not thread-safe, but each step may run in another thread.
    """

    def __init__(self, files: Sequence[LocalFile]) -> None:
        self._files = files
        self._digests: list[str] = []
        self._work = self._hash_all()
        self.done_bytes = 0

    def advance(self, budget_bytes: int) -> bool:
        """Hash about so many bytes more; True while there is more to do.

        Raises
        ------
        BundleInvalid
            A file can't be read, or changed since it was listed.
        """
        limit = self.done_bytes + budget_bytes
        while self.done_bytes < limit:
            if next(self._work, None) is None:
                return False
        return True

    def manifest(self) -> Manifest:
        """Build the manifest when all is hashed, as `make_manifest` does."""
        return make_manifest(self._files, self._digests)

    @property
    def digests(self) -> Sequence[str]:
        """The digests so far, in the order of the files."""
        return self._digests

    def _hash_all(self) -> Iterator[int]:
        for file in self._files:
            digest = hashlib.sha256()
            for chunk in read_unchanged(file):
                digest.update(chunk)
                self.done_bytes += len(chunk)
                yield len(chunk)
            self._digests.append(digest.hexdigest())


def make_manifest(files: Sequence[LocalFile], digests: Sequence[str]) -> Manifest:
    """Build the manifest of files that are all hashed.

    Raises
    ------
    BundleInvalid
        A path can't be part of a bundle.
    """
    manifest = Manifest(
        files=tuple(
            FileEntry(
                path=file.path,
                digest=digest,
                size_bytes=file.size_bytes,
                executable=file.executable,
            )
            for file, digest in zip(files, digests, strict=True)
        )
    )
    check_manifest(manifest)
    return manifest


def open_unchanged(file: LocalFile) -> BinaryIO:
    """Open a file that is as it was listed.

    Raises
    ------
    BundleInvalid
        It can't be read, or isn't.
    """
    try:
        stream = file.source.open("rb", buffering=0)
    except OSError as error:
        raise BundleInvalid(
            f"{file.path!r} can't be read: {error.strerror or error}.", path=file.path
        ) from error
    try:
        check_unchanged(file, stream)
    except BaseException:
        stream.close()
        raise
    return stream


def read_unchanged(file: LocalFile, offset: int = 0) -> Iterator[bytes]:
    """Read a file in pieces of 1 MiB, the last one only once all proved to be as it was listed.

    Parameters
    ----------
    offset
        Where to begin.

    Raises
    ------
    BundleInvalid
        It can't be read, or its size or time of change is no longer what it was.
    """
    try:
        with file.source.open("rb") as stream:
            check_unchanged(file, stream)
            stream.seek(offset)
            left = file.size_bytes - offset
            while left > 0:
                chunk = stream.read(min(_CHUNK_BYTES, left))
                left -= len(chunk)
                if not chunk or left == 0:
                    check_unchanged(file, stream)
                if not chunk:
                    raise _changed(file)
                yield chunk
    except OSError as error:
        raise BundleInvalid(
            f"{file.path!r} can't be read: {error.strerror or error}.", path=file.path
        ) from error


def check_unchanged(file: LocalFile, stream: BinaryIO) -> None:
    """Check that an open file is as it was listed.

    Raises
    ------
    BundleInvalid
        It isn't.
    """
    status = os.fstat(stream.fileno())
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.modified_ns):
        raise _changed(file)


def _changed(file: LocalFile) -> BundleInvalid:
    return BundleInvalid(
        f"{file.path!r} changed while it was uploaded. Upload again when it is written to its end.",
        path=file.path,
    )
