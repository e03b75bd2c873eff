"""The files of a call into what its model takes, and what the model gave into files."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeAlias

from numpy.typing import NDArray

from norman_codec.faults import MediaFault
from norman_codec.images import decode_image, encode_image
from norman_codec.sounds import decode_sound, encode_sound
from norman_codec.texts import decode_text, encode_text
from norman_codec.videos import decode_video, encode_video
from norman_protocol.arrays import array_to_value, value_to_array, value_to_object
from norman_protocol.decoding import parse_json
from norman_protocol.errors import (
    InputInvalid,
    OutputInvalid,
    PayloadTooLarge,
    ProtocolViolation,
    RequestInvalid,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.media import ENCODINGS, MEDIA, Layout, MediaLimits, Modality
from norman_protocol.signature import Parameter, describe_parameter
from norman_protocol.values import Value, describe_value

__all__ = ["decode", "encode"]

Array: TypeAlias = NDArray[Any]

_DEFAULT_ENCODINGS = {Modality.IMAGE: "png", Modality.AUDIO: "wav", Modality.VIDEO: "mp4"}
_MOST_BYTES = FrameLimits().body_bytes


def decode(
    parameters: Sequence[Parameter], values: Mapping[str, Value], limits: MediaLimits
) -> dict[str, Value]:
    """Return what a model takes, from what its caller sent.

    Files of a parameter with a layout become tensors, and their rate goes beside them where the
    parameter says under which name; text of an encoding becomes UTF-8. What is a tensor or a list
    already, and what has neither layout nor encoding, stays as it is.

    Parameters
    ----------
    parameters
        Those of the signature; one without a value is passed over.
    values
        By the parameters' names (titles).
    limits
        For each file.

    Returns
    -------
    dict
        By the model's own names.

    Raises
    ------
    InputInvalid
        A value has no parameter, is no such file or text, or becomes more than the limits allow.
    PayloadTooLarge
        All of them together are more than one message can carry to the model.
    RuntimeMissing
        A file needs PyAV, which isn't installed.
    """
    known = {parameter.name: parameter for parameter in parameters}
    decoded: dict[str, Value] = {}
    for name, value in values.items():
        parameter = known.get(name)
        if parameter is None:
            nearest = get_close_matches(name, known, n=3, cutoff=0.4)
            raise InputInvalid(
                f"There is no input {name[:60]!r}. The inputs are {', '.join(known)[:200]}.",
                input=name,
                nearest=nearest,
            )
        with _input_faults(parameter, value):
            decoded.update(_decode_value(parameter, value, limits))
        _check_total(decoded, f"With input {name!r}")
    return decoded


def _decode_value(parameter: Parameter, value: Value, limits: MediaLimits) -> dict[str, Value]:
    own = parameter.own_name
    if parameter.modality is Modality.TEXT and parameter.encoding is not None:
        return {own: _decode_text_value(parameter, value)}
    if parameter.layout is None or parameter.modality not in MEDIA:
        return {own: value}
    file = _file(parameter, value)
    if file is None:
        return {own: value, **_declared_rate(parameter)}
    if parameter.modality is Modality.IMAGE:
        return {own: array_to_value(decode_image(file.buffer, parameter.layout, limits))}
    read = decode_sound if parameter.modality is Modality.AUDIO else decode_video
    tensor, rate = read(file.buffer, parameter.layout, limits)
    return {own: array_to_value(tensor), **_rate_value(parameter, rate)}


def _file(parameter: Parameter, value: Value) -> Value | None:
    """Return the file that a value is: bytes, or JSON that holds them; None where it is none."""
    if value.kind == "bytes":
        return value
    if value.kind == "tensor":
        return None
    content = parse_json(value.buffer) if value.kind == "json" else None
    is_null = content is None and value.kind == "json" and parameter.nullable
    if isinstance(content, list) or is_null:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("base64"), str):
        raise MediaFault(
            f"is {describe_value(value)}, not a file. Send bytes, a Path, an array in the model's "
            'layout, or {"base64": "…"} as JSON.',
            received=describe_value(value),
        )
    try:
        buffer = base64.b64decode(content["base64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise MediaFault(f"is no base64: {error}.") from error
    name = content.get("file_name")
    return replace(
        value, kind="bytes", buffer=buffer, file_name=name if isinstance(name, str) else None
    )


def _decode_text_value(parameter: Parameter, value: Value) -> Value:
    if value.kind not in ("bytes", "text"):
        return value
    encoding = parameter.encoding or "utf8"
    if value.kind == "text" and encoding == "utf16":
        return value  # text travels as UTF-8, whatever files of it are
    # What the sender knows of a file counts more than what is mostly sent.
    known = ENCODINGS.get(value.encoding or "")
    if known is not None and known.modality is Modality.TEXT:
        encoding = known.name
    return Value(kind="text", buffer=decode_text(value.buffer, encoding).encode())


def _declared_rate(parameter: Parameter) -> dict[str, Value]:
    """Return the rate of a medium that came as a tensor, where there is only one that it can be."""
    layout = parameter.layout or Layout()
    rate = layout.sample_rate if parameter.modality is Modality.AUDIO else layout.frame_rate
    return {} if rate is None else _rate_value(parameter, rate)


def _rate_value(parameter: Parameter, rate: float) -> dict[str, Value]:
    if parameter.rate_parameter is None:
        return {}
    return {parameter.rate_parameter: Value(kind="json", buffer=json.dumps(rate).encode())}


@contextmanager
def _input_faults(parameter: Parameter, value: Value) -> Iterator[None]:
    """Name the input in what goes wrong."""
    called = f" {value.file_name[:100]!r}" if value.file_name else ""
    try:
        yield
    except MediaFault as fault:
        raise InputInvalid(
            f"Input {parameter.name!r}:{called or ' the value'} {fault.message}",
            input=parameter.name,
            expected=describe_parameter(parameter),
            received=fault.received or describe_value(value),
        ) from fault
    except (RequestInvalid, ProtocolViolation) as error:
        raise InputInvalid(
            f"Input {parameter.name!r}: {error.message}", input=parameter.name
        ) from error
    except MemoryError as error:
        raise InputInvalid(
            f"Input {parameter.name!r}:{called or ' the value'} takes more memory than there is "
            "when it is decoded. Make it smaller.",
            input=parameter.name,
        ) from error


def encode(
    parameters: Sequence[Parameter], values: Mapping[str, Value], limits: MediaLimits
) -> dict[str, Value]:
    """Return what the caller gets, from what a model gave.

    Tensors of a parameter with a layout become bytes that say their encoding; text of an encoding
    says it too, and is bytes in UTF-16. All else stays as it is.

    Parameters
    ----------
    parameters
        Those of the signature; one without a value is passed over.
    values
        By the model's own names. Those that no parameter knows keep theirs.
    limits
        For each file.

    Returns
    -------
    dict
        By the parameters' names (titles), in their order.

    Raises
    ------
    OutputInvalid
        A value isn't what its parameter's layout says, or can't be written in its encoding.
    PayloadTooLarge
        All of them together are more than one message can carry.
    RuntimeMissing
        An encoding needs PyAV, which isn't installed.
    """
    encoded: dict[str, Value] = {}
    taken: set[str] = set()
    for parameter in parameters:
        own = parameter.own_name
        taken.add(own)
        if parameter.rate_parameter is not None:
            taken.add(parameter.rate_parameter)
        if own in values:
            with _output_faults(parameter):
                encoded[parameter.name] = _encode_value(parameter, values, limits)
            _check_total(encoded, f"With output {parameter.name!r}")
    return encoded | {name: value for name, value in values.items() if name not in taken}


def _encode_value(parameter: Parameter, values: Mapping[str, Value], limits: MediaLimits) -> Value:
    value = values[parameter.own_name]
    layout, modality = parameter.layout, parameter.modality
    if modality is Modality.TEXT and parameter.encoding is not None:
        return _encode_text_value(value, parameter.encoding)
    if layout is None or modality not in MEDIA:
        return value
    if value.kind == "bytes":
        return value  # the model wrote the file itself
    if value.kind != "tensor":
        raise MediaFault(f"is to be a tensor, and the model gave {describe_value(value)}.")
    if value.size_bytes > limits.decoded_bytes:
        raise MediaFault(
            f"takes {value.size_bytes / 2**20:,.0f} MiB; {limits.decoded_bytes / 2**20:,.0f} MiB "
            "are allowed."
        )
    tensor, encoding = value_to_array(value), parameter.encoding or _DEFAULT_ENCODINGS[modality]
    if modality is Modality.IMAGE:
        content = encode_image(tensor, layout, encoding)
    elif modality is Modality.AUDIO:
        content = encode_sound(tensor, round(_rate(parameter, values)), layout, encoding)
    else:
        content = encode_video(tensor, _rate(parameter, values), layout, encoding)
    return Value(kind="bytes", encoding=encoding, buffer=content)


def _encode_text_value(value: Value, encoding: str) -> Value:
    if value.kind != "text":
        return value
    content = encode_text(value_to_object(value), encoding)
    return Value(kind="bytes" if encoding == "utf16" else "text", encoding=encoding, buffer=content)


def _rate(parameter: Parameter, values: Mapping[str, Value]) -> float:
    """Return the rate that the model gave, else the declared one."""
    layout = parameter.layout or Layout()
    sound = parameter.modality is Modality.AUDIO
    declared = layout.sample_rate if sound else layout.frame_rate
    given = values.get(parameter.rate_parameter or "")
    if given is None:
        if declared is None:
            what = "sample_rate" if sound else "frame_rate"
            raise MediaFault(
                f"has no rate: declare {what} in its layout, or rate_parameter, the name under "
                "which the model gives it."
            )
        return float(declared)
    number = value_to_object(given)
    if getattr(number, "shape", ()) not in ((), (1,)) or isinstance(number, (str, bytes, list)):
        raise MediaFault(f"has {describe_value(given)} for a rate, which is no single number.")
    try:
        rate = float(number.item() if hasattr(number, "item") else number)
    except (TypeError, ValueError) as error:
        raise MediaFault(f"has {describe_value(given)} for a rate, which is no number.") from error
    if not math.isfinite(rate):
        raise MediaFault(f"has {rate} for a rate, which is no number.")
    return rate


@contextmanager
def _output_faults(parameter: Parameter) -> Iterator[None]:
    """Name the output in what goes wrong."""
    try:
        yield
    except MediaFault as fault:
        raise OutputInvalid(
            f"Output {parameter.name!r} {fault.message}", output=parameter.name
        ) from fault
    except (InputInvalid, ProtocolViolation, RequestInvalid) as error:
        raise OutputInvalid(
            f"Output {parameter.name!r}: {error.message}", output=parameter.name
        ) from error
    except MemoryError as error:
        raise OutputInvalid(
            f"Output {parameter.name!r} takes more memory than there is when it is encoded.",
            output=parameter.name,
        ) from error


def _check_total(values: Mapping[str, Value], beginning: str) -> None:
    total = sum(value.size_bytes for value in values.values())
    if total > _MOST_BYTES:
        raise PayloadTooLarge(
            f"{beginning} the call takes {total:,} bytes when decoded; {_MOST_BYTES:,} are "
            "allowed. Send less at once.",
            size_bytes=total,
            limit_bytes=_MOST_BYTES,
        )
