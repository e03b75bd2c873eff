"""The record of invocations: brought up to date from the journal, and read in pages."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import (
    Conflict,
    InvocationNotFound,
    NormanError,
    RequestInvalid,
    error_from_wire,
)
from norman_protocol.messages import InvocationState, Result
from norman_protocol.references import Reference, parse_reference
from norman_protocol.rest import InvocationDetail, InvocationPage
from norman_server.deployments.waiting import Waiters
from norman_server.domain.records import NO_EXECUTOR, InvocationRecord
from norman_server.domain.states import INVOCATION_FOLLOWERS
from norman_server.invocations.folding import interruption
from norman_server.invocations.importing import JournalImporter
from norman_server.invocations.live import LiveCalls
from norman_server.invocations.rendering import invocation_detail, invocation_summary
from norman_server.storage.opening import Storage

if TYPE_CHECKING:
    from norman_server.storage.db.invocations.rows import InvocationRows

__all__ = ["InvocationLog"]

_log = logging.getLogger(__name__)

_PAGE_LIMIT: Final = 500
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.3
_END_PATIENCE_S: Final = 2.0
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class InvocationLog:
    """What was called and how it ended, in ``invocations.db``.

    Every method may raise `StorageFull` (the disk is full) and `InternalError` (the database or
    the disk failed), besides what it names. For one event loop.

    Parameters
    ----------
    storage
        Stays open for longer than this.
    now
        The clock by which interrupted calls end.
    live
        Knows of calls that go on; without it, whatever has no end is queued.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        now: Callable[[], datetime] = _utc_now,
        live: LiveCalls | None = None,
    ) -> None:
        self._database = storage.invocations
        self._files = storage.files
        self._importer = JournalImporter(
            folder=storage.home.journal, database=storage.invocations, files=storage.files
        )
        self._now = now
        self._live = live
        self._waiters = Waiters()
        self._lock = asyncio.Lock()
        self._passes_begun = 0
        self._last_done = 0

    async def import_journal(self) -> None:
        """Record whatever executors had written when this was called.

        Callers that wait for the same thing share one pass.
        """
        # The pass that goes on may have gone by what was written last: one that begins from now
        # on is wanted, whoever runs it.
        wanted = self._passes_begun + 1
        async with self._lock:
            if self._last_done >= wanted:
                return
            await self._pass(())

    async def executor_ended(self, executor_id: str) -> int:
        """Record the rest of what an executor wrote that is gone, and interrupt what was open.

        Returns
        -------
        int
            How many invocations were interrupted.
        """
        async with self._lock:
            await self._pass({executor_id})
            return await self._interrupt({executor_id})

    async def recover(self, live: Collection[str] = ()) -> int:
        """Do so for every executor but the live ones: at the start, before the first is spawned.

        Returns
        -------
        int
            How many invocations were interrupted.
        """
        async with self._lock:
            written = await self._importer.executors()
            recorded = await self._database.read(lambda rows: rows.open_executors())
            ended = (written | recorded) - set(live)
            await self._pass(ended)
            return await self._interrupt(ended)

    async def run(self, interval_s: float = 1.0) -> None:
        """Keep the record up to date until cancelled; a failure is logged and tried again."""
        failing = False
        while True:
            try:
                await self.import_journal()
                failing = False
            except NormanError as error:
                if not failing:  # a full disk would fill the log as well
                    _log.warning("calls can't be recorded for now: %s", error.message)
                failing = True
            await asyncio.sleep(interval_s)

    async def page(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        model: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
    ) -> InvocationPage:
        """Return recorded invocations, newest first.

        Parameters
        ----------
        limit
            From 1 to 500.
        cursor
            ``next_cursor`` of the page before.
        model
            Only those of this model, or of one version of it, as ``digits@2``.
        state
            Only those in this state.
        since
            Only those accepted from this time on.

        Raises
        ------
        RequestInvalid, NameInvalid
            A parameter is out of bounds, or no reference.
        """
        wanted = _check_state(state)
        reference = None if model is None else _check_model(model)
        if not 1 <= limit <= _PAGE_LIMIT:
            raise RequestInvalid(
                f"limit must be from 1 to {_PAGE_LIMIT}, not {limit}.", field="limit"
            )
        if cursor is not None and not _ID.fullmatch(cursor):
            raise RequestInvalid(
                "The cursor is none that a page gave. Start again without one.", field="cursor"
            )
        # One more than is shown tells whether another page follows.
        running: Collection[str] = ()
        if wanted in ("queued", "running"):
            running = await self._running()
        found = await self._database.read(
            lambda rows: rows.page(
                limit=limit + 1,
                before_id=cursor,
                reference=reference,
                state="queued" if wanted == "running" else wanted,
                since=since,
                among=running if wanted == "running" else None,
                apart_from=running if wanted == "queued" else (),
            )
        )
        shown = found[:limit]
        if wanted is None and any(map(_may_run, shown)):
            running = await self._running()
        shown = [_as_it_is(record, running) for record in shown]
        return InvocationPage(
            items=tuple(map(invocation_summary, shown)),
            next_cursor=shown[-1].id if len(found) > limit else None,
        )

    async def detail(self, invocation_id: str) -> InvocationDetail:
        """Return an invocation with what was captured of it.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        """
        running: Collection[str] = ()
        if _may_run(await self.record(invocation_id)):
            running = await self._running()

        def find(rows: InvocationRows) -> InvocationDetail:
            return invocation_detail(_as_it_is(_find(rows, invocation_id), running))

        return await self._database.read(find)

    async def record(self, invocation_id: str, *, with_values: bool = False) -> InvocationRecord:
        """Return what is recorded of an invocation; with what was captured of it, if wanted.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        """
        return await self._database.read(
            lambda rows: _find(rows, invocation_id, with_values=with_values)
        )

    async def wait(self, invocation_id: str, wait_s: float | None) -> InvocationRecord:
        """Return an invocation when it has ended, or after so many seconds.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        """
        loop = asyncio.get_running_loop()
        deadline = None if wait_s is None else loop.time() + wait_s
        pause_s = _FIRST_PAUSE_S
        while True:
            with self._waiters.watch(invocation_id) as change:
                await self.import_journal()
                record = await self.record(invocation_id)
                left_s = pause_s if deadline is None else min(pause_s, deadline - loop.time())
                if record.end is not None or left_s <= 0:
                    return record
                # The end of a call that came another way shows in the journal alone.
                await asyncio.wait([change], timeout=left_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    def announce(self, invocation_id: str) -> None:
        """Wake who waits for an invocation: it has ended."""
        self._waiters.announce(invocation_id)

    async def outcome(
        self, invocation_id: str, *, wait_s: float | None = None
    ) -> Result | NormanError | None:
        """Return how a call ended, waiting for it; None where it goes on after ``wait_s``.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        Conflict
            It succeeded, and its outputs were not kept.
        """
        await self.wait(invocation_id, wait_s)
        record = await self.record(invocation_id, with_values=True)
        end = record.end
        if end is None:
            return None
        if end.state != "succeeded":
            details = {**end.error_details, "invocation_id": record.id}
            return error_from_wire(
                end.error_code or "internal_error", end.error_message or "", details
            )
        if end.outputs is None:
            raise Conflict(
                f"The invocation {record.id} succeeded, and its outputs ({end.output_bytes} bytes) "
                "are not kept: they were too large, or too old. Replay it to get them again.",
                name=record.id,
            )
        return Result(
            id="",
            invocation_id=record.id,
            reference=record.reference,
            timings=end.timings,
            logs=end.logs,
            values=end.outputs,
        )

    async def cancel(self, invocation_id: str) -> None:
        """End a call that an executor has; return when it has ended, as a rule.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        ExecutorUnavailable, Interrupted
            No executor answers.
        """
        await self.import_journal()
        record = await self.record(invocation_id)
        if record.end is None and self._live is not None and await self._live.cancel(record.id):
            await self.wait(invocation_id, _END_PATIENCE_S)

    async def _running(self) -> Collection[str]:
        return () if self._live is None else await self._live.running()

    async def _pass(self, ended: Collection[str]) -> None:
        self._passes_begun += 1
        number = self._passes_begun
        await self._importer.run(ended)
        self._last_done = number

    async def _interrupt(self, executors: Collection[str]) -> int:
        end = interruption(self._now())
        interrupted = await self._database.write(
            lambda rows: sum(rows.end_all(executor_id, end) for executor_id in executors)
        )
        if interrupted:
            _log.warning("%d calls were interrupted: their executor ended", interrupted)
        return interrupted


def _find(
    rows: InvocationRows, invocation_id: str, *, with_values: bool = True
) -> InvocationRecord:
    record = None
    if _ID.fullmatch(invocation_id):
        record = rows.find(invocation_id, with_values=with_values)
    if record is None:
        raise InvocationNotFound(
            f"There is no invocation {invocation_id[:64]!r}. It may be old, or was never "
            "accepted: list them to see what there is.",
            id=invocation_id[:64],
        )
    return record


def _may_run(record: InvocationRecord) -> bool:
    return record.end is None and record.executor_id != NO_EXECUTOR


def _as_it_is(record: InvocationRecord, running: Collection[str]) -> InvocationRecord:
    """Say of an open call whether it runs: that is not recorded, but known to its executor."""
    runs = record.id in running and record.state == "queued"
    return replace(record, state="running") if runs else record


def _check_state(text: str | None) -> InvocationState | None:
    if text is None:
        return None
    for state in INVOCATION_FOLLOWERS:
        if state == text:
            return state
    raise RequestInvalid(
        f"state must be one of {', '.join(INVOCATION_FOLLOWERS)}, not {text[:60]!r}.",
        field="state",
    )


def _check_model(text: str) -> Reference:
    reference = parse_reference(text)
    if "@" in text and not isinstance(reference.selector, int):
        raise RequestInvalid(
            f"Invocations are listed by model or by version's number, not by alias: {text[:120]!r}."
            f" Write {reference.name} or {reference.name}@1.",
            field="model",
        )
    return reference
