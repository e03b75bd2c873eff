"""Clean-up: removes blobs, trees and logs that nothing needs any more, while uploads go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import NormanError
from norman_protocol.rest import GarbageReport
from norman_server.registry.orphans import (
    allocated_bytes,
    find_orphans,
    find_strays,
    note_strays,
    remove_path,
)
from norman_server.storage.opening import Storage

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["Collector", "remove_leftovers"]

_log = logging.getLogger(__name__)

_BATCH: Final = 100
"""Blobs of one transaction: publishing waits for it, and each of them is only renamed there."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove files of versions that were forgotten; what can't be removed waits for clean-up."""
    for path in paths:
        try:
            remove_path(path)
        except NormanError as error:
            _log.warning("%s can't be removed now: %s", path.name, error.message)


class Collector:
    """Removes what no version needs, once it has lain unused for the grace.

    A blob that a version has is never touched: it is taken out within the transaction that forgets
    it, and only while nobody stores it (see `norman_server.storage.blobs.claims`).

    Parameters
    ----------
    grace_s
        Seconds that a blob stays after somebody last counted on it: an upload asks first which
        blobs are missing, and publishes when it has sent those.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        grace_s: float,
        now: Callable[[], datetime] = _utc_now,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._storage = storage
        self._home = storage.home
        self._database = storage.registry
        self._blobs = storage.blobs
        self._files = storage.files
        self._grace_s = grace_s
        self._now = now
        self._pause = pause
        self._turn = asyncio.Lock()

    async def run(self, interval_s: float) -> None:
        """Clean up again and again, until cancelled; with an interval of 0 never."""
        while interval_s:
            with suppress(NormanError):  # it is in the log; the next round may go better
                await self.collect()
            await self._pause(interval_s)

    async def collect(self, *, dry_run: bool = False) -> GarbageReport:
        """Remove what nothing needs, or only say what that is.

        Raises
        ------
        StorageFull, InternalError
            The disk or the database failed.
        """
        async with self._turn:
            try:
                report = await self._files.run(lambda: self._collect(dry_run))
            except NormanError as error:
                _log.error("Clean-up failed: %s", error.message)
                raise
        if not dry_run and (report.blobs or report.trees or report.logs):
            _log.info(
                "clean-up removed %d blobs (%d bytes), %d trees and %d logs",
                report.blobs,
                report.blob_bytes,
                report.trees,
                report.logs,
            )
        return report

    def _collect(self, dry_run: bool) -> GarbageReport:
        since = self._now() - timedelta(seconds=self._grace_s)
        if not dry_run:  # a round that failed may have taken out what its transaction then kept
            self._blobs.recover_discarded(self._noted)
        orphans = find_orphans(self._home, self._version_ids)
        tree_bytes, log_bytes = allocated_bytes(orphans.trees), allocated_bytes(orphans.logs)
        blobs, blob_bytes = self._sweep_noted(since, dry_run)
        damaged_bytes = self._blobs.unstored().quarantined_bytes
        if not dry_run:
            self._adopt_strays()
            for path in (*orphans.trees, *orphans.logs):
                remove_path(path)
            damaged_bytes = self._blobs.empty_quarantine(self._still_damaged)
            self._blobs.sweep()
        waiting, waiting_bytes = self._database.read_now(lambda rows: rows.blobs.waiting())
        return GarbageReport(
            dry_run=dry_run,
            blobs=blobs,
            blob_bytes=blob_bytes,
            trees=len(orphans.trees),
            tree_bytes=tree_bytes,
            logs=len(orphans.logs),
            log_bytes=log_bytes,
            damaged_bytes=damaged_bytes,
            waiting=waiting - (blobs if dry_run else 0),
            waiting_bytes=waiting_bytes - (blob_bytes if dry_run else 0),
            grace_s=self._grace_s,
        )

    def _version_ids(self) -> set[str]:
        return self._database.read_now(lambda rows: rows.versions.ids())

    def _still_damaged(self, digests: Sequence[str]) -> set[str]:
        """Keep the damaged bytes of blobs that versions wait for: somebody may look at them."""
        return self._database.read_now(
            lambda rows: rows.blobs.noted(digests) - set(rows.blobs.sizes(digests))
        )

    def _sweep_noted(self, since: datetime, dry_run: bool) -> tuple[int, int]:
        """Remove blobs that are noted and that no version has."""
        count = size_bytes = 0
        after = ""
        while found := self._unreferenced(since, after):
            gone = list(found) if dry_run else self._remove(list(found), since)
            count += len(gone)
            size_bytes += sum(found[digest] for digest in gone)
            after = max(found)
        return count, size_bytes

    def _unreferenced(self, since: datetime, after: str) -> dict[str, int]:
        return self._database.read_now(
            lambda rows: rows.blobs.unreferenced(since, after=after, limit=_BATCH)
        )

    def _adopt_strays(self) -> None:
        for strays in find_strays(self._storage):
            _log.info("%d files of uploads that broke off are noted", len(strays))
            note_strays(self._storage, strays, self._now())

    def _noted(self, digests: Sequence[str]) -> set[str]:
        return self._database.read_now(lambda rows: rows.blobs.noted(digests))

    def _remove(self, digests: Sequence[str], since: datetime) -> list[str]:
        def forget(rows: RegistryRows) -> list[str]:
            needed = rows.blobs.needed(digests, since)
            gone = [one for one in digests if one not in needed and self._blobs.discard(one)]
            rows.blobs.remove(gone)
            return gone

        try:
            gone = self._database.write_now(forget)
        except BaseException:  # rolled back: the blobs are still noted, so they go back at once
            self._blobs.recover_discarded(self._noted)
            raise
        self._blobs.empty_discarded()
        return gone
