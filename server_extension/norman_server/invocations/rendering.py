"""Records of invocations as bodies of the REST API."""

from __future__ import annotations

from collections.abc import Mapping

from norman_protocol.decoding import JsonValue
from norman_protocol.errors import OutputInvalid
from norman_protocol.rendering import render_bytes, render_value
from norman_protocol.rest import ErrorBody, InvocationDetail, InvocationSummary
from norman_protocol.values import Value
from norman_server.domain.records import InvocationEnd, InvocationRecord, format_time

__all__ = ["invocation_detail", "invocation_summary"]


def invocation_summary(record: InvocationRecord) -> InvocationSummary:
    """Tell an invocation in a list."""
    end = record.end
    return InvocationSummary(
        id=record.id,
        reference=record.reference,
        version_id=record.version_id,
        state=record.state,
        caller=record.caller,
        accepted_at=format_time(record.accepted_at),
        ended_at=None if end is None else format_time(end.ended_at),
        timings=None if end is None else end.timings,
        input_bytes=record.input_bytes,
        output_bytes=None if end is None else end.output_bytes,
        error_code=None if end is None else end.error_code,
        replay_of=record.replay_of,
    )


def invocation_detail(record: InvocationRecord) -> InvocationDetail:
    """Tell all of an invocation; what was captured is shown, even where it is malformed."""
    end = record.end
    return InvocationDetail(
        invocation=invocation_summary(record),
        inputs=_captured(record.inputs),
        outputs=None if end is None else _captured(end.outputs),
        error=None if end is None else _error(end),
        logs="" if end is None else end.logs,
    )


def _captured(values: Mapping[str, Value] | None) -> dict[str, JsonValue] | None:
    if values is None:
        return None
    shown: dict[str, JsonValue] = {}
    for name, value in values.items():
        try:
            shown[name] = render_value(value)
        except OutputInvalid:  # a caller's malformed JSON is recorded as it came
            shown[name] = render_bytes(value)
    return shown


def _error(end: InvocationEnd) -> ErrorBody | None:
    if end.error_code is None:
        return None
    return ErrorBody(
        code=end.error_code, message=end.error_message or "", details=dict(end.error_details)
    )
