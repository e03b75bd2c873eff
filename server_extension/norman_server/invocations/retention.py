"""Forgetting what is old or too much: invocations, what was captured of them, and logs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import NormanError
from norman_protocol.identifiers import first_id_at
from norman_server.storage.faults import disk_faults
from norman_server.storage.opening import Storage

if TYPE_CHECKING:
    from norman_server.storage.db.invocations.rows import InvocationRows

__all__ = ["Forgotten", "Retention", "RetentionLimits", "trim_logs"]

_log = logging.getLogger(__name__)

_BATCH: Final = 200
"""Calls forgotten in one transaction: the importing of the journal waits for no longer."""

_PAUSE_S: Final = 0.01
_KEPT_SHARE: Final = 2
"""A log that is too long is cut to this part of what it may be, so that it isn't cut often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """How long, and up to which size, things are kept; see `NormanExtension` for each."""

    invocations_s: float = 90 * 86400.0
    payloads_s: float = 30 * 86400.0
    invocations_bytes: int = 10 << 30
    logs_s: float = 30 * 86400.0
    log_bytes: int = 64 << 20
    keys_s: float = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What one pass forgot."""

    payloads: int = 0
    invocations: int = 0
    keys: int = 0
    logs: int = 0


class Retention:
    """Forgets the oldest first, in small transactions; a call that goes on is never touched.

    Parameters
    ----------
    now
        The clock by which things are old.
    """

    def __init__(
        self,
        storage: Storage,
        limits: RetentionLimits,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = storage.invocations
        self._files = storage.files
        self._logs = storage.home.logs
        self._limits = limits
        self._now = now

    async def run(self, interval_s: float) -> None:
        """Do a pass now and then until cancelled; a failure is logged and tried again."""
        while True:
            try:
                forgotten = await self.forget()
                if forgotten != Forgotten():
                    _log.info("forgot what is old or too much: %s", forgotten)
            except NormanError as error:
                _log.warning("what is old can't be forgotten for now: %s", error.message)
            await asyncio.sleep(interval_s)

    async def forget(self) -> Forgotten:
        """Forget whatever is over its limit; return how much that was.

        Raises
        ------
        StorageFull, InternalError
            Database or disk failed; what was forgotten stays so.
        """
        limits, now = self._limits, self._now()
        payloads = await self._repeat(_payloads_before(_boundary(now, limits.payloads_s)))
        invocations = await self._repeat(_invocations_before(_boundary(now, limits.invocations_s)))
        payloads += await self._repeat(_payloads_above(limits.invocations_bytes))
        invocations += await self._repeat(_invocations_above(limits.invocations_bytes))
        expired = now - timedelta(seconds=limits.keys_s)
        keys = await self._database.write(lambda rows: rows.drop_keys(expired))
        logs = await self._files.run(
            lambda: trim_logs(
                self._logs,
                written_before=now.timestamp() - limits.logs_s,
                limit_bytes=limits.log_bytes,
            )
        )
        return Forgotten(payloads=payloads, invocations=invocations, keys=keys, logs=logs)

    async def _repeat(self, step: Callable[[InvocationRows], int]) -> int:
        total = 0
        while count := await self._database.write(step):
            total += count
            await asyncio.sleep(_PAUSE_S)
        return total


def _boundary(now: datetime, kept_s: float) -> str:
    return first_id_at(now.timestamp() - kept_s)


def _payloads_before(boundary: str) -> Callable[[InvocationRows], int]:
    return lambda rows: rows.drop_payloads(_BATCH, before_id=boundary)


def _invocations_before(boundary: str) -> Callable[[InvocationRows], int]:
    return lambda rows: rows.drop_invocations(_BATCH, before_id=boundary)


def _payloads_above(limit_bytes: int) -> Callable[[InvocationRows], int]:
    def step(rows: InvocationRows) -> int:
        excess_bytes = rows.used_bytes() - limit_bytes
        return rows.drop_payloads(_BATCH, enough_bytes=excess_bytes) if excess_bytes > 0 else 0

    return step


def _invocations_above(limit_bytes: int) -> Callable[[InvocationRows], int]:
    def step(rows: InvocationRows) -> int:
        return rows.drop_invocations(_BATCH) if rows.used_bytes() > limit_bytes else 0

    return step


def trim_logs(folder: Path, *, written_before: float, limit_bytes: int) -> int:
    """Empty logs that nobody wrote to for long, and cut long ones to their end.

    Returns
    -------
    int
        How many were emptied or cut.

    Raises
    ------
    StorageFull, InternalError
        The disk failed.
    """
    count = 0
    with disk_faults("clearing old logs"):
        for path in sorted(folder.glob("*.log")):
            try:
                found = path.stat()
                if found.st_mtime < written_before and found.st_size:
                    # Not deleted: a worker that has it open would write to nowhere.
                    os.truncate(path, 0)
                elif found.st_size > limit_bytes:
                    _cut(path, found.st_size, limit_bytes // _KEPT_SHARE)
                else:
                    continue
            except FileNotFoundError:  # somebody else deleted it
                continue
            count += 1
    return count


def _cut(path: Path, size_bytes: int, kept_bytes: int) -> None:
    """Keep the end of a log, from the beginning of a line on.

    In place, since its writers have it open, each to append; what they write in these moments may
    be lost, which is the price of not stopping them.
    """
    with path.open("r+b") as file:
        file.seek(size_bytes - kept_bytes)
        tail = file.read()
        _, newline, lines = tail.partition(b"\n")
        file.seek(0)
        file.truncate()
        file.write(lines if newline else tail)
        file.flush()
        os.fsync(file.fileno())
