"""Looks for bit rot: reads every blob now and then, slowly, and sets aside what is damaged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from norman_protocol.errors import NormanError
from norman_server.storage.opening import Storage

__all__ = ["Scrubber"]

_log = logging.getLogger(__name__)

_PAGE: Final = 200
_STEP_BYTES: Final = 8 << 20


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Scrubber:
    """Verifies the blobs of a storage, one after the other.

    A damaged one is moved to quarantine and counts as missing: the versions that need it say so,
    and to upload it again heals them.

    Parameters
    ----------
    bytes_per_s
        How fast blobs are read, at most: this is nobody's hurry.
    pause
        Waits so many seconds.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        bytes_per_s: float,
        now: Callable[[], datetime] = _utc_now,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = storage.registry
        self._blobs = storage.blobs
        self._files = storage.files
        self._bytes_per_s = bytes_per_s
        self._now = now
        self._pause = pause

    async def run(self, interval_s: float) -> None:
        """Scrub again and again, until cancelled."""
        while True:
            await self._pause(interval_s)
            try:
                await self.scrub()
            except NormanError:
                _log.exception("The stored blobs can't be verified now")

    async def scrub(self) -> tuple[str, ...]:
        """Verify every blob once, and return the digests of the damaged ones.

        Raises
        ------
        StorageFull, InternalError
            The disk or the database failed.
        """
        await self._files.run(self._blobs.sweep)
        damaged: list[str] = []
        after = ""
        while page := await self._page(after):
            for digest in page:
                if not await self._is_sound(digest):
                    await self._set_aside(digest)
                    damaged.append(digest)
            after = page[-1]
        return tuple(damaged)

    async def _page(self, after: str) -> list[str]:
        return await self._database.read(lambda rows: rows.blobs.page(after, _PAGE))

    async def _is_sound(self, digest: str) -> bool:
        reading = self._blobs.examine(digest, _STEP_BYTES)
        while True:
            found = await self._files.run(lambda: next(reading))
            if isinstance(found, bool):
                return found
            await self._pause(found / self._bytes_per_s)

    async def _set_aside(self, digest: str) -> None:
        # The mark first: what is marked and still there is found again, what is gone and not
        # marked would be missed by nobody.
        now = self._now()
        await self._database.write(lambda rows: rows.blobs.quarantine([digest], now))
        moved = await self._files.run(lambda: self._blobs.quarantine(digest))
        _log.error(
            "blob %s is %s; upload a version that has it again",
            digest,
            "damaged, and set aside" if moved else "missing",
        )
