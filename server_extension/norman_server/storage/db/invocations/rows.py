"""Queries on invocations and on how far the journal is imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, delete, insert, null, select, update

from norman_protocol.errors import NameInvalid
from norman_protocol.identifiers import first_id_at
from norman_protocol.messages import Caller, InvocationState, Timings
from norman_protocol.references import Reference, name_key, parse_reference
from norman_protocol.values import Value, join_values, split_values
from norman_server.domain.records import (
    NO_EXECUTOR,
    CallKey,
    InvocationEnd,
    InvocationRecord,
    SegmentPosition,
)
from norman_server.domain.states import OPEN_INVOCATION_STATES
from norman_server.storage.db.invocations.tables import (
    idempotency_keys,
    invocations,
    payloads,
    segments,
)
from norman_server.storage.db.types import clean_text

__all__ = ["InvocationRows"]

_VARIABLES: Final = 500
"""Parameters of one statement; databases bound their number."""

_ID_LEAD_S: Final = 60.0
"""By how much an id may be made before its call is accepted."""

# Long texts lie apart from their row, and reading them costs more than all the rest.
_UNLISTED: Final = frozenset({"error_message", "error_details", "logs"})
_LISTED: Final = tuple(
    null().label(column.name) if column.name in _UNLISTED else column for column in invocations.c
)


class InvocationRows:
    """Everything that one transaction on the invocations may ask and change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def states(self, ids: Sequence[str]) -> dict[str, InvocationState]:
        """Return the states of those invocations that are recorded."""
        found: dict[str, InvocationState] = {}
        for start in range(0, len(ids), _VARIABLES):
            query = select(invocations.c.id, invocations.c.state).where(
                invocations.c.id.in_(ids[start : start + _VARIABLES])
            )
            found.update((row.id, row.state) for row in self._connection.execute(query))
        return found

    def add(self, records: Sequence[InvocationRecord]) -> None:
        """Add invocations that are not recorded yet."""
        if not records:
            return
        self._connection.execute(insert(invocations), [_columns(record) for record in records])
        stored = [
            payload
            for record in records
            for payload in (
                _payload(record.id, "inputs", record.inputs),
                _payload(record.id, "outputs", record.end.outputs if record.end else None),
            )
            if payload is not None
        ]
        if stored:
            self._connection.execute(insert(payloads), stored)

    def submit(
        self, record: InvocationRecord, key: CallKey | None, keys_since: datetime
    ) -> CallKey | None:
        """Add a call that waits for an executor, unless its key stands for one already.

        Parameters
        ----------
        keys_since
            A key that was made earlier has expired, and is free.

        Returns
        -------
        CallKey or None
            The key that stands for another call; nothing was added then.
        """
        if key is not None:
            standing = self.key(key.user, key.key, keys_since)
            if standing is not None:
                return standing
        self.add([record])
        if key is not None:
            same = (
                idempotency_keys.c.user == clean_text(key.user),
                idempotency_keys.c.key == key.key,
            )
            self._connection.execute(delete(idempotency_keys).where(*same))
            self._connection.execute(
                insert(idempotency_keys).values(
                    user=clean_text(key.user),
                    key=key.key,
                    fingerprint=key.fingerprint,
                    invocation_id=key.invocation_id,
                    created_at=key.created_at,
                )
            )
        return None

    def key(self, user: str, key: str, since: datetime) -> CallKey | None:
        """Return what a caller's key stands for; None where it is free, or has expired."""
        row = self._connection.execute(
            select(idempotency_keys).where(
                idempotency_keys.c.user == clean_text(user),
                idempotency_keys.c.key == key,
                idempotency_keys.c.created_at >= since,
            )
        ).one_or_none()
        if row is None:
            return None
        return CallKey(
            user=user,
            key=key,
            fingerprint=row.fingerprint,
            invocation_id=row.invocation_id,
            created_at=row.created_at,
        )

    def waiting(self) -> list[str]:
        """Return the calls that wait for an executor, oldest first."""
        query = (
            select(invocations.c.id)
            .where(invocations.c.executor_id == NO_EXECUTOR, invocations.c.state == "queued")
            .order_by(invocations.c.id)
        )
        return list(self._connection.execute(query).scalars())

    def adopt(self, ids: Sequence[str], executor_id: str) -> None:
        """Note which executor took calls that waited for one; others are left as they are."""
        for start in range(0, len(ids), _VARIABLES):
            self._connection.execute(
                update(invocations)
                .where(
                    invocations.c.id.in_(ids[start : start + _VARIABLES]),
                    invocations.c.executor_id == NO_EXECUTOR,
                )
                .values(executor_id=executor_id)
            )

    def end(self, invocation_id: str, end: InvocationEnd) -> bool:
        """End an invocation that goes on; False where it has ended already."""
        changed = self._connection.execute(
            update(invocations)
            .where(
                invocations.c.id == invocation_id, invocations.c.state.in_(OPEN_INVOCATION_STATES)
            )
            .values(_end_columns(end))
        ).rowcount
        payload = _payload(invocation_id, "outputs", end.outputs)
        if changed and payload is not None:
            self._connection.execute(insert(payloads).values(payload))
        return bool(changed)

    def end_all(self, executor_id: str, end: InvocationEnd) -> int:
        """End whatever goes on in an executor that is gone; return how many that were."""
        return self._connection.execute(
            update(invocations)
            .where(
                invocations.c.executor_id == executor_id,
                invocations.c.state.in_(OPEN_INVOCATION_STATES),
            )
            .values(_end_columns(end))
        ).rowcount

    def open_executors(self) -> set[str]:
        """Return the executors in which, as far as is recorded, something goes on."""
        query = (
            select(invocations.c.executor_id)
            .where(
                invocations.c.state.in_(OPEN_INVOCATION_STATES),
                invocations.c.executor_id != NO_EXECUTOR,
            )
            .distinct()
        )
        return set(self._connection.execute(query).scalars())

    def page(
        self,
        *,
        limit: int,
        before_id: str | None,
        reference: Reference | None,
        state: InvocationState | None,
        since: datetime | None = None,
        among: Collection[str] | None = None,
        apart_from: Collection[str] = (),
    ) -> list[InvocationRecord]:
        """Return invocations, newest first, without what was captured of them.

        Parameters
        ----------
        before_id
            Only those made before this one.
        reference
            Only those of this model, or of this version where the selector is a number.
        since
            Only those accepted from this time on.
        among, apart_from
            Only these, and none of those.
        """
        query = select(*_LISTED).order_by(invocations.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(invocations.c.id < before_id)
        if since is not None:
            # The id's own time bounds what is looked at; it is made a little before.
            first_id = first_id_at(since.timestamp() - _ID_LEAD_S)
            query = query.where(invocations.c.id >= first_id, invocations.c.accepted_at >= since)
        if among is not None:
            query = query.where(invocations.c.id.in_(among))
        if apart_from:
            query = query.where(invocations.c.id.not_in(apart_from))
        if reference is not None:
            query = query.where(invocations.c.model_key == name_key(reference.name))
            if isinstance(reference.selector, int):
                query = query.where(invocations.c.number == reference.selector)
        if state is not None:
            query = query.where(invocations.c.state == state)
        return [_record(row, {}) for row in self._connection.execute(query)]

    def find(self, invocation_id: str, *, with_values: bool = True) -> InvocationRecord | None:
        """Return an invocation, with what was captured of it where that is wanted."""
        row = self._connection.execute(
            select(invocations).where(invocations.c.id == invocation_id)
        ).one_or_none()
        if row is None:
            return None
        if not with_values:
            return _record(row, {})
        stored = self._connection.execute(
            select(payloads).where(payloads.c.invocation_id == invocation_id)
        )
        return _record(row, {payload.side: _values(payload) for payload in stored})

    def used_bytes(self) -> int:
        """Return how much of the file is in use; what was deleted is used again before it grows."""
        pages, free, size = (
            self._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def drop_payloads(
        self, limit: int, *, before_id: str | None = None, enough_bytes: int | None = None
    ) -> int:
        """Forget what was captured of the oldest calls that have ended; return of how many.

        Parameters
        ----------
        limit
            At most of so many calls.
        before_id
            Only of calls made before this one.
        enough_bytes
            No more than it takes to free so much.
        """
        query = (
            select(invocations.c.id, invocations.c.input_bytes, invocations.c.output_bytes)
            .where(
                invocations.c.id.in_(
                    # The table of payloads alone knows of which calls there are some.
                    select(payloads.c.invocation_id)
                    .where(*_earlier(payloads.c.invocation_id, before_id))
                    .distinct()
                    .order_by(payloads.c.invocation_id)
                    .limit(limit)
                ),
                invocations.c.state.not_in(OPEN_INVOCATION_STATES),
            )
            .order_by(invocations.c.id)
        )
        ids: list[str] = []
        freed_bytes = 0
        for row in self._connection.execute(query):
            if enough_bytes is not None and freed_bytes >= enough_bytes:
                break
            ids.append(row.id)
            freed_bytes += row.input_bytes + (row.output_bytes or 0)
        self._delete(payloads.c.invocation_id, ids)
        return len(ids)

    def drop_invocations(self, limit: int, *, before_id: str | None = None) -> int:
        """Forget the oldest calls that have ended, and all that belongs to them."""
        query = (
            select(invocations.c.id)
            .where(
                invocations.c.state.not_in(OPEN_INVOCATION_STATES),
                *_earlier(invocations.c.id, before_id),
            )
            .order_by(invocations.c.id)
            .limit(limit)
        )
        ids = list(self._connection.execute(query).scalars())
        self._delete(invocations.c.id, ids)
        return len(ids)

    def _delete(self, column: Column[str], ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _VARIABLES):
            some = ids[start : start + _VARIABLES]
            self._connection.execute(delete(column.table).where(column.in_(some)))

    def drop_keys(self, before: datetime) -> int:
        """Forget keys made before a time."""
        return self._connection.execute(
            delete(idempotency_keys).where(idempotency_keys.c.created_at < before)
        ).rowcount

    def positions(self) -> list[SegmentPosition]:
        """Return how far each segment is imported, of those that were begun."""
        return [
            SegmentPosition(
                name=row.name,
                executor_id=row.executor_id,
                offset_bytes=row.offset_bytes,
                corrupt=row.corrupt,
            )
            for row in self._connection.execute(select(segments))
        ]

    def put_position(self, position: SegmentPosition) -> None:
        """Note how far a segment is imported."""
        values = {"offset_bytes": position.offset_bytes, "corrupt": position.corrupt}
        where = segments.c.name == position.name
        if not self._connection.execute(update(segments).where(where).values(values)).rowcount:
            self._connection.execute(
                insert(segments).values(
                    name=position.name, executor_id=position.executor_id, **values
                )
            )

    def drop_positions(self, names: Sequence[str]) -> None:
        """Forget segments whose files are gone."""
        for name in names:
            self._connection.execute(delete(segments).where(segments.c.name == name))


def _earlier(column: Column[str], before_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if before_id is None else (column < before_id,)


def _columns(record: InvocationRecord) -> dict[str, Any]:
    model_key, number = _model_of(record.reference)
    columns = {
        "id": record.id,
        "executor_id": record.executor_id,
        "version_id": record.version_id,
        "reference": clean_text(record.reference),
        "model_key": model_key,
        "number": number,
        "state": record.state,
        "user": clean_text(record.caller.user),
        "kernel_id": record.caller.kernel_id and clean_text(record.caller.kernel_id),
        "accepted_at": record.accepted_at,
        "input_bytes": record.input_bytes,
        "timeout_s": record.timeout_s,
        "replay_of": record.replay_of,
    }
    # One statement takes all rows, so that each must name all columns.
    return {**columns, **(_NO_END if record.end is None else _end_columns(record.end))}


def _model_of(reference: str) -> tuple[str, int | None]:
    """Return the model's key and the version's number, for filters."""
    try:
        parsed = parse_reference(reference)
    except NameInvalid:  # the record is kept, whatever a future executor calls its model
        return clean_text(reference)[:400], None
    number = parsed.selector if isinstance(parsed.selector, int) else None
    return name_key(parsed.name), number


_NO_END: Final[dict[str, Any]] = dict.fromkeys(
    (
        "ended_at",
        "queue_s",
        "model_s",
        "total_s",
        "codec_s",
        "output_bytes",
        "error_code",
        "error_message",
        "error_details",
        "logs",
    )
)


def _end_columns(end: InvocationEnd) -> dict[str, Any]:
    return {
        "state": end.state,
        "ended_at": end.ended_at,
        "queue_s": end.timings.queue_s,
        "model_s": end.timings.model_s,
        "total_s": end.timings.total_s,
        "codec_s": end.timings.codec_s or None,
        "output_bytes": end.output_bytes,
        "error_code": end.error_code,
        "error_message": end.error_message and clean_text(end.error_message),
        "error_details": dict(end.error_details) or None,
        "logs": clean_text(end.logs) or None,
    }


def _payload(
    invocation_id: str, side: str, values: Mapping[str, Value] | None
) -> dict[str, Any] | None:
    if values is None:
        return None
    descriptors, buffers = join_values(values)
    sized = [
        {"name": name, "size_bytes": value.size_bytes, **descriptors[name]}
        for name, value in values.items()
    ]
    return {
        "invocation_id": invocation_id,
        "side": side,
        "descriptors": sized,
        "data": b"".join(buffers),
    }


def _values(payload: Any) -> dict[str, Value]:
    """Read what `_payload` wrote."""
    data = memoryview(payload.data)
    descriptors: dict[str, Any] = {}
    buffers: list[memoryview] = []
    offset = 0
    for item in payload.descriptors:
        following = offset + item["size_bytes"]
        buffers.append(data[offset:following])
        descriptors[item["name"]] = item
        offset = following
    return split_values(descriptors, buffers)


def _record(row: Any, stored: Mapping[str, Mapping[str, Value]]) -> InvocationRecord:
    return InvocationRecord(
        id=row.id,
        executor_id=row.executor_id,
        version_id=row.version_id,
        reference=row.reference,
        caller=Caller(user=row.user, kernel_id=row.kernel_id),
        accepted_at=row.accepted_at,
        input_bytes=row.input_bytes,
        inputs=stored.get("inputs"),
        state=row.state,
        end=None if row.ended_at is None else _end(row, stored.get("outputs")),
        timeout_s=row.timeout_s,
        replay_of=row.replay_of,
    )


def _end(row: Any, outputs: Mapping[str, Value] | None) -> InvocationEnd:
    return InvocationEnd(
        state=row.state,
        ended_at=row.ended_at,
        timings=Timings(
            queue_s=row.queue_s,
            model_s=row.model_s,
            total_s=row.total_s,
            codec_s=row.codec_s or 0.0,
        ),
        output_bytes=row.output_bytes,
        error_code=row.error_code,
        error_message=row.error_message,
        error_details=row.error_details or {},
        logs=row.logs or "",
        outputs=outputs,
    )
