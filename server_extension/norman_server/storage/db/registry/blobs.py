"""Queries on blobs: which bytes are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from norman_server.storage.db.registry.tables import blobs, version_blobs

__all__ = ["BlobRows"]

_VARIABLES: Final = 500
"""Parameters of one statement; databases bound their number."""

_TOUCHED: Final[ColumnElement[Any]] = func.coalesce(blobs.c.touched_at, blobs.c.created_at)
_REFERENCED: Final = (
    select(version_blobs.c.digest).where(version_blobs.c.digest == blobs.c.digest).exists()
)


class BlobRows:
    """Queries within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sizes(self, digests: Sequence[str]) -> dict[str, int]:
        """Return the sizes in bytes of those blobs that are stored."""
        found: dict[str, int] = {}
        for some in _slices(digests):
            query = select(blobs.c.digest, blobs.c.size_bytes).where(
                blobs.c.digest.in_(some), blobs.c.quarantined_at.is_(None)
            )
            found.update((row.digest, row.size_bytes) for row in self._connection.execute(query))
        return found

    def any_of_size(self, size_bytes: int) -> bool:
        """Whether a blob of this size is noted."""
        query = select(blobs.c.digest).where(blobs.c.size_bytes == size_bytes).limit(1)
        return self._connection.execute(query).first() is not None

    def add_all(self, sizes: Mapping[str, int], created_at: datetime) -> None:
        """Note many blobs as `add` does."""
        self._mark(tuple(sizes), None)
        noted = self.sizes(tuple(sizes))
        rows = [
            {"digest": digest, "size_bytes": size_bytes, "created_at": created_at}
            for digest, size_bytes in sizes.items()
            if digest not in noted
        ]
        if rows:
            self._connection.execute(insert(blobs), rows)
        self.touch(tuple(noted), created_at)

    def add(self, digest: str, size_bytes: int, created_at: datetime) -> None:
        """Note a blob whose bytes are on disk; one that is noted already stays as it is."""
        self._mark([digest], None)
        if digest in self.sizes([digest]):
            self.touch([digest], created_at)
            return
        self._connection.execute(
            insert(blobs).values(digest=digest, size_bytes=size_bytes, created_at=created_at)
        )

    def page(self, after: str, limit: int) -> list[str]:
        """Return the digests that follow one, of blobs that count as stored."""
        query = (
            select(blobs.c.digest)
            .where(blobs.c.digest > after, blobs.c.quarantined_at.is_(None))
            .order_by(blobs.c.digest)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def quarantine(self, digests: Sequence[str], now: datetime) -> None:
        """Note that blobs are damaged or gone; `add` takes that back."""
        self._mark(digests, now)

    def touch(self, digests: Sequence[str], now: datetime) -> None:
        """Note that somebody counts on blobs being stored."""
        for some in _slices(digests):
            self._connection.execute(
                update(blobs).where(blobs.c.digest.in_(some)).values(touched_at=now)
            )

    def untouched(self, digests: Sequence[str], since: datetime) -> list[str]:
        """Return those of these blobs that nobody has counted on since then."""
        return [
            digest
            for some in _slices(digests)
            for digest in self._connection.execute(
                select(blobs.c.digest).where(blobs.c.digest.in_(some), since > _TOUCHED)
            ).scalars()
        ]

    def unreferenced(self, since: datetime, *, after: str = "", limit: int) -> dict[str, int]:
        """Return digest → size of blobs, by digest, that no version has and nobody touched since.

        Parameters
        ----------
        after
            Only digests that follow this one.
        """
        query = (
            select(blobs.c.digest, blobs.c.size_bytes)
            .where(blobs.c.digest > after, ~_REFERENCED, since > _TOUCHED)
            .order_by(blobs.c.digest)
            .limit(limit)
        )
        return {row.digest: row.size_bytes for row in self._connection.execute(query)}

    def waiting(self) -> tuple[int, int]:
        """Return how many blobs no version has, and their bytes."""
        query = select(func.count(), func.coalesce(func.sum(blobs.c.size_bytes), 0)).where(
            ~_REFERENCED
        )
        row = self._connection.execute(query).one()
        return int(row[0]), int(row[1])

    def total_bytes(self) -> int:
        """Return the size of all blobs that count as stored."""
        query = select(func.coalesce(func.sum(blobs.c.size_bytes), 0)).where(
            blobs.c.quarantined_at.is_(None)
        )
        return int(self._connection.execute(query).scalar_one())

    def needed(self, digests: Sequence[str], since: datetime) -> set[str]:
        """Return those of these blobs that a version has, or that were touched since."""
        return {
            digest
            for some in _slices(digests)
            for digest in self._connection.execute(
                select(blobs.c.digest).where(
                    blobs.c.digest.in_(some), _REFERENCED | (since <= _TOUCHED)
                )
            ).scalars()
        }

    def noted(self, digests: Sequence[str]) -> set[str]:
        """Return those of these blobs that are noted, also as damaged."""
        return {
            digest
            for some in _slices(digests)
            for digest in self._connection.execute(
                select(blobs.c.digest).where(blobs.c.digest.in_(some))
            ).scalars()
        }

    def remove(self, digests: Sequence[str]) -> None:
        """Forget blobs; no version has one of them."""
        for some in _slices(digests):
            self._connection.execute(delete(blobs).where(blobs.c.digest.in_(some)))

    def _mark(self, digests: Sequence[str], moment: datetime | None) -> None:
        for some in _slices(digests):
            changed = (
                blobs.c.quarantined_at.is_(None)
                if moment is not None
                else blobs.c.quarantined_at.is_not(None)
            )
            self._connection.execute(
                update(blobs).where(blobs.c.digest.in_(some), changed).values(quarantined_at=moment)
            )


def _slices(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), _VARIABLES):
        yield digests[start : start + _VARIABLES]
