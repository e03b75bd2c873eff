"""From entries of the journal to changes of the record: each call begins once and ends once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from norman_protocol.messages import Accepted, Ended, InvocationState, Timings
from norman_server.domain.records import InvocationEnd, InvocationRecord
from norman_server.domain.states import invocation_ends
from norman_server.invocations.journal import Entry

__all__ = ["Changes", "fold", "interruption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a group of entries changes.

    Attributes
    ----------
    added
        Invocations that are not recorded yet; some have ended already.
    ended
        Ends of recorded ones, by id.
    strays
        How many ends belong to no invocation that is known.
    """

    added: tuple[InvocationRecord, ...]
    ended: Mapping[str, InvocationEnd]
    strays: int


def fold(
    entries: Sequence[Entry], *, executor_id: str, states: Mapping[str, InvocationState]
) -> Changes:
    """Work out what a group of entries changes. An entry that came before changes nothing.

    Parameters
    ----------
    states
        States of those invocations of the group that are recorded.
    """
    added: dict[str, InvocationRecord] = {}
    ended: dict[str, InvocationEnd] = {}
    strays = 0
    for entry in entries:
        key = entry.invocation_id
        if isinstance(entry, Accepted):
            if key not in states:
                added.setdefault(key, _begin(entry, executor_id))
        elif key in added:
            if invocation_ends(added[key].state, entry.state):
                added[key] = replace(added[key], state=entry.state, end=_end(entry))
        elif key not in states:
            strays += 1
        elif invocation_ends(states[key], entry.state):
            ended.setdefault(key, _end(entry))
    return Changes(added=tuple(added.values()), ended=ended, strays=strays)


def interruption(ended_at: datetime) -> InvocationEnd:
    """Return how a call ends whose executor is gone."""
    return InvocationEnd(
        state="interrupted",
        ended_at=ended_at,
        timings=Timings(),
        output_bytes=0,
        error_code="interrupted",
        error_message="The executor ended in the middle of this call.",
        error_details={},
        logs="",
        outputs=None,
    )


def _begin(entry: Accepted, executor_id: str) -> InvocationRecord:
    return InvocationRecord(
        id=entry.invocation_id,
        executor_id=executor_id,
        version_id=entry.version_id,
        reference=entry.reference,
        caller=entry.caller,
        accepted_at=datetime.fromtimestamp(entry.accepted_at, UTC),
        input_bytes=entry.input_bytes,
        inputs=entry.values if entry.captured else None,
    )


def _end(entry: Ended) -> InvocationEnd:
    return InvocationEnd(
        state=entry.state,
        ended_at=datetime.fromtimestamp(entry.ended_at, UTC),
        timings=entry.timings,
        output_bytes=entry.output_bytes,
        error_code=entry.error_code,
        error_message=entry.error_message,
        error_details=entry.error_details,
        logs=entry.logs,
        outputs=entry.values if entry.captured else None,
    )
