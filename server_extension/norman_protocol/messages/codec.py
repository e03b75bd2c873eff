"""Messages to frames and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from norman_protocol.decoding import decode, dump_json, encode
from norman_protocol.errors import NormanError, ProtocolViolation, RequestInvalid
from norman_protocol.frames import Buffer, Frame, assemble_frame, buffer_bytes
from norman_protocol.messages import control, data, journal, worker
from norman_protocol.messages.base import Caller, Message, Timings
from norman_protocol.messages.data import Failure
from norman_protocol.values import Value, split_values, write_descriptors

__all__ = [
    "decode_message",
    "encode_message",
    "failure_from_error",
]


_NO_VALUES: dict[str, Value] = {}

# Not Message.__subclasses__(): a dataclass with slots leaves its first, unslotted self in there.
_CLASSES: dict[str, type[Message]] = {
    cls.TYPE: cls
    for module in (control, data, journal, worker)
    for cls in (getattr(module, name) for name in module.__all__)
    if issubclass(cls, Message)
}


def _write_float(value: float) -> str:
    if not math.isfinite(value):
        raise RequestInvalid(f"{value} can't be written as JSON.")
    return float.__repr__(value)


def _write_any(value: Any) -> str:
    return dump_json(encode(value), surrogates="replace").decode()


def _write_timings(value: Timings) -> str:
    return (
        f'{{"queue_s":{_write_float(value.queue_s)},"model_s":{_write_float(value.model_s)},'
        f'"total_s":{_write_float(value.total_s)}}}'
    )


# How the types that each call's messages hold are written. A header is put together from these
# pieces, in half the time of building a dictionary for the json module: it happens eight times
# per call.
_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    float: _write_float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    Caller: lru_cache(maxsize=1024)(_write_any),
    Timings: _write_timings,
}

# For each class the names and defaults of the fields in its header.
_FIELDS: dict[type[Message], tuple[tuple[str, str, Any], ...]] = {
    cls: tuple(
        (item.name, f',"{item.name}":', item.default)
        for item in dataclasses.fields(cls)  # type: ignore[arg-type]  # all are dataclasses
        if item.name != "values"
    )
    for cls in _CLASSES.values()
}
_CARRIES_VALUES = frozenset(
    cls
    for cls in _CLASSES.values()
    if any(item.name == "values" for item in dataclasses.fields(cls))  # type: ignore[arg-type]
)


def encode_message(message: Message) -> list[Buffer]:
    """Encode a message as pieces for a gathering write; buffers of values are not copied.

    Raises
    ------
    RequestInvalid
        A detail of it can't be written as JSON.
    PayloadTooLarge
        It has more values than a peer takes.

    Examples
    --------
    >>> from norman_protocol.frames import decode_frame
    >>> from norman_protocol.messages import Cancel
    >>> decode_message(decode_frame(b"".join(encode_message(Cancel(id="7")))))
    Cancel(id='7')
    """
    cls = type(message)
    text = f'{{"type":"{cls.TYPE}"'
    for name, key, default in _FIELDS[cls]:
        value = getattr(message, name)
        if value is not default:
            text += key + _WRITERS.get(type(value), _write_any)(value)
    buffers: Sequence[Buffer] = ()
    if cls in _CARRIES_VALUES:
        values: Mapping[str, Value] = message.values  # type: ignore[attr-defined]
        text += f',"values":{write_descriptors(values)}'
        if values:
            buffers = [value.buffer for value in values.values()]
            text += f',"buffers":[{",".join(map(str, map(buffer_bytes, buffers)))}]'
    return assemble_frame(f"{text}}}".encode("utf-8", "replace"), buffers)


def decode_message(frame: Frame) -> Message:
    """Decode a frame into its message; keys of a newer peer are passed over.

    Raises
    ------
    ProtocolViolation
        The type is unknown, a field is missing or of the wrong type, or values don't match.
    """
    header = dict(frame.header)
    name = header.pop("type", None)
    cls = _CLASSES.get(name) if type(name) is str else None
    if cls is None:
        shown = repr(name[:60]) if type(name) is str else f"a {type(name).__name__}"
        raise ProtocolViolation(f"There is no message of this type: {shown}.")
    if cls not in _CARRIES_VALUES:
        if frame.buffers:
            raise ProtocolViolation(f"A {cls.TYPE} message carries no buffers.")
        return _build(cls, header)
    values = split_values(header.pop("values", _NO_VALUES), frame.buffers)
    return _build(cls, header, values=values)


def _build(cls: type[Message], header: dict[str, Any], **extra: Any) -> Message:
    try:
        return decode(cls, header, tolerant=True, **extra)
    except RequestInvalid as error:
        raise ProtocolViolation(f"A {cls.TYPE} message: {error.message}") from None


def failure_from_error(request_id: str, error: NormanError) -> Failure:
    """Turn an error into the message that reports it."""
    return Failure(id=request_id, code=error.code, message=error.message, details=error.details)
