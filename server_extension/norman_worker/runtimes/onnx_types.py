"""The type strings of onnxruntime, such as ``seq(map(int64,tensor(float)))``, read and named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from norman_protocol.errors import LoadFailed
from norman_protocol.signature import Modality, Parameter

__all__ = ["FED_BY_BITS", "OnnxType", "parameter_from_node", "parse_type"]

_ELEMENTS = {
    "float": "float32",
    "double": "float64",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float4e2m1": "float4_e2m1fn",
    "float8e8m0": "float8_e8m0fnu",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "string": "string",
    "bool": "bool",
    "complex64": "complex64",
    "complex128": "complex128",
    **{
        f"{sign}int{bits}": f"{sign}int{bits}"
        for sign in ("", "u")
        for bits in (2, 4, 8, 16, 32, 64)
    },
}

FED_BY_BITS = frozenset(
    name for name in _ELEMENTS.values() if name.startswith(("bfloat", "float8", "float4"))
) | {"int2", "uint2", "int4", "uint4"}
"""Element types that onnxruntime takes no NumPy arrays of, only memory with a type beside it."""

_WORD = re.compile(r"\s*(\w+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxType:
    """A type: a tensor of ``element``, or a container of ``inner``.

    ``key`` is the key's element type of a map; scalars inside maps are tensors here.
    """

    kind: Literal["tensor", "seq", "map", "optional"]
    element: str = ""
    key: str = ""
    inner: OnnxType | None = None


def parse_type(text: str) -> OnnxType:
    """Read a type string.

    Raises
    ------
    LoadFailed
        It names something that can't travel, such as a sparse tensor.

    Examples
    --------
    >>> parse_type("tensor(float)").element
    'float32'
    >>> parse_type("seq(map(int64,tensor(float)))").inner.key
    'int64'
    """
    parsed, rest = _parse(text, text)
    if rest:
        raise _unknown(text)
    return parsed


def _parse(text: str, whole: str) -> tuple[OnnxType, str]:
    kind, rest = _word(text, whole)
    if kind in _ELEMENTS and not rest.startswith("("):
        return OnnxType(kind="tensor", element=_ELEMENTS[kind]), rest
    rest = _expect(rest, "(", whole)
    if kind == "tensor":
        element, rest = _word(rest, whole)
        if element not in _ELEMENTS:
            raise _unknown(whole)
        return OnnxType(kind="tensor", element=_ELEMENTS[element]), _expect(rest, ")", whole)
    if kind == "map":
        key, rest = _word(rest, whole)
        inner, rest = _parse(_expect(rest, ",", whole), whole)
        known = OnnxType(kind="map", key=_ELEMENTS.get(key, key), inner=inner)
        return known, _expect(rest, ")", whole)
    if kind in ("seq", "optional"):
        inner, rest = _parse(rest, whole)
        container: Literal["seq", "optional"] = "seq" if kind == "seq" else "optional"
        return OnnxType(kind=container, inner=inner), _expect(rest, ")", whole)
    raise _unknown(whole)


def _word(text: str, whole: str) -> tuple[str, str]:
    found = _WORD.match(text)
    if found is None:
        raise _unknown(whole)
    return found[1], text[found.end() :]


def _expect(text: str, mark: str, whole: str) -> str:
    if not text.startswith(mark):
        raise _unknown(whole)
    return text[1:].lstrip()


def _unknown(text: str) -> LoadFailed:
    return LoadFailed(f"The graph uses the type {text[:100]}, which can't be sent or received.")


def parameter_from_node(
    name: str, kind: OnnxType, shape: Sequence[int | str | None], *, required: bool = True
) -> Parameter:
    """Describe an input or output of a graph.

    onnxruntime says ``[]`` both for a scalar and for an unknown rank, so that this is any shape.
    """
    if kind.kind == "optional" and kind.inner is not None and kind.inner.kind == "tensor":
        tensor, nullable = kind.inner, True
    else:
        tensor, nullable = kind, kind.kind == "optional"
    if tensor.kind != "tensor":
        return Parameter(name=name, modality=Modality.JSON, required=required, nullable=nullable)
    return Parameter(
        name=name,
        modality=Modality.TENSOR,
        dtype=tensor.element,
        shape=tuple(_size(size) for size in shape) or None,
        required=required,
        nullable=nullable,
    )


def _size(size: int | str | None) -> int | str | None:
    if isinstance(size, int):
        return size if size >= 0 else None
    return size or None
