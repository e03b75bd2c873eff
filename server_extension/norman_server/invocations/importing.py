"""Brings the record of invocations up to date from the journal, each entry exactly once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from norman_protocol.errors import ProtocolViolation
from norman_server.domain.records import SegmentPosition
from norman_server.invocations.folding import fold
from norman_server.invocations.journal import (
    Group,
    Segment,
    list_segments,
    read_group,
    remove,
    set_aside,
)
from norman_server.storage.threads import ThreadPool

if TYPE_CHECKING:
    from norman_server.storage.db.database import Database
    from norman_server.storage.db.invocations.rows import InvocationRows

__all__ = ["JournalImporter"]

_log = logging.getLogger(__name__)


class JournalImporter:
    """Reads segments while they grow, and deletes those that are wholly recorded.

    How far a segment is read is kept in the transaction that records its entries, so that a crash
    at any moment neither loses one nor records it twice. One `run` at a time.

    Parameters
    ----------
    folder
        The journal.
    files
        Threads for reading it.
    """

    def __init__(
        self, *, folder: Path, database: Database[InvocationRows], files: ThreadPool
    ) -> None:
        self._folder = folder
        self._database = database
        self._files = files

    async def executors(self) -> set[str]:
        """Return the executors that wrote what lies in the journal."""
        segments = await self._files.run(lambda: list_segments(self._folder))
        return {segment.executor_id for segment in segments}

    async def run(self, ended: Collection[str]) -> None:
        """Record what the journal holds now.

        Parameters
        ----------
        ended
            Executors that write no more: what is cut off at their end stays so.

        Raises
        ------
        StorageFull, InternalError
            Disk or database failed. What was recorded stays so; run again.
        """
        segments = await self._files.run(lambda: list_segments(self._folder))
        positions = {
            position.name: position
            for position in await self._database.read(lambda rows: rows.positions())
        }
        for index, segment in enumerate(segments):
            position = positions.pop(segment.name, None) or _beginning(segment)
            await self._import(segment, position, last=not _followed(segments, index), ended=ended)
        if positions:  # their files went, and a crash kept this from being noted
            await self._database.write(lambda rows: rows.drop_positions(tuple(positions)))

    async def _import(
        self, segment: Segment, position: SegmentPosition, *, last: bool, ended: Collection[str]
    ) -> None:
        if position.corrupt:
            await self._set_aside(segment, position, "it was found so before a crash")
            return
        outcome = await self._record_all(segment, position)
        if outcome.damage is not None:
            await self._set_aside(segment, outcome.position, outcome.damage)
        elif last and segment.executor_id not in ended:
            return  # it grows
        elif outcome.rest_bytes and not last:
            damage = f"its last {outcome.rest_bytes} bytes are no whole entry"
            await self._set_aside(segment, outcome.position, damage)
        else:
            if outcome.rest_bytes:
                _log.info("the executor %s ended while it wrote an entry", segment.executor_id)
            await self._files.run(lambda: remove(segment.path))
            await self._database.write(lambda rows: rows.drop_positions((segment.name,)))

    async def _record_all(self, segment: Segment, position: SegmentPosition) -> _Outcome:
        """Record every whole entry, group by group."""
        while True:
            read = partial(read_group, segment.path, position.offset_bytes)
            try:
                group = await self._files.run(read)
            except ProtocolViolation as error:
                return _Outcome(position=position, damage=error.message)
            if not group.entries:
                return _Outcome(position=position, rest_bytes=group.rest_bytes)
            position = replace(position, offset_bytes=group.offset_bytes)
            record = partial(_record, group=group, position=position)
            strays = await self._database.write(record)
            if strays:
                _log.warning(
                    "%d ends in the journal %s belong to no call that is recorded",
                    strays,
                    segment.name,
                )

    async def _set_aside(self, segment: Segment, position: SegmentPosition, damage: str) -> None:
        """Keep a damaged segment for a person to look at, so that others go on."""
        damaged = replace(position, corrupt=True)
        await self._database.write(lambda rows: rows.put_position(damaged))
        await self._files.run(lambda: set_aside(segment.path))
        await self._database.write(lambda rows: rows.drop_positions((segment.name,)))
        _log.error(
            "the journal %s is damaged after %d bytes and kept as %s.corrupt: %s",
            segment.name,
            position.offset_bytes,
            segment.name,
            damage,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How far a segment is recorded, what is left of it, and why it can't be read on."""

    position: SegmentPosition
    rest_bytes: int = 0
    damage: str | None = None


def _beginning(segment: Segment) -> SegmentPosition:
    return SegmentPosition(
        name=segment.name, executor_id=segment.executor_id, offset_bytes=0, corrupt=False
    )


def _followed(segments: Sequence[Segment], index: int) -> bool:
    """Say whether its executor began another segment after this one."""
    return (
        index + 1 < len(segments) and segments[index + 1].executor_id == segments[index].executor_id
    )


def _record(rows: InvocationRows, *, group: Group, position: SegmentPosition) -> int:
    states = rows.states([entry.invocation_id for entry in group.entries])
    changes = fold(group.entries, executor_id=position.executor_id, states=states)
    rows.add(changes.added)
    rows.adopt(changes.adopted, position.executor_id)
    for invocation_id, end in changes.ended.items():
        rows.end(invocation_id, end)
    rows.put_position(position)
    return changes.strays
