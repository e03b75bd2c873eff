"""Values as plain JSON."""

from __future__ import annotations

import base64
import doctest
import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from norman_protocol import rendering
from norman_protocol.arrays import array_to_value, object_to_value
from norman_protocol.decoding import dump_json
from norman_protocol.errors import OutputInvalid
from norman_protocol.rendering import render_value, render_values
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value


def render(value):
    """Render an object, and check that strict JSON can say it."""
    rendered = render_value(object_to_value(value))
    assert json.loads(dump_json(rendered)) == rendered
    return rendered


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ü", "ü"),
        (None, None),
        (3, 3),
        (True, True),
        ({"a": [1, None]}, {"a": [1, None]}),
        (b"\x00\xff", {"base64": "AP8=", "file_name": None}),
        (float("nan"), {"dtype": "float64", "shape": [], "data": None}),
        (np.float32(0.5), {"dtype": "float32", "shape": [], "data": 0.5}),
        (np.array([True, False]), {"dtype": "bool", "shape": [2], "data": [True, False]}),
        (np.array(["a", "ü"]), {"dtype": "string", "shape": [2], "data": ["a", "ü"]}),
        (
            np.array([[1.5, np.nan], [np.inf, -np.inf]], np.float32),
            {"dtype": "float32", "shape": [2, 2], "data": [[1.5, None], [None, None]]},
        ),
        (
            np.array([1 + 2j, complex(np.nan, 1)], np.complex64),
            {"dtype": "complex64", "shape": [2], "data": [[1.0, 2.0], [None, 1.0]]},
        ),
        (np.complex128(1j), {"dtype": "complex128", "shape": [], "data": [0.0, 1.0]}),
        (np.zeros((2, 0), np.int8), {"dtype": "int8", "shape": [2, 0], "data": [[], []]}),
        (np.zeros((0, 2)), {"dtype": "float64", "shape": [0, 2], "data": []}),
        (
            np.array([2**64 - 1], np.uint64),
            {"dtype": "uint64", "shape": [1], "data": [18446744073709551615]},
        ),
        (
            np.array([1.5, np.nan], ml_dtypes.bfloat16),
            {"dtype": "bfloat16", "shape": [2], "data": [1.5, None]},
        ),
        (np.array([-8, 7, 3], ml_dtypes.int4), {"dtype": "int4", "shape": [3], "data": [-8, 7, 3]}),
        (
            np.array([0.5, -6], ml_dtypes.float4_e2m1fn),
            {"dtype": "float4_e2m1fn", "shape": [2], "data": [0.5, -6.0]},
        ),
    ],
)
def test_each_kind_of_value_has_its_json(value, expected):
    assert render(value) == expected


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_is_shown(dtype):
    buffer = b"\x01\0\0\0a" if dtype == "string" else bytes(max(1, DTYPES[dtype].bits // 8))
    rendered = render_value(Value(kind="tensor", dtype=dtype, shape=(1,), buffer=buffer))
    assert rendered["dtype"] == dtype
    assert len(rendered["data"]) == 1
    dump_json(rendered)


def test_a_file_keeps_its_name():
    value = Value(kind="bytes", file_name="seven.png", buffer=b"x")
    assert render_value(value) == {"base64": "eA==", "file_name": "seven.png"}


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64, np.float16]), hnp.array_shapes(min_dims=0))
)
def test_finite_numbers_survive_and_others_become_null(array):
    rendered = render(array)
    back = np.array(rendered["data"], float).reshape(array.shape)
    expected = np.where(np.isfinite(array), array, np.nan).astype(float)
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    "value",
    [
        Value(kind="json", buffer=b"{"),
        Value(kind="json", buffer=b"NaN"),
        Value(kind="json", buffer=b"[" * 201 + b"]" * 201),
        Value(kind="json", buffer=b"[" * 100_000 + b"]" * 100_000),
        Value(kind="json", buffer=b'{"a":' * 201 + b"1" + b"}" * 201),
        Value(kind="text", buffer=b"\xff"),
        Value(kind="tensor", dtype="string", shape=(2,), buffer=b"\xff" * 8),
    ],
)
def test_bytes_that_are_not_what_they_claim_are_refused_by_name(value):
    with pytest.raises(OutputInvalid) as caught:
        render_values({"answer": value})
    assert caught.value.output == "answer"
    assert "'answer'" in caught.value.message


def test_wide_json_is_not_taken_for_deep():
    wide = [[1]] * 1000
    assert render(wide) == wide
    deep = b"[" * 200 + b"]" * 200
    dump_json(render_value(Value(kind="json", buffer=deep)))


def test_without_ml_dtypes_the_bytes_are_given():
    script = (
        "import sys; sys.modules['ml_dtypes'] = None;"
        "from norman_protocol.values import Value;"
        "from norman_protocol.rendering import render_value;"
        "print(render_value(Value(kind='tensor', dtype='bfloat16', shape=(1,), buffer=b'ab')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(
        {
            "dtype": "bfloat16",
            "shape": [1],
            "data": None,
            "base64": base64.b64encode(b"ab").decode(),
        }
    )


def test_an_array_is_not_changed_by_being_shown():
    array = np.array([np.nan, 1.0])
    render_value(array_to_value(array))
    np.testing.assert_array_equal(array, [np.nan, 1.0])


def test_the_examples_hold():
    assert doctest.testmod(rendering).failed == 0
