"""Files of this host as blobs: copied by the kernel where it can, hashed as they are stored."""

from __future__ import annotations

import abc
import errno
import hashlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from norman_protocol.errors import BundleInvalid
from norman_server.storage.files import clone_file

__all__ = ["Syncing", "copy_hashed", "hash_file"]

_STEP_BYTES: Final = 16 << 20
_READ_BYTES: Final = 1 << 20
_SYNCED_BYTES: Final = 128 << 20
_NO_COPY_RANGE: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)


def hash_file(source: int, size_bytes: int, on_done: Callable[[int], None]) -> str:
    """Return the digest of a file's first bytes.

    Parameters
    ----------
    on_done
        Told now and then how many bytes are done.

    Raises
    ------
    BundleInvalid
        The file is shorter.
    """
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(_READ_BYTES))
    for start in range(0, size_bytes, _STEP_BYTES):
        end = min(start + _STEP_BYTES, size_bytes)
        _hash_range(hasher, source, start, end, buffer)
        on_done(end)
    return hasher.hexdigest()


def copy_hashed(source: int, target: int, size_bytes: int, on_done: Callable[[int], None]) -> str:
    """Copy a file's first bytes into an empty one, and return the digest of what stands there.

    The copy is hashed, not the source, which others may write to meanwhile; in a thread of its
    own, so that the slower of the two decides how long it takes. Another one has the disk write
    what is there, rather than all of it at the end.

    Raises
    ------
    BundleInvalid
        The file is shorter.
    OSError
        The disk is full or failed.
    """
    if size_bytes and clone_file(source, target):
        os.ftruncate(target, size_bytes)
        return hash_file(target, size_bytes, on_done)
    hashing, syncing = _Hashing(target), Syncing(target)
    try:
        done = 0
        while done < size_bytes:
            end = min(done + _STEP_BYTES, size_bytes)
            _copy_range(source, target, done, end)
            hashing.follow(done, end)
            syncing.follow(done, end)
            done = end
            on_done(done)
    finally:
        syncing.finish()
        hashing.finish()
    return hashing.digest


class _Follower(abc.ABC):
    """Does something with what was copied, in a thread behind the one that copies."""

    def __init__(self, file: int, name: str) -> None:
        self._file = file
        self._error: BaseException | None = None
        self._ranges: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def follow(self, start: int, end: int) -> None:
        """Go on with these bytes, which are there now."""
        self._ranges.put((start, end))

    def finish(self) -> None:
        """Wait until all is done.

        Raises
        ------
        OSError, BundleInvalid
            The disk failed.
        """
        self._ranges.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while (found := self._ranges.get()) is not None:
                self._take(*found)
        except BaseException as error:  # noqa: BLE001 - told to the one who waits
            self._error = error

    @abc.abstractmethod
    def _take(self, start: int, end: int) -> None: ...


class _Hashing(_Follower):
    """Hashes what was copied."""

    def __init__(self, file: int) -> None:
        self._hasher = hashlib.sha256()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        super().__init__(file, "norman-hashing")

    @property
    def digest(self) -> str:
        """Of all that was followed, once that is finished."""
        return self._hasher.hexdigest()

    def _take(self, start: int, end: int) -> None:
        _hash_range(self._hasher, self._file, start, end, self._buffer)


class Syncing(_Follower):
    """Has the disk write what was copied, rather than all of it at the end: two thirds of the time.

    This makes nothing durable by itself: whoever owns the file syncs it when it is whole.

    Parameters
    ----------
    file
        Its open descriptor, which stays open until this is finished.
    """

    def __init__(self, file: int) -> None:
        self._synced = 0
        super().__init__(file, "norman-syncing")

    def _take(self, start: int, end: int) -> None:
        del start
        if end - self._synced >= _SYNCED_BYTES and self._ranges.empty():
            os.fdatasync(self._file)
            self._synced = end


def _hash_range(hasher: object, file: int, start: int, end: int, buffer: memoryview) -> None:
    while start < end:
        count = os.preadv(file, [buffer[: min(len(buffer), end - start)]], start)
        if not count:
            raise _shorter()
        hasher.update(buffer[:count])  # type: ignore[attr-defined]
        start += count


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        count = _kernel_copy(source, target, start, end - start)
        if count is None:
            data = os.pread(source, min(_READ_BYTES, end - start), start)
            count = os.pwrite(target, data, start)
        if not count:
            raise _shorter()
        start += count


def _kernel_copy(source: int, target: int, start: int, size_bytes: int) -> int | None:
    """Copy within the kernel; None where it can't between these two."""
    if not hasattr(os, "copy_file_range"):
        return None
    try:
        return os.copy_file_range(source, target, size_bytes, start, start)
    except OSError as error:
        if error.errno in _NO_COPY_RANGE:
            return None
        raise


def _shorter() -> BundleInvalid:
    return BundleInvalid("The file became shorter while it was uploaded. Upload it again.")
