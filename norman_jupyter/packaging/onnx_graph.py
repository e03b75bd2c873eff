"""Inputs and outputs of an ONNX file, read from its bytes without a protobuf library."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.tensors import DTYPES

__all__ = ["read_onnx_signature"]

_Bytes: TypeAlias = mmap.mmap
_Span: TypeAlias = tuple[int, int]

# Field numbers of onnx.proto: ModelProto, GraphProto, TensorProto, ValueInfoProto, TypeProto,
# TypeProto.Tensor, TensorShapeProto, Dimension.
_GRAPH: Final = 7
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TENSOR_NAME: Final = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TENSOR_TYPE: Final = 1
_ELEMENT, _SHAPE = 1, 2
_DIMENSION: Final = 1
_SIZE, _SYMBOL = 1, 2

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_NAMES: Final = {dtype.onnx: name for name, dtype in DTYPES.items()}
_MAX_FIELDS: Final = 1_000_000
_MAX_RANK: Final = 64


class _Malformed(Exception):
    """The bytes are no protobuf message of this schema."""


def read_onnx_signature(path: Path) -> Signature | None:
    """Return what an ONNX file says it takes and gives; None where that can't be told from here.

    Only tensors are told: sequences, maps and optional values are for the runtime to describe.

    Raises
    ------
    OSError
        The file can't be read.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _read_graph(data, _graph(data))
        except _Malformed:
            return None


def _graph(data: _Bytes) -> _Span:
    for field, span in _fields(data, (0, len(data))):
        if field == _GRAPH:
            return span
    raise _Malformed


def _read_graph(data: _Bytes, graph: _Span) -> Signature:
    inputs: list[Parameter] = []
    outputs: list[Parameter] = []
    weights: set[str] = set()
    for field, span in _fields(data, graph):
        if field == _INITIALIZER:
            weights.add(_text(data, span, _TENSOR_NAME))
        elif field == _INPUT:
            inputs.append(_read_value(data, span))
        elif field == _OUTPUT:
            outputs.append(_read_value(data, span))
    # Weights may stand among the inputs as well: nobody has to give them.
    given = tuple(one for one in inputs if one.name not in weights)
    return Signature(inputs=given, outputs=tuple(outputs))


def _read_value(data: _Bytes, value: _Span) -> Parameter:
    name = _text(data, value, _VALUE_NAME)
    tensor = _inner(data, _inner(data, value, _VALUE_TYPE), _TENSOR_TYPE)
    if tensor is None:
        raise _Malformed
    element, shape = 0, None
    for field, span in _fields(data, tensor):
        if field == _ELEMENT:
            element = span[0]  # of a number, its value
        elif field == _SHAPE:
            shape = _read_shape(data, span)
    if element not in _NAMES:
        raise _Malformed
    return Parameter(name=name, modality=Modality.TENSOR, dtype=_NAMES[element], shape=shape)


def _read_shape(data: _Bytes, shape: _Span) -> tuple[int | str | None, ...]:
    sizes: list[int | str | None] = []
    for field, span in _fields(data, shape):
        if field != _DIMENSION:
            continue
        size: int | str | None = None
        for inner, found in _fields(data, span):
            if inner == _SIZE:
                size = found[0]
            elif inner == _SYMBOL:
                size = _decode(data, found) or None
        sizes.append(size)
        if len(sizes) > _MAX_RANK:
            raise _Malformed
    return tuple(sizes)


def _inner(data: _Bytes, span: _Span | None, wanted: int) -> _Span | None:
    if span is None:
        return None
    return next((found for field, found in _fields(data, span) if field == wanted), None)


def _text(data: _Bytes, span: _Span, wanted: int) -> str:
    found = _inner(data, span, wanted)
    return "" if found is None else _decode(data, found)


def _decode(data: _Bytes, span: _Span) -> str:
    start, end = span
    if end - start > 10_000:
        raise _Malformed
    return data[start:end].decode("utf-8", "replace")


def _fields(data: _Bytes, span: _Span) -> Iterator[tuple[int, _Span]]:
    """Yield the fields of a message: where each lies, or for a number the value, twice."""
    place, end = span
    for _ in range(_MAX_FIELDS):
        if place >= end:
            return
        tag, place = _varint(data, place, end)
        kind = tag & 7
        if kind == _VARINT:
            number, place = _varint(data, place, end)
            yield tag >> 3, (number, number)
            continue
        if kind == _LENGTH:
            length, place = _varint(data, place, end)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise _Malformed
        if length > end - place:
            raise _Malformed
        yield tag >> 3, (place, place + length)
        place += length
    raise _Malformed


def _varint(data: _Bytes, place: int, end: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise _Malformed
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _Malformed
