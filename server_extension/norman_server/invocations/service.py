"""The record of invocations: brought up to date from the journal, and read in pages."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import InvocationNotFound, NormanError, RequestInvalid
from norman_protocol.messages import InvocationState
from norman_protocol.references import Reference, parse_reference
from norman_protocol.rest import InvocationDetail, InvocationPage
from norman_server.domain.states import INVOCATION_FOLLOWERS
from norman_server.invocations.folding import interruption
from norman_server.invocations.importing import JournalImporter
from norman_server.invocations.rendering import invocation_detail, invocation_summary
from norman_server.storage.opening import Storage

if TYPE_CHECKING:
    from norman_server.storage.db.invocations.rows import InvocationRows

__all__ = ["InvocationLog"]

_log = logging.getLogger(__name__)

_PAGE_LIMIT: Final = 500
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
    """

    def __init__(self, storage: Storage, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._database = storage.invocations
        self._files = storage.files
        self._importer = JournalImporter(
            folder=storage.home.journal, database=storage.invocations, files=storage.files
        )
        self._now = now
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
        found = await self._database.read(
            lambda rows: rows.page(
                limit=limit + 1, before_id=cursor, reference=reference, state=wanted
            )
        )
        shown = found[:limit]
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

        def find(rows: InvocationRows) -> InvocationDetail | None:
            record = rows.find(invocation_id) if _ID.fullmatch(invocation_id) else None
            return None if record is None else invocation_detail(record)

        detail = await self._database.read(find)
        if detail is None:
            raise InvocationNotFound(
                f"There is no invocation {invocation_id[:64]!r}. It may be old, or was never "
                "accepted: list them to see what there is.",
                id=invocation_id[:64],
            )
        return detail

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
