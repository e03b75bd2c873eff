"""What ``predict`` returns into named outputs, by its return hint."""

from __future__ import annotations

import dataclasses
import inspect
import math
import operator
import os
import struct
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

from norman_protocol.arrays import array_to_value, object_to_value
from norman_protocol.errors import InputInvalid, LoadFailed, OutputInvalid
from norman_protocol.signature import Modality, Parameter
from norman_protocol.values import Value
from norman_worker.runtimes.annotations import HintUnknown, read_hint

__all__ = ["Returns", "read_returns"]

_ONLY_OUTPUT = "output"
_NULL = Value(kind="json", buffer=b"null")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """The outputs of a signature, and how to take a returned object apart into them."""

    outputs: tuple[Parameter, ...]
    take_apart: Callable[[Any], Mapping[str, Any]]

    def write(self, returned: Any) -> dict[str, Value]:
        """Turn what ``predict`` returned into values.

        Raises
        ------
        OutputInvalid
            It isn't what the hint promised, or nothing on the wire can hold it.
        """
        if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
            raise OutputInvalid("predict returned a generator; streaming comes later.")
        parts = self.take_apart(returned)
        values = {}
        for parameter in self.outputs:
            if parameter.name in parts:
                values[parameter.name] = _write(parameter, parts[parameter.name])
            elif parameter.required:
                raise OutputInvalid(
                    f"The model left out output {parameter.name!r}.", output=parameter.name
                )
        for name in parts:
            if name not in values:
                raise OutputInvalid(
                    f"The model returned {name!r}, which its signature doesn't have. "
                    f"It has {', '.join(parameter.name for parameter in self.outputs)}.",
                    output=str(name),
                )
        return values


def read_returns(hint: Any) -> Returns:
    """Read a return hint: TypedDict, dataclass or NamedTuple → named outputs; else one, ``output``.

    Raises
    ------
    LoadFailed
        A hint means nothing on the wire.
    """
    if typing.is_typeddict(hint):
        return Returns(outputs=_read_fields(hint), take_apart=_mapping)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fields = _read_fields(hint, [field.name for field in dataclasses.fields(hint)])
        return Returns(outputs=fields, take_apart=_attributes(hint, fields))
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        fields = _read_fields(hint, list(hint._fields))
        return Returns(outputs=fields, take_apart=_attributes(hint, fields))
    only = _read_output(_ONLY_OUTPUT, Any if hint is inspect.Signature.empty else hint)
    return Returns(outputs=(only,), take_apart=lambda returned: {_ONLY_OUTPUT: returned})


def _read_fields(kind: Any, names: list[str] | None = None) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    chosen = list(hints) if names is None else names
    if not chosen:
        raise LoadFailed(f"The return type {kind.__qualname__} of predict has no fields.")
    # A TypedDict says which keys may be missing; the others have all of their fields.
    optional: frozenset[str] = getattr(kind, "__optional_keys__", frozenset())
    parameters = []
    for name in chosen:
        parameter = _read_output(name, hints[name])
        if name in optional:
            parameter = dataclasses.replace(parameter, required=False)
        parameters.append(parameter)
    return tuple(parameters)


def _read_output(name: str, hint: Any) -> Parameter:
    try:
        known = read_hint(hint)
    except HintUnknown as error:
        raise LoadFailed(f"Output {name!r} of predict is annotated with {error}.") from None
    return Parameter(
        name=name,
        modality=known.modality,
        dtype=known.dtype,
        nullable=known.nullable,
        description=known.description,
        required=known.required,
    )


def _mapping(returned: Any) -> Mapping[str, Any]:
    if isinstance(returned, Mapping):
        return returned
    raise OutputInvalid(f"predict returned {_kind(returned)} where its hint says a TypedDict.")


def _attributes(kind: type, fields: tuple[Parameter, ...]) -> Callable[[Any], Mapping[str, Any]]:
    names = [field.name for field in fields]

    def take_apart(returned: Any) -> Mapping[str, Any]:
        if isinstance(returned, kind):
            return {name: getattr(returned, name) for name in names}
        raise OutputInvalid(
            f"predict returned {_kind(returned)} where its hint says {kind.__qualname__}."
        )

    return take_apart


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__qualname__}"


def _write(parameter: Parameter, value: Any) -> Value:
    if value is None:
        if parameter.nullable:
            return _NULL
        raise _misfit(parameter, value)
    try:
        return _WRITERS[parameter.modality](parameter, value)
    except InputInvalid as error:
        raise OutputInvalid(
            f"Output {parameter.name!r} can't be sent: {error.message}", output=parameter.name
        ) from None
    except OSError as error:
        raise OutputInvalid(
            f"The file of output {parameter.name!r} can't be read: {error.strerror}",
            output=parameter.name,
        ) from None


def _misfit(parameter: Parameter, value: Any) -> OutputInvalid:
    expected = parameter.dtype or parameter.modality.value
    return OutputInvalid(
        f"Output {parameter.name!r} is {_kind(value)} where the hint of predict says {expected}.",
        output=parameter.name,
    )


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _write_tensor(parameter: Parameter, value: Any) -> Value:
    if _is_torch(value):
        from norman_worker.runtimes.torch_tensors import tensor_to_value

        return tensor_to_value(value, name=parameter.name)
    import numpy as np

    if isinstance(value, (str, bytes, Mapping)):
        raise _misfit(parameter, value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise OutputInvalid(
            f"Output {parameter.name!r} is no array: {error}", output=parameter.name
        ) from None
    wanted = parameter.dtype
    if wanted is not None and wanted != "string" and array.dtype.name != wanted:
        array = _convert(parameter, array, wanted)
    return array_to_value(array, name=parameter.name)


def _convert(parameter: Parameter, array: Any, wanted: str) -> Any:
    """Keep the hint's promise of a dtype where nothing but precision is lost."""
    try:
        return array.astype(wanted, casting="same_kind")
    except TypeError:
        raise OutputInvalid(
            f"Output {parameter.name!r} is an array of {array.dtype.name} where the hint of "
            f"predict says {wanted}.",
            output=parameter.name,
        ) from None


def _write_text(parameter: Parameter, value: Any) -> Value:
    if not isinstance(value, str):
        raise _misfit(parameter, value)
    return object_to_value(value, name=parameter.name)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _write_integer(parameter: Parameter, value: Any) -> Value:
    if _is_boolean(value):
        raise _misfit(parameter, value)
    try:
        return object_to_value(operator.index(value), name=parameter.name)
    except TypeError:
        raise _misfit(parameter, value) from None


def _write_float(parameter: Parameter, value: Any) -> Value:
    if _is_boolean(value) or isinstance(value, str):
        raise _misfit(parameter, value)
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):  # the last is torch's, for many elements
        raise _misfit(parameter, value) from None
    if math.isfinite(number):
        return object_to_value(number, name=parameter.name)
    return Value(kind="tensor", dtype="float64", shape=(), buffer=struct.pack("<d", number))


def _write_boolean(parameter: Parameter, value: Any) -> Value:
    if not _is_boolean(value):
        raise _misfit(parameter, value)
    return object_to_value(bool(value), name=parameter.name)


def _write_json(parameter: Parameter, value: Any) -> Value:
    if _is_torch(value):
        return _write_tensor(parameter, value)
    if isinstance(value, float) and not math.isfinite(value):
        return _write_float(parameter, value)
    return object_to_value(value, name=parameter.name)


def _write_file(parameter: Parameter, value: Any) -> Value:
    if not isinstance(value, (bytes, bytearray, memoryview, os.PathLike)):
        raise _misfit(parameter, value)
    return object_to_value(value, name=parameter.name)


_WRITERS: dict[Modality, Callable[[Parameter, Any], Value]] = {
    Modality.TENSOR: _write_tensor,
    Modality.TEXT: _write_text,
    Modality.INTEGER: _write_integer,
    Modality.FLOAT: _write_float,
    Modality.BOOLEAN: _write_boolean,
    Modality.JSON: _write_json,
    Modality.FILE: _write_file,
}
