"""A blob on its way to the disk: hashed while it is written, verified, synced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from norman_protocol.errors import BundleInvalid
from norman_protocol.frames import Buffer
from norman_server.storage.blobs.base import BlobWriter
from norman_server.storage.blobs.copying import Syncing
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import make_folder, sync_folder

if TYPE_CHECKING:
    from hashlib import _Hash
    from io import FileIO

__all__ = ["Checkpoint", "FileWriter", "pass_on", "settle", "wrong_digest"]

_LARGE_BYTES: Final = 64 << 20
"""From here on a blob is worth threads of its own."""

Checkpoint: TypeAlias = Callable[[str], None]
"""Told ``written``, ``synced``, ``renamed`` and ``kept``, in this order, as a blob gets there.

A test ends the process at one of them, and looks at what is left.
"""


def pass_on(step: str) -> None:
    """Take a step without stopping."""


class FileWriter(BlobWriter):
    """Writes one file.

    Parameters
    ----------
    file
        Open for writing, unbuffered, at its end.
    part, path
        Where the file is, and where it goes when it is whole.
    hasher, offset
        Of what the file holds already.
    on_closed
        Called once, when the file is closed for whatever reason, with whether it is kept.
    """

    def __init__(
        self,
        digest: str,
        file: FileIO,
        *,
        part: Path,
        path: Path,
        checkpoint: Checkpoint,
        hasher: _Hash | None = None,
        offset: int = 0,
        on_closed: Callable[[bool], None] | None = None,
    ) -> None:
        self.hasher = hashlib.sha256() if hasher is None else hasher
        self._digest = digest
        self._file: FileIO | None = file
        self._part = part
        self._path = path
        self._checkpoint = checkpoint
        self._offset = offset
        self._on_closed = on_closed
        self._written = 0
        self._large: _Large | None = None

    @property
    def offset(self) -> int:
        """Bytes taken so far; see the base class."""
        return self._offset

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes; see the base class."""
        file = self._open_file()
        view = memoryview(chunk).cast("B")
        with self._abort_on_error():
            if self._large is None and self._written >= _LARGE_BYTES:
                self._large = _Large(file)
            with contextlib.ExitStack() as beside:
                if self._large is None:
                    self.hasher.update(view)
                else:
                    beside.callback(self._large.hash(self.hasher, view))
                left = view
                while left.nbytes:
                    left = left[file.write(left) or 0 :]
        self._offset += view.nbytes
        self._written += view.nbytes
        if self._large is not None:
            self._large.syncing.follow(self._offset - view.nbytes, self._offset)

    def commit(self) -> int:
        """Make the blob durable; see the base class."""
        file = self._open_file()
        found = self.hasher.hexdigest()
        if found != self._digest:
            self.abort()
            raise wrong_digest(found, self._digest)
        with self._abort_on_error():
            self._finish_large()
            settle(file.fileno(), self._part, self._path, self._checkpoint)
        self._close(kept=False)
        return self._offset

    def abort(self) -> None:
        """Forget what was written; see the base class."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # what can't be removed now is swept later
            self._part.unlink()
        self._close(kept=False)

    def suspend(self) -> None:
        """Keep what was written where somebody may go on with it; see the base class."""
        if self._on_closed is None:
            self.abort()
        elif self._file is not None:
            self._close(kept=True)

    def _close(self, *, kept: bool) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                self._finish_large()
            with contextlib.suppress(OSError):
                file.close()
            if self._on_closed is not None:
                self._on_closed(kept)

    def _finish_large(self) -> None:
        large, self._large = self._large, None
        if large is not None:
            large.finish()

    def _open_file(self) -> FileIO:
        if self._file is None:
            raise ValueError("the writer is committed or aborted, or suspended")
        return self._file

    @contextlib.contextmanager
    def _abort_on_error(self) -> Iterator[None]:
        try:
            with disk_faults("storing a blob"):
                yield
        except BaseException:
            self.abort()
            raise


class _Large:
    """What is done beside writing a large blob: hashing it, and having the disk write early."""

    def __init__(self, file: FileIO) -> None:
        self.syncing = Syncing(file.fileno())
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="norman-hashing")

    def hash(self, hasher: _Hash, view: memoryview) -> Callable[[], None]:
        """Begin to hash, and return what waits for the end of it."""
        return self._hashing.submit(hasher.update, view).result

    def finish(self) -> None:
        """End the threads.

        Raises
        ------
        OSError
            The disk failed.
        """
        self._hashing.shutdown()
        self.syncing.finish()


def settle(file: int, part: Path, path: Path, checkpoint: Checkpoint) -> None:
    """Make a whole and verified file durable in its place.

    Parameters
    ----------
    file
        Its open descriptor.
    part, path
        Where it is and where it goes.
    """
    checkpoint("written")
    os.fchmod(file, 0o400)
    os.fsync(file)
    checkpoint("synced")
    make_folder(path.parent)
    # Renaming over a blob that is there replaces it by the same bytes, just verified.
    part.replace(path)
    checkpoint("renamed")
    sync_folder(path.parent)
    checkpoint("kept")


def wrong_digest(found: str, expected: str) -> BundleInvalid:
    """Make the error for bytes that are not what they were announced as."""
    return BundleInvalid(
        f"The bytes that came have the digest {found[:12]}…, not {expected[:12]}…: "
        "the file changed meanwhile, or was damaged on its way. Upload it again.",
        digests=[expected],
    )
