from __future__ import annotations

import base64
import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from norman_protocol.arrays import object_to_value
from norman_protocol.errors import InputInvalid
from norman_protocol.media import MEDIA
from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value
from norman_worker.coercion import File, InputReader, name_json_type, read_inputs

OWN = frozenset(Modality) - MEDIA
"""What a model's own parameters are: media are tensors or files to it."""


def parameter(modality: Modality = Modality.TENSOR, **rest) -> Parameter:
    return Parameter(name="x", modality=modality, **rest)


def read(wanted: Parameter, value: object) -> object:
    if not isinstance(value, Value):
        value = object_to_value(value)
    return read_inputs(Signature(inputs=(wanted,)), {"x": value})["x"]


def read_json(wanted: Parameter, parsed: object) -> object:
    return read(wanted, json_text(json.dumps(parsed)))


def json_text(text: str) -> Value:
    return Value(kind="json", buffer=text.encode())


def refusal(wanted: Parameter, value: object) -> InputInvalid:
    with pytest.raises(InputInvalid) as caught:
        read(wanted, value)
    assert caught.value.input == "x"
    return caught.value


def json_refusal(wanted: Parameter, value: object) -> str:
    with pytest.raises(InputInvalid) as caught:
        read_json(wanted, value)
    assert caught.value.input == "x"
    return caught.value.message


# --- tensors --------------------------------------------------------------------------------


def test_tensor_is_a_read_only_view_of_what_came():
    value = object_to_value(np.arange(6, dtype="int16").reshape(2, 3))
    array = read(parameter(dtype="int16"), value)
    assert not array.flags.writeable or not array.flags.owndata
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "string"])
def test_json_becomes_an_array_of_every_dtype(dtype):
    nested: list = [[True, False], [False, True]] if dtype == "bool" else [[0, 1], [1, 0]]
    if dtype == "float8_e8m0fnu":  # powers of two only
        nested = [[1, 2], [2, 1]]
    array = read_json(parameter(dtype=dtype), nested)
    assert array.dtype.name == dtype
    assert array.astype("complex128").tolist() == np.array(nested, complex).tolist()


def test_json_texts_become_an_array_of_text():
    array = read_json(parameter(dtype="string"), [["a", "ü"], ["", "long " * 9]])
    assert array.dtype == object
    assert array.tolist() == [["a", "ü"], ["", "long " * 9]]


@pytest.mark.parametrize(
    ("nested", "dtype", "shape"),
    [
        ([True], "bool", (1,)),
        ([[1, 2]], "int64", (1, 2)),
        ([1, 2.5], "float64", (2,)),
        ([], "float64", (0,)),
        ([[], []], "float64", (2, 0)),
        (3, "int64", ()),
        (["a"], "object", (1,)),
    ],
)
def test_without_a_dtype_the_elements_decide(nested, dtype, shape):
    array = read_json(parameter(), nested)
    assert (array.dtype.name, array.shape) == (dtype, shape)


@pytest.mark.parametrize("shape", [(0,), (2, 0), ()])
def test_zero_size_and_scalars_come_from_json(shape):
    nested = np.zeros(shape).tolist()
    assert read_json(parameter(dtype="float32"), nested).shape == shape


@pytest.mark.parametrize(
    ("dtype", "nested", "said"),
    [
        ("float32", [[1, 2], [3]], "ragged lists: of 1 and 2 elements at depth 1"),
        ("float32", [[1, 2], 3], "lists beside single elements at depth 1"),
        ("float32", [1, [2]], "lists beside single elements at depth 1"),
        ("float32", [1, "2"], "not text"),
        ("float32", [1, None], "not null"),
        ("float32", [1, True], "not booleans"),
        ("float32", [{"a": 1}], "not objects"),
        ("float32", {"a": 1}, "not objects"),
        ("int64", [1, 2.0], "not numbers with a fraction"),
        ("int64", [1, True], "not booleans"),
        ("bool", [0, 1], "not integers"),
        ("string", ["a", 1], "not integers"),
        ("uint8", [0, 256], "256, which is out of range (0 to 255)"),
        ("uint8", [-1], "-1, which is out of range"),
        ("int4", [8], "8, which is out of range (-8 to 7)"),
        ("uint64", [2**64], "out of range"),
        ("float16", [1.0, 1e6], "1000000.0, which is out of range"),
        ("float32", [1e39], "out of range"),
        ("float64", [10**400], "an integer that is out of range"),
        ("complex64", [1e39], "out of range"),
        ("int8", None, "not null"),
        (None, [1, "a"], "integers and text"),
        (None, [2**63], "out of range"),
        (None, {}, "objects"),
    ],
)
def test_json_that_is_no_such_array_is_refused(dtype, nested, said):
    message = json_refusal(parameter(dtype=dtype), nested)
    assert said in message
    assert message.startswith("Input 'x' takes ")


def test_number_beyond_a_float_is_refused():
    assert "1e999" in refusal(parameter(dtype="float64"), json_text("[1e999]")).message
    assert "1e999" in refusal(parameter(Modality.FLOAT), json_text("1e999")).message


def test_lists_nested_deeper_than_any_array_are_refused():
    assert (
        "deeper than 32" in refusal(parameter(dtype="int8"), json_text("[" * 40 + "]" * 40)).message
    )


def test_json_nested_too_deep_to_parse_is_refused():
    deep = json_text("[" * 100_000 + "]" * 100_000)
    assert "nested too deep" in refusal(parameter(), deep).message


def test_shape_is_checked_after_conversion():
    wanted = parameter(dtype="float32", shape=("batch", 2))
    assert read_json(wanted, [[1, 2]]).shape == (1, 2)
    assert "takes float32[batch,2], not float32[2]" in json_refusal(wanted, [1, 2])
    assert "not float32[1,3]" in json_refusal(wanted, [[1, 2, 3]])


def test_dtype_and_shape_of_tensors_are_checked():
    wanted = parameter(dtype="float32", shape=(None, 2))
    assert "astype('float32')" in refusal(wanted, np.zeros((1, 2))).message
    assert refusal(wanted, np.zeros(2, "float32")).received == "float32[2]"


def test_malformed_text_tensor_is_an_invalid_input():
    value = Value(kind="tensor", dtype="string", shape=(1,), buffer=b"\x01\0\0\0\xff")
    assert "not UTF-8" in refusal(parameter(), value).message


nested_lists = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(nested_lists, st.sampled_from([None, *DTYPES]))
def test_any_json_becomes_an_array_or_an_invalid_input(nested, dtype):
    text = json.dumps(nested, allow_nan=False) if _finite(nested) else "[]"
    value = Value(kind="json", buffer=text.encode("utf-8", "surrogatepass"))
    try:
        array = read(parameter(dtype=dtype), value)
    except InputInvalid:
        return
    assert array.dtype.name == ({"string": "object"}.get(dtype or "", dtype) or array.dtype.name)
    assert array.size == _count(nested if _finite(nested) else [])


def _finite(nested: object) -> bool:
    try:
        json.dumps(nested, allow_nan=False)
    except ValueError:
        return False
    return True


def _count(nested: object) -> int:
    return sum(map(_count, nested)) if isinstance(nested, list) else 1


@settings(deadline=None)
@given(
    st.sampled_from(["int8", "uint16", "int64", "float32", "float64", "bool"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.randoms(use_true_random=False),
)
def test_lists_of_an_array_become_the_same_array(dtype, shape, random):
    count = math.prod(shape)
    array = np.array([random.randrange(2) for _ in range(count)]).astype(dtype).reshape(shape)
    back = read_json(parameter(dtype=dtype), array.tolist())
    assert back.dtype == array.dtype
    if 0 not in shape[:-1]:  # lists forget the sizes behind a zero
        assert back.shape == array.shape
        np.testing.assert_array_equal(back, array)


# --- text, numbers, booleans ----------------------------------------------------------------


def test_text_comes_as_text_or_as_json():
    assert read(parameter(Modality.TEXT), "ünï") == "ünï"
    assert read_json(parameter(Modality.TEXT), "ünï") == "ünï"
    assert "not an integer" in json_refusal(parameter(Modality.TEXT), 3)
    assert "UTF-8" in refusal(parameter(Modality.TEXT), Value(kind="text", buffer=b"\xff")).message


def test_a_file_for_text_is_what_it_says(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("ünï\n", encoding="utf-8")
    assert read(parameter(Modality.TEXT), notes) == "ünï\n"
    notes.write_text("marked", encoding="utf-8-sig")
    assert read(parameter(Modality.TEXT), notes) == "marked"
    assert read(parameter(Modality.TEXT), b"") == ""


def test_a_file_for_text_that_is_no_text_is_refused():
    error = refusal(parameter(Modality.TEXT), b"caf\xe9 \xff")
    assert error.message == (
        "Input 'x' takes text, not bytes that aren't UTF-8 (from byte 4 of 6 on). "
        "Send text, or a file of text in UTF-8."
    )


@pytest.mark.parametrize(
    ("modality", "sent", "expected"),
    [
        (Modality.INTEGER, 3, 3),
        (Modality.INTEGER, 2**70, 2**70),
        (Modality.INTEGER, np.int8(-3), -3),
        (Modality.INTEGER, np.array([7], "uint64"), 7),
        (Modality.FLOAT, 3, 3.0),
        (Modality.FLOAT, 2.5, 2.5),
        (Modality.FLOAT, math.inf, math.inf),
        (Modality.FLOAT, np.float16(0.5), 0.5),
        (Modality.FLOAT, np.int32(5), 5.0),
        (Modality.BOOLEAN, True, True),
        (Modality.BOOLEAN, np.bool_(False), False),
    ],
)
def test_scalars_become_plain_python(modality, sent, expected):
    value = read(parameter(modality), sent)
    assert (value, type(value)) == (expected, type(expected))


def test_nan_reaches_a_float():
    assert math.isnan(read(parameter(Modality.FLOAT), math.nan))


@pytest.mark.parametrize(
    ("modality", "sent", "received"),
    [
        (Modality.INTEGER, 3.0, "a number"),
        (Modality.INTEGER, True, "a boolean"),
        (Modality.INTEGER, np.float32(3), "a number"),
        (Modality.INTEGER, np.bool_(True), "a boolean"),
        (Modality.INTEGER, [1], "a list"),
        (Modality.FLOAT, False, "a boolean"),
        (Modality.FLOAT, 10**400, "an integer too large for a float"),
        (Modality.FLOAT, np.array(["1"]), "string[1]"),
        (Modality.FLOAT, np.array("1"), "string[]"),
        (Modality.FLOAT, ml_dtypes.bfloat16(1), "bfloat16[]"),
        (Modality.FLOAT, np.zeros(2), "float64[2]"),
        (Modality.BOOLEAN, 1, "an integer"),
        (Modality.BOOLEAN, np.int8(1), "an integer"),
        (Modality.BOOLEAN, {}, "an object"),
        (Modality.INTEGER, None, "null"),
    ],
)
def test_scalars_of_another_type_are_refused(modality, sent, received):
    error = refusal(parameter(modality), sent)
    assert error.expected == modality.value
    assert received in error.message


# --- json and files -------------------------------------------------------------------------


def test_json_is_what_was_sent():
    wanted = parameter(Modality.JSON)
    assert read(wanted, {"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
    assert read(wanted, None) is None
    assert read(wanted, "text") == "text"
    np.testing.assert_array_equal(read(wanted, np.arange(3)), [0, 1, 2])


def test_file_comes_as_bytes_or_as_base64(tmp_path):
    wanted = parameter(Modality.FILE)
    assert read(wanted, b"\x00\xff") == File(content=b"\x00\xff")
    (tmp_path / "a.png").write_bytes(b"png")
    assert read(wanted, tmp_path / "a.png") == File(content=b"png", name="a.png")
    encoded = base64.b64encode(b"\x00\xff").decode()
    assert read_json(wanted, {"base64": encoded}) == File(content=b"\x00\xff")
    assert read_json(wanted, {"base64": "", "file_name": "b"}) == File(content=b"", name="b")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"base64": "a*b="}, "isn't base64"),
        ({"base64": "abc"}, "isn't base64"),
        ({"base64": "ü"}, "isn't base64"),
        ({"base64": 3}, "an object with the keys base64"),
        ({"base64": "", "file_name": 3}, "base64, file_name"),
        ({"base64": "", "name": "x"}, "base64, name"),
        ({}, "(none)"),
        ([1, 2], "a list"),
        ("text", "text"),
        (None, "null"),
    ],
)
def test_json_that_is_no_file_is_refused(sent, said):
    assert said in json_refusal(parameter(Modality.FILE), sent)


# --- null, names ----------------------------------------------------------------------------


@pytest.mark.parametrize("modality", sorted(OWN, key=lambda one: one.value))
def test_null_is_a_value_where_it_may_be(modality):
    assert read_json(parameter(modality, nullable=True), None) is None


@pytest.mark.parametrize("modality", sorted(OWN - {Modality.JSON}, key=lambda one: one.value))
def test_null_is_refused_where_it_may_not_be(modality):
    assert "not null" in json_refusal(parameter(modality), None)


def test_names_are_checked():
    reader = InputReader(
        Signature(
            inputs=(
                Parameter(name="needed", modality=Modality.INTEGER),
                Parameter(name="extra", modality=Modality.TEXT, required=False),
            )
        )
    )
    assert reader.read({"needed": object_to_value(1)}) == {"needed": 1}
    with pytest.raises(InputInvalid, match="'needed' \\(integer\\) is missing"):
        reader.read({"extra": object_to_value("x")})
    with pytest.raises(InputInvalid, match="Did you mean 'needed'"):
        reader.read({"neded": object_to_value(1)})


def test_import_error_that_is_not_numpys_is_not_hidden():
    def broken(_value):
        raise ImportError("no module named other", name="other")

    reader = InputReader(Signature(inputs=(parameter(),)), {"x": broken})
    with pytest.raises(ImportError, match="other"):
        reader.read({"x": object_to_value(np.zeros(1))})


def test_json_types_have_names():
    words = [name_json_type(item) for item in (None, True, 1, 1.5, "a", [], {})]
    assert words == ["null", "a boolean", "an integer", "a number", "text", "a list", "an object"]
