"""Type hints of ``predict`` into the parameters of a signature.

A hint becomes a modality, and where the modality's ordinary object isn't what the hint says (a
torch.Tensor, a Path, a tuple), an adapter that turns the one into the other.
"""

from __future__ import annotations

import collections.abc
import inspect
import os
import pathlib
import sys
import types
import typing
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from norman_protocol.errors import InputInvalid
from norman_protocol.signature import Modality, Parameter
from norman_protocol.tensors import DTYPES
from norman_worker.coercion import File, name_json_type
from norman_worker.runtimes.files import file_as_path

__all__ = ["Adapter", "Hint", "HintUnknown", "is_stream", "read_hint"]

Adapter: TypeAlias = Callable[[Parameter, Any, ExitStack], Any]
"""Turns the object of a modality into the hint's; what it opens lives as long as the call."""

_NUMPY_SCALARS = {"floating": Modality.FLOAT, "integer": Modality.INTEGER, "bool": Modality.BOOLEAN}
_LISTS = (
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


class HintUnknown(Exception):
    """No value on the wire can become what this hint says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What a type hint means for a parameter."""

    modality: Modality
    dtype: str | None = None
    nullable: bool = False
    description: str = ""
    required: bool = True
    adapt: Adapter | None = None


def read_hint(hint: Any) -> Hint:
    """Read one type hint.

    Raises
    ------
    HintUnknown
        With a sentence that says which hints are known.

    Examples
    --------
    >>> read_hint(str | None).modality, read_hint(str | None).nullable
    (<Modality.TEXT: 'text'>, True)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        words = [extra for extra in arguments[1:] if isinstance(extra, str)]
        inner = read_hint(arguments[0])
        return replace(inner, description=words[0] if words else inner.description)
    if origin in (typing.Required, typing.NotRequired):
        return replace(read_hint(arguments[0]), required=origin is typing.Required)
    if origin in (typing.Union, types.UnionType):
        return _read_union(hint, arguments)
    if origin is Literal:
        return _read_literal(arguments)
    if isinstance(hint, typing.NewType):
        return read_hint(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":  # the statement `type X = …`, from Python 3.12 on
        return read_hint(hint.__value__)
    return _read_plain(hint, origin or hint, arguments)


def is_stream(hint: Any) -> bool:
    """Whether a return hint promises several answers, one after the other."""
    return (typing.get_origin(hint) or hint) in _STREAMS


def _read_union(hint: Any, arguments: tuple[Any, ...]) -> Hint:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) < len(arguments):
        return replace(read_hint(typing.Union[tuple(others)]), nullable=True)  # noqa: UP007
    if _is_array_like(hint):
        return Hint(modality=Modality.TENSOR)
    if set(others) == {int, float}:
        return Hint(modality=Modality.FLOAT)
    return Hint(modality=Modality.JSON)


def _is_array_like(hint: Any) -> bool:
    numpy_typing = sys.modules.get("numpy.typing")
    return numpy_typing is not None and hint == numpy_typing.ArrayLike


def _read_literal(choices: tuple[Any, ...]) -> Hint:
    kinds = {type(choice) for choice in choices}
    modality = Modality.JSON
    if kinds == {str}:
        modality = Modality.TEXT
    elif kinds == {int}:
        modality = Modality.INTEGER

    def adapt(parameter: Parameter, value: Any, _stack: ExitStack) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return value
        expected = ", ".join(map(repr, choices))
        raise InputInvalid(
            f"Input {parameter.name!r} is one of {expected}, not {value!r:.60}.",
            input=parameter.name,
            expected=expected,
            received=repr(value)[:60],
        )

    return Hint(modality=modality, nullable=type(None) in kinds, adapt=adapt)


def _read_plain(hint: Any, kind: Any, arguments: tuple[Any, ...]) -> Hint:
    if kind in (inspect.Parameter.empty, Any, object):
        return Hint(modality=Modality.JSON, nullable=True)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _LISTS:
        return Hint(modality=Modality.JSON, adapt=_as_list)
    if kind is tuple:
        return Hint(modality=Modality.JSON, adapt=_as_tuple)
    if kind in _OBJECTS or typing.is_typeddict(kind):
        return Hint(modality=Modality.JSON, adapt=_as_object)
    if isinstance(kind, type):
        known = _read_numpy(kind, arguments) or _read_torch(kind)
        if known is not None:
            return known
    shown = getattr(hint, "__qualname__", None) if isinstance(hint, type) else None
    raise HintUnknown(
        f"{shown or hint!s:.100}. Known are numpy.ndarray and NDArray[…], torch.Tensor, str, int, "
        "float, bool, bytes, pathlib.Path, list, tuple, dict, TypedDict, Literal, Any, and each "
        "with `| None` or inside Annotated[…, 'description']"
    )


def _read_numpy(kind: type, arguments: tuple[Any, ...]) -> Hint | None:
    numpy = sys.modules.get("numpy")  # the hint is NumPy's only where the model imported it
    if numpy is None:
        return None
    if issubclass(kind, numpy.ndarray):
        return _read_ndarray(arguments)
    for name, modality in _NUMPY_SCALARS.items():
        if issubclass(kind, getattr(numpy, name, ())):
            return Hint(modality=modality, adapt=_made_by(kind))
    return None


def _made_by(kind: Callable[[Any], Any]) -> Adapter:
    return lambda _parameter, value, _stack: kind(value)


def _read_ndarray(arguments: tuple[Any, ...]) -> Hint:
    """Read ``numpy.ndarray`` or ``ndarray[shape, dtype[element]]``."""
    elements = typing.get_args(arguments[1]) if len(arguments) > 1 else ()
    name = getattr(elements[0], "__name__", "") if elements else ""
    if name == "str_":
        return Hint(
            modality=Modality.TENSOR,
            dtype="string",
            adapt=lambda _parameter, array, _stack: array.astype(str),
        )
    dtype = "bool" if name == "bool_" else name
    return Hint(modality=Modality.TENSOR, dtype=dtype if dtype in DTYPES else None)


def _read_torch(kind: type) -> Hint | None:
    torch = sys.modules.get("torch")
    if torch is None or not issubclass(kind, torch.Tensor):
        return None
    from norman_worker.runtimes.torch_tensors import tensor_from_array

    return Hint(
        modality=Modality.TENSOR,
        adapt=lambda _parameter, array, _stack: tensor_from_array(array),
    )


def _as_list(parameter: Parameter, value: Any, _stack: ExitStack) -> list[Any]:
    if hasattr(value, "__array__"):
        value = value.tolist()
    if type(value) is list:
        return value
    raise _misfit(parameter, "a list", value)


def _as_tuple(parameter: Parameter, value: Any, stack: ExitStack) -> tuple[Any, ...]:
    return tuple(_as_list(parameter, value, stack))


def _as_object(parameter: Parameter, value: Any, _stack: ExitStack) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise _misfit(parameter, "an object (a dictionary)", value)


def _misfit(parameter: Parameter, expected: str, value: Any) -> InputInvalid:
    received = "a tensor" if hasattr(value, "__array__") else name_json_type(value)
    return InputInvalid(
        f"Input {parameter.name!r} takes {expected}, not {received}.",
        input=parameter.name,
        expected=expected,
        received=received,
    )


def _as_bytes(_parameter: Parameter, value: File, _stack: ExitStack) -> bytes:
    return bytes(value.content)


def _as_bytearray(_parameter: Parameter, value: File, _stack: ExitStack) -> bytearray:
    return bytearray(value.content)


def _as_path(_parameter: Parameter, value: File, stack: ExitStack) -> pathlib.Path:
    return stack.enter_context(file_as_path(value))


_PATH = Hint(modality=Modality.FILE, adapt=_as_path)
_PLAIN: dict[Any, Hint] = {
    str: Hint(modality=Modality.TEXT),
    int: Hint(modality=Modality.INTEGER),
    float: Hint(modality=Modality.FLOAT),
    bool: Hint(modality=Modality.BOOLEAN),
    bytes: Hint(modality=Modality.FILE, adapt=_as_bytes),
    bytearray: Hint(modality=Modality.FILE, adapt=_as_bytearray),
    pathlib.Path: _PATH,
    pathlib.PurePath: _PATH,
    os.PathLike: _PATH,
    None: Hint(modality=Modality.JSON, nullable=True),
    type(None): Hint(modality=Modality.JSON, nullable=True),
}
