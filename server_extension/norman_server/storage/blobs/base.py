"""What a store of blobs offers; ``tests/conformance`` holds every store to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from norman_protocol.frames import Buffer
from norman_server.storage.blobs.claims import Claims

__all__ = ["BlobStore", "BlobWriter", "StoredBlob", "Unstored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A blob as it lies in the store."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstored:
    """Bytes of the store that are no blobs: on their way in, and set aside as damaged."""

    incoming_bytes: int
    quarantined_bytes: int


class BlobWriter(ABC):
    """Takes the bytes of one blob; nothing is stored before `commit`.

    Synchronous, and for one thread at a time. As a context manager it aborts what wasn't committed.
    """

    @abstractmethod
    def write(self, chunk: Buffer) -> None:
        """Take the next bytes.

        Raises
        ------
        StorageFull, InternalError
            The disk is full or failed; the writer has aborted itself.
        """

    @abstractmethod
    def commit(self) -> int:
        """Verify the digest, make the blob durable, and return its size in bytes.

        Raises
        ------
        BundleInvalid
            The bytes have another digest; nothing is kept.
        StorageFull, InternalError
            The disk is full or failed; nothing is kept.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget what was written. Harmless after `commit` and a second time."""

    @abstractmethod
    def suspend(self) -> None:
        """Keep what was written for a later `BlobStore.resume`, where that was how it began.

        A writer that `BlobStore.begin` gave aborts instead. Harmless after `commit`.
        """

    @property
    @abstractmethod
    def offset(self) -> int:
        """Bytes taken so far, those of the writers before this one included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()


class BlobStore(ABC):
    """Holds blobs by digest. Synchronous and thread-safe; digests are checked by the caller.

    Attributes
    ----------
    claims
        Who stores a blob claims it until it is noted; `discard` leaves claimed ones alone.
    """

    def __init__(self) -> None:
        self.claims = Claims()

    @abstractmethod
    def begin(self, digest: str) -> BlobWriter:
        """Begin to store the blob ``digest``; storing it again does no harm.

        Raises
        ------
        StorageFull, InternalError
            The disk is full or failed.
        """

    @abstractmethod
    def resume(self, digest: str, offset: int) -> BlobWriter:
        """Go on with the unfinished blob ``digest``, or begin one that can be gone on with.

        One writer at a time has an unfinished blob; what it wrote outlives it and this program.

        Raises
        ------
        RangeInvalid
            What is kept doesn't end at ``offset``; the error's own says where it does.
        Conflict
            Another writer has it.
        StorageFull, InternalError
            The disk is full or failed.
        """

    @abstractmethod
    def copy_in(
        self, source: int, size_bytes: int, *, digest: str | None, on_done: Callable[[int], None]
    ) -> str:
        """Store the first bytes of an open file, and return their digest.

        Parameters
        ----------
        digest
            What they must have; None where that shows here.
        on_done
            Told now and then how many bytes are done; what it raises ends the copy.

        Raises
        ------
        BundleInvalid
            They have another digest, or the file is shorter; nothing is kept.
        StorageFull, InternalError
            The disk is full or failed; nothing is kept.
        """

    @abstractmethod
    def offset(self, digest: str) -> int:
        """Return how many bytes of an unfinished blob are kept, 0 where there is none."""

    @abstractmethod
    def examine(self, digest: str, step_bytes: int) -> Iterator[int | bool]:
        """Read a blob in steps: gives the size of each, and at its end whether the blob is sound.

        Raises
        ------
        InternalError
            The disk failed in a way that says nothing of the blob.
        """

    @abstractmethod
    def quarantine(self, digest: str) -> bool:
        """Set a damaged blob aside, so that it counts as missing; False where there is none.

        One that proves to be sound after all, since it was stored again meanwhile, is left.
        """

    @abstractmethod
    def sweep(self) -> None:
        """Remove unfinished blobs that nobody went on with for long."""

    @abstractmethod
    def stored(self) -> Iterator[StoredBlob]:
        """Walk over every blob, in no order; what comes or goes meanwhile may be missed.

        Raises
        ------
        InternalError
            The disk failed.
        """

    @abstractmethod
    def unstored(self) -> Unstored:
        """Return what takes room besides blobs."""

    @abstractmethod
    def discard(self, digest: str) -> bool:
        """Take a blob out that nobody claims, for `empty_discarded`; say whether it is out.

        Where no such blob is stored, it is. To be called within the transaction that forgets it.
        """

    @abstractmethod
    def empty_discarded(self) -> None:
        """Remove what was discarded, after the transaction that forgot it."""

    @abstractmethod
    def recover_discarded(self, noted: Callable[[Sequence[str]], Collection[str]]) -> None:
        """At the start: take back what was discarded, and not forgotten, when the server ended.

        Parameters
        ----------
        noted
            Which of these blobs are still noted.
        """

    @abstractmethod
    def empty_quarantine(self, keep: Callable[[Sequence[str]], Collection[str]]) -> int:
        """Remove damaged blobs but those that ``keep`` names, and return how many bytes went."""

    @abstractmethod
    def size(self, digest: str) -> int | None:
        """Return the size in bytes of a blob, None where it isn't stored."""

    @abstractmethod
    def read_head(self, digest: str, limit_bytes: int) -> bytes:
        """Return at most so many first bytes; fewer only where the blob is shorter.

        Raises
        ------
        BundleInvalid
            The blob isn't stored.
        """

    @abstractmethod
    def store_all(self, blobs: Sequence[tuple[str, Buffer]]) -> None:
        """Store small blobs whose digests were checked; all of them are durable after this.

        Raises
        ------
        StorageFull, InternalError
            The disk is full or failed; some of them may be stored.
        """

    @abstractmethod
    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading, unbuffered or not; the caller closes it.

        Raises
        ------
        BlobNotFound
            The blob isn't stored.
        """

    @abstractmethod
    def copy_to(self, digest: str, path: Path, *, executable: bool) -> None:
        """Make the new file ``path`` of a blob's bytes: read-only, durable, never a link to them.

        Raises
        ------
        BundleInvalid
            The blob isn't stored, or is damaged: it is gone from the store then, so that it can
            be sent again.
        StorageFull, InternalError
            The disk is full or failed.
        """
