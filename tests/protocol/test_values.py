"""Values and text tensors: descriptors and buffers, without any array library."""

from __future__ import annotations

import math
import struct

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import decode_frame, join_frame
from norman_protocol.tensors import DTYPES, join_strings, split_strings, tensor_bytes
from norman_protocol.values import Value, describe_value, join_values, split_values

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@st.composite
def tensors(draw: st.DrawFn) -> Value:
    dtype, shape = draw(st.sampled_from(sorted(DTYPES))), draw(SHAPES)
    if dtype == "string":
        buffer = join_strings(["ü" * (index % 3) for index in range(math.prod(shape))])
    else:
        buffer = bytes(index % 251 for index in range(tensor_bytes(dtype, shape)))
    return Value(kind="tensor", dtype=dtype, shape=shape, buffer=buffer)


VALUES = (
    tensors()
    | st.builds(Value, kind=st.sampled_from(["text", "json"]), buffer=st.binary(max_size=50))
    | st.builds(
        Value,
        kind=st.just("bytes"),
        file_name=st.none() | st.text(max_size=20),
        buffer=st.binary(max_size=200),
    )
)


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=5))
def test_values_come_back_through_a_frame(values: dict[str, Value]) -> None:
    descriptors, buffers = join_values(values)
    frame = decode_frame(join_frame({"values": descriptors}, buffers))
    found = split_values(frame.header["values"], frame.buffers)
    assert list(found) == list(values)
    for name, value in values.items():
        back = found[name]
        assert (back.kind, back.dtype, back.shape, back.file_name) == (
            value.kind,
            value.dtype,
            value.shape,
            value.file_name,
        )
        assert bytes(back.buffer) == value.buffer
        assert back.size_bytes == value.size_bytes


def test_size_in_bytes_counts_bytes_not_items() -> None:
    assert Value(kind="bytes", buffer=memoryview(bytes(8)).cast("I")).size_bytes == 8
    assert Value(kind="bytes", buffer=bytearray(3)).size_bytes == 3


@given(st.lists(st.text(max_size=20), max_size=20))
def test_strings_come_back(texts: list[str]) -> None:
    joined = join_strings(texts)
    assert split_strings(joined, len(texts)) == texts
    assert split_strings(memoryview(joined), len(texts)) == texts


@given(st.binary(max_size=60), st.integers(0, 20))
def test_any_bytes_are_strings_or_a_violation(data: bytes, count: int) -> None:
    try:
        texts = split_strings(data, count)
    except ProtocolViolation:
        return
    assert join_strings(texts) == data


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 1),
        (bytes(3), 1),
        (bytes(4), 2),
        (bytes(5), 1),
        (struct.pack("<I", 2) + b"a", 1),
        (struct.pack("<II", 0xFFFFFFFF, 2) + b"a", 2),
        (struct.pack("<II", 1, 1) + "ü".encode(), 2),
        (struct.pack("<I", 1) + b"\xff", 1),
    ],
)
def test_lengths_that_lie_are_a_violation(data: bytes, count: int) -> None:
    with pytest.raises(ProtocolViolation):
        split_strings(data, count)


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float32", (), 4),
        ("float64", (2, 3), 48),
        ("complex128", (2,), 32),
        ("bool", (7,), 7),
        ("uint4", (1,), 1),
        ("int4", (3,), 2),
        ("int2", (4,), 1),
        ("uint2", (5,), 2),
        ("float4_e2m1fn", (2, 2), 2),
        ("string", (3,), 12),
        ("float32", (0, 1 << 40), 0),
        ("float32", (1 << 40, 1 << 40), 4 << 80),
    ],
)
def test_tensor_bytes(dtype: str, shape: tuple[int, ...], expected: int) -> None:
    assert tensor_bytes(dtype, shape) == expected


def test_unknown_dtype_has_no_size() -> None:
    with pytest.raises(ProtocolViolation, match="object"):
        tensor_bytes("object", (1,))


def test_dtypes_are_all_of_onnx_under_their_names() -> None:
    numbers = set(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}
    assert {dtype.onnx for dtype in DTYPES.values()} == numbers
    for dtype in DTYPES.values():
        theirs = onnx.helper.tensor_dtype_to_np_dtype(dtype.onnx).name
        assert dtype.name == {"object": "string"}.get(theirs, theirs)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Value(kind="tensor", dtype="int64", shape=(), buffer=bytes(8)), "int64[]"),
        (Value(kind="tensor", dtype="bool", shape=(2, 0)), "bool[2,0]"),
        (Value(kind="bytes", file_name="a.png", buffer=b"abc"), "bytes (3 B)"),
        (Value(kind="json", buffer=b"{}"), "json (2 B)"),
    ],
)
def test_values_are_described(value: Value, words: str) -> None:
    assert describe_value(value) == words
