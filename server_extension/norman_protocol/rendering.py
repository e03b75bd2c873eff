"""Values as plain JSON: what answers over REST hold, and what ``--json`` prints."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from norman_protocol.arrays import value_to_array, value_to_object
from norman_protocol.decoding import JsonValue
from norman_protocol.errors import InputInvalid, OutputInvalid, ProtocolViolation, RequestInvalid
from norman_protocol.values import Value

__all__ = ["render_bytes", "render_value", "render_values"]

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
    ``data`` is null and ``base64`` holds its bytes. Bytes become ``{"base64", "file_name"}``, with
    ``"encoding"`` where that is known; text and JSON stay what they are.

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
            return render_bytes(value)
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


def render_bytes(value: Value) -> JsonValue:
    """Turn the bytes of a value into JSON, whatever they say.

    Examples
    --------
    >>> render_bytes(Value(kind="bytes", file_name="a.png", buffer=b"ab"))
    {'base64': 'YWI=', 'file_name': 'a.png'}
    >>> render_bytes(Value(kind="bytes", encoding="png", buffer=b"ab"))
    {'base64': 'YWI=', 'file_name': None, 'encoding': 'png'}
    """
    text = base64.b64encode(value.buffer).decode()
    known = {} if value.encoding is None else {"encoding": value.encoding}
    return {"base64": text, "file_name": value.file_name, **known}


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
