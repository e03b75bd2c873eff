"""Messages to frames and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from norman_protocol.decoding import decode, dump_json, encode
from norman_protocol.errors import NormanError, ProtocolViolation, RequestInvalid
from norman_protocol.frames import Buffer, Frame, assemble_frame, buffer_bytes, encode_frame
from norman_protocol.messages import control, data, journal, media, transfer, worker
from norman_protocol.messages.base import Message
from norman_protocol.messages.data import Failure
from norman_protocol.messages.writing import HEADER_WRITERS
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
    for module in (control, data, journal, media, transfer, worker)
    for cls in (getattr(module, name) for name in module.__all__)
    if issubclass(cls, Message)
}


_FIELDS: dict[type[Message], tuple[dataclasses.Field[Any], ...]] = {
    cls: tuple(
        item
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
    write = HEADER_WRITERS.get(type(message))
    if write is None and type(message) not in _CARRIES_VALUES:
        return encode_frame(_header(message))
    header = write(message) if write is not None else _open_header(message)
    values: Mapping[str, Value] = message.values  # type: ignore[attr-defined]
    if not values:
        return assemble_frame(f'{header},"values":{{}}}}'.encode("utf-8", "replace"), ())
    buffers = [value.buffer for value in values.values()]
    sizes = ",".join([str(buffer_bytes(buffer)) for buffer in buffers])
    text = f'{header},"values":{write_descriptors(values)},"buffers":[{sizes}]}}'
    return assemble_frame(text.encode("utf-8", "replace"), buffers)


def _header(message: Message) -> dict[str, Any]:
    """Return the header; what has its default stays unsaid, and values are left out."""
    header: dict[str, Any] = {"type": message.TYPE}
    for item in _FIELDS[type(message)]:
        value = getattr(message, item.name)
        default = (
            item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        )
        if value is not default and (value or value != default):
            header[item.name] = encode(value)
    return header


def _open_header(message: Message) -> str:
    """Return the header of a rare message that carries values, without the closing brace."""
    return dump_json(_header(message), surrogates="replace").decode().removesuffix("}")


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
