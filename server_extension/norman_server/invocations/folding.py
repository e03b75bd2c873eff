"""From entries of the journal to changes of the record: each call begins once and ends once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from norman_protocol.errors import Cancelled, Interrupted, NormanError, TimedOut
from norman_protocol.messages import Accepted, Ended, InvocationState, Result, Timings
from norman_server.domain.records import InvocationEnd, InvocationRecord
from norman_server.domain.states import invocation_ends
from norman_server.invocations.journal import Entry

__all__ = ["Changes", "ending", "fold", "interruption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a group of entries changes.

    Attributes
    ----------
    adopted
        Those that waited in the database, and were taken by the executor.
    added
        Invocations that are not recorded yet; some have ended already.
    ended
        Ends of recorded ones, by id.
    strays
        How many ends belong to no invocation that is known.
    """

    added: tuple[InvocationRecord, ...]
    adopted: tuple[str, ...]
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
    adopted: dict[str, None] = {}
    ended: dict[str, InvocationEnd] = {}
    strays = 0
    for entry in entries:
        key = entry.invocation_id
        if isinstance(entry, Accepted):
            if key not in states:
                added.setdefault(key, _begin(entry, executor_id))
            else:
                adopted.setdefault(key)
        elif key in added:
            if invocation_ends(added[key].state, entry.state):
                added[key] = replace(added[key], state=entry.state, end=_end(entry))
        elif key not in states:
            strays += 1
        elif invocation_ends(states[key], entry.state):
            ended.setdefault(key, _end(entry))
    return Changes(added=tuple(added.values()), adopted=tuple(adopted), ended=ended, strays=strays)


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


def ending(outcome: Result | NormanError, ended_at: datetime, limit_bytes: int) -> InvocationEnd:
    """Return how a call ended that no executor wrote the end of.

    Parameters
    ----------
    limit_bytes
        Outputs above it are not kept.
    """
    if isinstance(outcome, NormanError):
        return replace(
            interruption(ended_at),
            state=_state_of(outcome),
            error_code=outcome.code,
            error_message=outcome.message,
            error_details=outcome.details,
            logs=str(outcome.details.get("logs", "")),
        )
    output_bytes = sum(value.size_bytes for value in outcome.values.values())
    return InvocationEnd(
        state="succeeded",
        ended_at=ended_at,
        timings=outcome.timings,
        output_bytes=output_bytes,
        error_code=None,
        error_message=None,
        error_details={},
        logs=outcome.logs,
        outputs=outcome.values if output_bytes <= limit_bytes else None,
    )


def _state_of(error: NormanError) -> InvocationState:
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, TimedOut):
        return "timed_out"
    return "interrupted" if isinstance(error, Interrupted) else "failed"


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
