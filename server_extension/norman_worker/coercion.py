"""Values into the objects that a model's parameters take: the one place of conversion rules.

A value arrives as a tensor, text, JSON or bytes; a parameter says what the model wants. JSON stands
for whatever the parameter is: a nested list becomes an array, ``{"base64": "…"}`` a file. Bytes for
a parameter of text are UTF-8: the content of a text file.
"""

from __future__ import annotations

import base64
import binascii
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from norman_protocol.arrays import value_to_array, value_to_object
from norman_protocol.decoding import parse_json
from norman_protocol.errors import InputInvalid, ProtocolViolation, RequestInvalid
from norman_protocol.frames import Buffer
from norman_protocol.signature import (
    Modality,
    Parameter,
    Signature,
    check_inputs,
    describe_parameter,
)
from norman_protocol.values import Value, describe_value
from norman_worker.nesting import array_from_nested

__all__ = [
    "File",
    "InputReader",
    "Reader",
    "name_json_type",
    "ordinary_reader",
    "read_inputs",
    "refuse",
]

Reader: TypeAlias = Callable[[Value], Any]

_SCALAR_FORMATS = {
    "float16": "<e",
    "float32": "<f",
    "float64": "<d",
    "int8": "<b",
    "int16": "<h",
    "int32": "<i",
    "int64": "<q",
    "uint8": "<B",
    "uint16": "<H",
    "uint32": "<I",
    "uint64": "<Q",
    "bool": "<?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it came in: its bytes and, where it had one, its name (never a path)."""

    content: Buffer
    name: str | None = None


class InputReader:
    """Reads the values of calls of one signature, with everything that can be looked up before.

    Parameters
    ----------
    signature
        What the values are checked against.
    readers
        How to read some parameters, by name, instead of the ordinary way of their modality (None:
        the ordinary way).
    """

    def __init__(
        self, signature: Signature, readers: Mapping[str, Reader | None] | None = None
    ) -> None:
        self._signature = signature
        special = readers or {}
        self._readers = {
            parameter.name: special.get(parameter.name) or ordinary_reader(parameter)
            for parameter in signature.inputs
        }

    def read(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Return the object for each value that was given.

        tensor → ndarray (read-only where it views what was received), text → str (of a file, its
        content), integer → int, float → float, boolean → bool, json → plain Python (or an ndarray
        or str, as it was sent), file → `File`; None where null was sent and may be.

        Raises
        ------
        InputInvalid
            An input is unknown, missing, or can't become what its parameter takes.
        """
        check_inputs(self._signature, values)
        objects = {}
        for name, value in values.items():
            try:
                objects[name] = self._readers[name](value)
            except (ProtocolViolation, RequestInvalid) as error:
                raise InputInvalid(f"Input {name!r}: {error.message}", input=name) from None
            except ImportError as error:
                if error.name != "numpy":
                    raise
                raise InputInvalid(
                    f"Input {name!r} is a tensor, which needs NumPy in {sys.executable}: "
                    "pip install numpy",
                    input=name,
                    received="tensor",
                ) from None
        return objects


def read_inputs(signature: Signature, values: Mapping[str, Value]) -> dict[str, Any]:
    """Read the values of one call; see `InputReader.read`.

    Examples
    --------
    >>> signature = Signature(inputs=(Parameter(name="n", modality=Modality.INTEGER),))
    >>> read_inputs(signature, {"n": Value(kind="json", buffer=b"3")})
    {'n': 3}
    """
    return InputReader(signature).read(values)


def ordinary_reader(parameter: Parameter) -> Reader:
    """Return how values of a parameter are read by its modality."""
    read = _READERS[parameter.modality]
    return lambda value: read(parameter, value)


def refuse(parameter: Parameter, received: str, hint: str = "") -> NoReturn:
    """Raise the error that says what a parameter takes, and what came instead."""
    expected = describe_parameter(parameter)
    raise InputInvalid(
        f"Input {parameter.name!r} takes {expected}, not {received}." + (hint and f" {hint}"),
        input=parameter.name,
        expected=expected,
        received=received,
    )


def name_json_type(value: object) -> str:
    """Say what a parsed JSON value is.

    Examples
    --------
    >>> name_json_type(None), name_json_type([1]), name_json_type(True)
    ('null', 'a list', 'a boolean')
    """
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object")


def _json_object(parameter: Parameter, value: Value) -> Any:
    """Parse JSON; null only where it may be."""
    parsed = parse_json(value.buffer)
    if parsed is None and not parameter.nullable:
        refuse(parameter, "null")
    return parsed


def _read_tensor(parameter: Parameter, value: Value) -> Any:
    if value.kind == "tensor":
        return value_to_array(value)
    nested = _json_object(parameter, value)
    if nested is None:
        return None
    array = array_from_nested(parameter, nested)
    dtype = parameter.dtype or array.dtype.name
    shaped = Value(kind="tensor", dtype=dtype, shape=array.shape)
    check_inputs(Signature(inputs=(parameter,)), {parameter.name: shaped})
    return array


def _read_text(parameter: Parameter, value: Value) -> str | None:
    if value.kind == "text":
        text: str = value_to_object(value)
        return text
    if value.kind == "bytes":
        return _decode_text(parameter, value)
    parsed = _json_object(parameter, value)
    if parsed is None or type(parsed) is str:
        return parsed
    refuse(parameter, name_json_type(parsed))


def _decode_text(parameter: Parameter, value: Value) -> str:
    """Decode a text file. The mark that editors put before UTF-8 is none of its text."""
    try:
        return str(value.buffer, "utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(
            parameter,
            f"bytes that aren't UTF-8 (from byte {error.start + 1:,} of {value.size_bytes:,} on)",
            "Send text, or a file of text in UTF-8.",
        )


def _read_scalar(parameter: Parameter, value: Value) -> Any:
    """Read one number or boolean, as plain Python; a tensor of one element is that element."""
    if value.kind != "tensor":
        return _json_object(parameter, value)
    layout = _SCALAR_FORMATS.get(value.dtype or "")
    if layout is None:
        refuse(parameter, describe_value(value))
    return struct.unpack(layout, value.buffer)[0]


def _read_integer(parameter: Parameter, value: Value) -> int | None:
    scalar = _read_scalar(parameter, value)
    if scalar is None or type(scalar) is int:
        return scalar
    refuse(parameter, name_json_type(scalar), "Send a whole number.")


def _read_float(parameter: Parameter, value: Value) -> float | None:
    scalar = _read_scalar(parameter, value)
    if scalar is None or type(scalar) is float:
        return scalar
    if type(scalar) is int:
        try:
            return float(scalar)
        except OverflowError:
            refuse(parameter, "an integer too large for a float")
    refuse(parameter, name_json_type(scalar))


def _read_boolean(parameter: Parameter, value: Value) -> bool | None:
    scalar = _read_scalar(parameter, value)
    if scalar is None or type(scalar) is bool:
        return scalar
    refuse(parameter, name_json_type(scalar), "Send true or false.")


def _read_json(parameter: Parameter, value: Value) -> Any:
    """Read JSON; text and tensors are themselves.

    Null needs no permission here: whether a parameter of a free type takes it, its own code says.
    """
    del parameter
    return value_to_object(value)


def _read_file(parameter: Parameter, value: Value) -> File | None:
    if value.kind == "bytes":
        return File(content=value.buffer, name=value.file_name)
    parsed = _json_object(parameter, value)
    if parsed is None:
        return None
    if type(parsed) is not dict:
        refuse(parameter, name_json_type(parsed), 'Send bytes, or {"base64": "…"} as JSON.')
    text, name = parsed.get("base64"), parsed.get("file_name")
    unknown = sorted(set(parsed) - {"base64", "file_name"})
    if type(text) is not str or unknown or not (name is None or type(name) is str):
        refuse(
            parameter,
            f"an object with the keys {', '.join(parsed)[:60] or '(none)'}",
            'A file is {"base64": "…"}, with "file_name" where it matters.',
        )
    try:
        return File(content=base64.b64decode(text, validate=True), name=name)
    except (binascii.Error, ValueError) as error:
        refuse(parameter, f"text that isn't base64 ({error})")


_READERS: dict[Modality, Callable[[Parameter, Value], Any]] = {
    Modality.TENSOR: _read_tensor,
    Modality.TEXT: _read_text,
    Modality.INTEGER: _read_integer,
    Modality.FLOAT: _read_float,
    Modality.BOOLEAN: _read_boolean,
    Modality.JSON: _read_json,
    Modality.FILE: _read_file,
}
