"""Values as plain JSON, and records of invocations as bodies of the REST API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from norman_protocol.arrays import value_to_array, value_to_object
from norman_protocol.decoding import JsonValue
from norman_protocol.errors import InputInvalid, OutputInvalid, ProtocolViolation, RequestInvalid
from norman_protocol.rest import ErrorBody, InvocationDetail, InvocationSummary
from norman_protocol.values import Value
from norman_server.domain.records import InvocationEnd, InvocationRecord, format_time

__all__ = ["invocation_detail", "invocation_summary", "render_value", "render_values"]

_MAX_DEPTH: Final = 200
"""Writing JSON that is nested deeper would come near the interpreter's own bound."""


def render_values(values: Mapping[str, Value]) -> dict[str, JsonValue]:
    """Turn named values into plain JSON; see `render_value`.

    Raises
    ------
    OutputInvalid
        One can't be turned; ``output`` names it.
    """
    return {name: _render(name, value) for name, value in values.items()}


def render_value(value: Value) -> JsonValue:
    """Turn a value into plain JSON, as `norman_protocol.rest.InvokeAnswer` describes it.

    A tensor becomes ``{"dtype", "shape", "data"}`` with nested lists: null for NaN and Infinity,
    ``[re, im]`` for a complex number. Where its dtype needs ml_dtypes, which is not installed,
    ``data`` is null and ``base64`` holds its bytes. Bytes become ``{"base64", "file_name"}``,
    text and JSON stay what they are.

    Raises
    ------
    OutputInvalid
        The bytes are not what the value claims, or JSON nested too deep.

    Examples
    --------
    >>> render_value(Value(kind="tensor", dtype="uint8", shape=(2, 1), buffer=b"ab"))
    {'dtype': 'uint8', 'shape': [2, 1], 'data': [[97], [98]]}
    """
    return _render("value", value)


def _render(name: str, value: Value) -> JsonValue:
    try:
        if value.kind == "tensor":
            return _render_tensor(value)
        if value.kind == "bytes":
            return _render_bytes(value)
        plain = value_to_object(value)
    except (ProtocolViolation, RequestInvalid) as error:
        raise OutputInvalid(
            f"{name!r} can't be shown as JSON: {error.message}", output=name
        ) from error
    if value.kind == "json" and _too_deep(plain, value):
        raise OutputInvalid(
            f"{name!r} is JSON nested deeper than {_MAX_DEPTH} levels, which can't be shown.",
            output=name,
        )
    return plain


def _render_bytes(value: Value) -> JsonValue:
    text = base64.b64encode(value.buffer).decode()
    return {"base64": text, "file_name": value.file_name}


def _render_tensor(value: Value) -> JsonValue:
    head = {"dtype": value.dtype, "shape": list(value.shape or ())}
    try:
        array = value_to_array(value)
    except InputInvalid:  # ml_dtypes is missing here
        return {**head, "data": None, "base64": base64.b64encode(value.buffer).decode()}
    return {**head, "data": _nested(array)}


def _nested(array: Any) -> JsonValue:
    import numpy as np

    kind = array.dtype.kind
    if kind in "biuO":
        return array.tolist()
    if kind == "c":
        array = np.stack([array.real, array.imag], axis=-1)
    elif kind != "f":  # ml_dtypes' own: float32 holds all of them exactly, int64 the integers
        floating = np.issubdtype(np.result_type(array.dtype, np.float32), np.floating)
        array = array.astype(np.float32 if floating else np.int64)
    finite = np.isfinite(array)
    if finite.all():
        return array.tolist()
    boxed = array.astype(object)
    boxed[~finite] = None
    return boxed.tolist()


def _too_deep(plain: JsonValue, value: Value) -> bool:
    raw = bytes(value.buffer)
    if raw.count(b"[") + raw.count(b"{") <= _MAX_DEPTH:
        return False
    layer: list[Any] = [plain]
    for _ in range(_MAX_DEPTH):
        layer = [
            part
            for item in layer
            for part in (item.values() if isinstance(item, dict) else item)
            if isinstance(part, (dict, list))
        ]
        if not layer:
            return False
    return True


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
            shown[name] = _render(name, value)
        except OutputInvalid:  # a caller's malformed JSON is recorded as it came
            shown[name] = _render_bytes(value)
    return shown


def _error(end: InvocationEnd) -> ErrorBody | None:
    if end.error_code is None:
        return None
    return ErrorBody(
        code=end.error_code, message=end.error_message or "", details=dict(end.error_details)
    )
