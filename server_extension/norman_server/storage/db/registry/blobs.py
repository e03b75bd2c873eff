"""Queries on blobs: which bytes are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from norman_server.storage.db.registry.tables import blobs

__all__ = ["BlobRows"]

_VARIABLES: Final = 500
"""Parameters of one statement; databases bound their number."""


class BlobRows:
    """Queries within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sizes(self, digests: Sequence[str]) -> dict[str, int]:
        """Return the sizes in bytes of those blobs that are stored."""
        found: dict[str, int] = {}
        for start in range(0, len(digests), _VARIABLES):
            some = digests[start : start + _VARIABLES]
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

    def add(self, digest: str, size_bytes: int, created_at: datetime) -> None:
        """Note a blob whose bytes are on disk; one that is noted already stays as it is."""
        self._mark([digest], None)
        if digest in self.sizes([digest]):
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

    def _mark(self, digests: Sequence[str], moment: datetime | None) -> None:
        for start in range(0, len(digests), _VARIABLES):
            some = digests[start : start + _VARIABLES]
            changed = (
                blobs.c.quarantined_at.is_(None)
                if moment is not None
                else blobs.c.quarantined_at.is_not(None)
            )
            self._connection.execute(
                update(blobs).where(blobs.c.digest.in_(some), changed).values(quarantined_at=moment)
            )
