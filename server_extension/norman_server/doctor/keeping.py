"""Makes backups of the registry while the server runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from norman_protocol.errors import NormanError
from norman_server.storage.backups import Backup, make_backup
from norman_server.storage.opening import Storage

__all__ = ["BackupKeeper"]

_log = logging.getLogger(__name__)


class BackupKeeper:
    """Copies ``norman.db`` now and then, where it has changed.

    Parameters
    ----------
    count
        So many of the newest copies stay.
    """

    def __init__(self, storage: Storage, *, count: int) -> None:
        self._storage = storage
        self._count = count

    async def run(self, interval_s: float) -> None:
        """Make a backup now and after each interval, until cancelled; with 0 only now."""
        reason = "at-start"
        while True:
            with suppress(NormanError):  # it is in the log; the next one may go better
                await self.back_up(reason)
            if not interval_s:
                return
            await asyncio.sleep(interval_s)
            reason = "regular"

    async def back_up(self, reason: str) -> Backup | None:
        """Make a backup where the newest one holds something else.

        Raises
        ------
        StorageFull, InternalError
            The disk is full or failed, or the database is damaged.
        """
        home = self._storage.home
        try:
            return await self._storage.files.run(
                lambda: make_backup(home, home.registry_path, reason, keep=self._count)
            )
        except NormanError as error:
            _log.error("There is no new backup: %s", error.message)
            raise
