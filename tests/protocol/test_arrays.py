"""Python objects to values and back, for every element type."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from norman_protocol.arrays import (
    array_to_value,
    numpy_dtype,
    object_to_value,
    value_to_array,
    value_to_object,
)
from norman_protocol.errors import InputInvalid, NormanError, ProtocolViolation, RequestInvalid
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Predict, decode_message, encode_message
from norman_protocol.tensors import DTYPES, join_strings, tensor_bytes
from norman_protocol.values import Value

NUMERIC = sorted(set(DTYPES) - {"string"})
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def over_the_wire(value: Value) -> Value:
    pieces = encode_message(Predict(id="1", values={"x": value}))
    message = decode_message(decode_frame(b"".join(pieces)))
    assert isinstance(message, Predict)
    return message.values["x"]


def random_array(data: st.DataObject, dtype: str) -> np.ndarray[Any, Any]:
    """Draw any bit pattern that an element of the dtype may have."""
    shape = data.draw(SHAPES)
    kind, bits, count = numpy_dtype(dtype), DTYPES[dtype].bits, math.prod(shape)
    raw = data.draw(st.binary(min_size=count * kind.itemsize, max_size=count * kind.itemsize))
    elements = np.frombuffer(raw, np.uint8).copy()
    if dtype == "bool":
        elements &= 1
    if bits < 8:
        elements &= (1 << bits) - 1
        if dtype.startswith("int"):
            elements[elements >= 1 << (bits - 1)] |= (0xFF << bits) & 0xFF
    return elements.view(kind).reshape(shape)


def bits_of(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).tobytes()


@pytest.mark.parametrize("dtype", NUMERIC)
@given(data=st.data())
def test_every_bit_pattern_of_every_dtype_comes_back(dtype: str, data: st.DataObject) -> None:
    array = random_array(data, dtype)
    value = over_the_wire(array_to_value(array))
    assert value.size_bytes == tensor_bytes(dtype, array.shape)
    back = value_to_array(value)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert bits_of(back) == bits_of(array)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_bytes_are_what_onnx_writes(dtype: str) -> None:
    kind = numpy_dtype(dtype)
    array = np.array([0, 1, 1, 0, 1, 1, 1], np.uint8).astype(kind)
    proto = numpy_helper.from_array(array)
    assert proto.data_type == DTYPES[dtype].onnx
    assert bytes(array_to_value(array).buffer) == proto.raw_data


@pytest.mark.parametrize("dtype", ["int4", "int2"])
def test_packed_negative_elements_are_what_onnx_writes(dtype: str) -> None:
    kind = numpy_dtype(dtype)
    info = ml_dtypes.iinfo(kind)
    array = np.array([int(info.min), -1, 0, 1, int(info.max)], np.int8).astype(kind)
    proto = onnx.numpy_helper.from_array(array)
    value = array_to_value(array)
    assert bytes(value.buffer) == proto.raw_data
    assert value_to_array(value).tolist() == array.tolist()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(hnp.arrays(object, SHAPES, elements=TEXT, fill=st.nothing()))
def test_text_arrays_come_back_with_nul_and_emoji(array: np.ndarray[Any, Any]) -> None:
    back = value_to_array(over_the_wire(array_to_value(array)))
    assert back.dtype == object
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "ü", ""]),
        np.array([["a\0b", "👩‍🔬"]], np.dtypes.StringDType()),
        np.array("scalar", object),
        np.array([np.str_("x")], object),
    ],
    ids=["U", "StringDType", "0-d object", "np.str_ in object"],
)
def test_every_kind_of_text_array_is_sent(array: np.ndarray[Any, Any]) -> None:
    value = array_to_value(array)
    assert value.dtype == "string"
    assert value_to_array(value).tolist() == array.tolist()


BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "array",
    [
        BASE[:, ::2, ::-1],
        BASE.T,
        np.asfortranarray(BASE[0]),
        BASE[..., 1],
        np.broadcast_to(np.float32(3), (2, 2)),
        BASE.astype(">f4"),
        np.arange(5, dtype=">i8")[::2],
        np.array(258, ">u2"),
        np.array([1 + 2j], ">c16"),
        np.array([[True, False]])[:, ::-1],
        np.empty((0, 3), ">f4"),
        np.empty((3, 0), np.int64).T,
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_any_layout_and_byte_order_becomes_dense_and_little_endian(
    array: np.ndarray[Any, Any],
) -> None:
    value = over_the_wire(array_to_value(array))
    back = value_to_array(value)
    assert value.shape == array.shape
    assert bytes(value.buffer) == np.asarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    np.testing.assert_array_equal(back, np.asarray(array))


def test_a_contiguous_array_is_sent_without_a_copy_and_received_read_only() -> None:
    array = np.arange(4, dtype=np.float32)
    value = array_to_value(array)
    array[0] = 9
    assert bytes(value.buffer) == array.tobytes()
    back = value_to_array(value if isinstance(value.buffer, bytes) else over_the_wire(value))
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array(["2024-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([1], "timedelta64[s]"), "timedelta64"),
        (np.zeros(2, [("a", "i4"), ("b", "f4")]), "void"),
        (np.array([b"bytes"]), "bytes"),
        (np.array([{}, []], object), "dict"),
        (np.array(["a", None], object), "NoneType"),
        (np.array([1.0, "a"], object), "float"),
        (np.array(["\ud800"], object), "surrogates"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "masked"),
        (np.zeros(1, ml_dtypes.float8_e3m4), "float8_e3m4"),
    ],
    ids=range(10),
)
def test_what_no_tensor_can_hold_is_refused(array: Any, words: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        array_to_value(array, name="image")
    assert words in caught.value.message
    assert "'image'" in caught.value.message
    assert caught.value.input == "image"


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.array(["2024-01-01"], "datetime64[D]"), ".astype('int64'), which counts its units"),
        (np.zeros(2, [("a", "i4"), ("b", "f4")]), "one by one, for example the one called 'a'."),
        (np.array([b"bytes"]), "Send text: numpy.char.decode(array, 'utf-8')."),
        (np.zeros(1, np.longdouble), "for example with .astype('float64')."),
        (np.zeros(1, np.clongdouble), "for example with .astype('complex128')."),
        (np.zeros(1, "V3"), "Send an array of numbers, of truth values or of str."),
        (np.zeros(1, ml_dtypes.float8_e3m4), ".astype('float32')."),
    ],
    ids=range(7),
)
def test_the_hint_fits_what_no_tensor_can_hold(array: Any, hint: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        array_to_value(array)
    assert hint in caught.value.message


def test_an_article_fits_its_type() -> None:
    with pytest.raises(InputInvalid, match=r"^'x' is an object, which can't be sent"):
        object_to_value(object(), name="x")
    with pytest.raises(InputInvalid, match=r"^'x' is a date, which can't be sent"):
        object_to_value(dt.date(2031, 1, 1), name="x")


def test_a_masked_array_without_masked_elements_is_an_array() -> None:
    assert value_to_array(array_to_value(np.ma.masked_array([1.0, 2.0]))).tolist() == [1.0, 2.0]


class Unwilling:
    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray[Any, Any]:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def test_an_object_that_refuses_to_become_an_array_is_an_input_error() -> None:
    with pytest.raises(InputInvalid, match="requires grad") as caught:
        object_to_value(Unwilling(), name="x")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.received == "Unwilling"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXT, parts, max_size=3),
    max_leaves=8,
)


@given(PLAIN | st.binary(max_size=20))
def test_plain_objects_come_back(plain: Any) -> None:
    value = over_the_wire(object_to_value(plain))
    assert value_to_object(value) == plain
    expected = {str: "text", bytes: "bytes"}.get(type(plain), "json")
    assert value.kind == expected


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_say_become_scalar_tensors(number: float) -> None:
    value = object_to_value(number)
    assert (value.kind, value.dtype, value.shape) == ("tensor", "float64", ())
    back = value_to_object(over_the_wire(value))
    assert isinstance(back, np.float64)
    np.testing.assert_equal(float(back), number)


@pytest.mark.parametrize(
    "scalar",
    [np.float32(1.5), np.int8(-3), np.bool_(True), np.complex64(1j), ml_dtypes.bfloat16(2)],
    ids=lambda scalar: type(scalar).__name__,
)
def test_numpy_scalars_come_back_as_scalars_of_their_type(scalar: Any) -> None:
    back = value_to_object(over_the_wire(object_to_value(scalar)))
    assert type(back) is type(scalar)
    assert back == scalar


def test_a_scalar_text_tensor_comes_back_as_text() -> None:
    assert value_to_object(array_to_value(np.array("ü", object))) == "ü"


def test_numpy_inside_lists_and_dictionaries_becomes_plain() -> None:
    value = object_to_value({"a": [np.int64(1), np.array([1.5])], "b": (np.float32(0.5),)})
    assert value_to_object(value) == {"a": [1, [1.5]], "b": [0.5]}


def test_a_path_sends_its_file_and_the_last_part_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "seven.png"
    file.write_bytes(b"\x89PNG")
    value = over_the_wire(object_to_value(file))
    assert (value.kind, value.file_name) == ("bytes", "seven.png")
    assert value_to_object(value) == b"\x89PNG"
    with pytest.raises(FileNotFoundError):
        object_to_value(tmp_path / "missing.png")
    with pytest.raises(OSError, match="directory"):
        object_to_value(tmp_path)


@pytest.mark.parametrize("data", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"abcd")[::2]])
def test_bytes_like_objects_are_sent_as_bytes(data: Any) -> None:
    assert value_to_object(object_to_value(data)) == bytes(data)


@pytest.mark.parametrize(
    "stranger",
    [object(), {1, 2}, 1j, dt.date(2024, 1, 1), decimal.Decimal(1), range(3), len, "\ud800"],
    ids=lambda stranger: type(stranger).__name__,
)
def test_what_cannot_be_sent_is_refused_by_name(stranger: Any) -> None:
    with pytest.raises(InputInvalid) as caught:
        object_to_value(stranger, name="thing")
    assert "'thing'" in caught.value.message
    assert caught.value.input == "thing"


@pytest.mark.parametrize(
    "stranger", [[object()], {"a": math.nan}, {"a": {"b": {1}}}, ["\ud800"], {(1, 2): 3}]
)
def test_what_cannot_be_sent_inside_a_list_is_refused(stranger: Any) -> None:
    with pytest.raises(InputInvalid, match="'thing'"):
        object_to_value(stranger, name="thing")


def test_a_list_in_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InputInvalid):
        object_to_value(circle)


@pytest.mark.parametrize(
    "value",
    [
        Value(kind="text", buffer=b"\xff"),
        Value(kind="json", buffer=b"NaN"),
        Value(kind="json", buffer=b"[" * 100_000),
        Value(kind="tensor", dtype="string", shape=(1,), buffer=b"\xff\xff\xff\xffx"),
        Value(kind="tensor", dtype="float32", shape=(1,) * 65, buffer=bytes(4)),
        Value(kind="tensor", dtype="float32", shape=(0, (1 << 48) - 1, (1 << 48) - 1)),
        Value(kind="tensor", dtype="string", shape=(0, (1 << 48) - 1, (1 << 48) - 1)),
        Value(kind="tensor", dtype="int4", shape=((1 << 48) - 1, 0, (1 << 48) - 1)),
    ],
    ids=range(8),
)
def test_values_that_lie_are_refused_when_they_are_used(value: Value) -> None:
    with pytest.raises((ProtocolViolation, RequestInvalid, InputInvalid)) as caught:
        value_to_object(value)
    assert isinstance(caught.value, NormanError)


@pytest.mark.parametrize("kind", ["text", "json", "bytes"])
def test_only_tensors_become_arrays(kind: Any) -> None:
    with pytest.raises(ProtocolViolation, match=kind):
        value_to_array(Value(kind=kind, buffer=b"1"))


def test_text_tensors_of_any_shape_without_elements_come_back() -> None:
    value = Value(kind="tensor", dtype="string", shape=(2, 0, 3), buffer=join_strings([]))
    assert value_to_array(value).shape == (2, 0, 3)
