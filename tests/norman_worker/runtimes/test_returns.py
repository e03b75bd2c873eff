from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pytest

from norman_protocol.arrays import value_to_object
from norman_protocol.errors import LoadFailed, OutputInvalid
from norman_protocol.signature import Modality
from norman_worker.runtimes.returns import read_returns


class Dictionary(TypedDict):
    label: str
    scores: npt.NDArray[np.float32]
    note: NotRequired[str]


class Partial(TypedDict, total=False):
    label: str


@dataclass
class Data:
    label: str
    count: int


class Named(NamedTuple):
    label: str
    count: int


class Unhinted(TypedDict):
    number: complex


def write(hint: Any, returned: Any) -> Any:
    """Write what was returned, and read the only output back."""
    (value,) = read_returns(hint).write(returned).values()
    return value_to_object(value)


def refusal(hint: Any, returned: Any) -> OutputInvalid:
    with pytest.raises(OutputInvalid) as caught:
        read_returns(hint).write(returned)
    return caught.value


def test_typed_dictionary_names_the_outputs():
    returns = read_returns(Dictionary)
    assert [(item.name, item.modality, item.required) for item in returns.outputs] == [
        ("label", Modality.TEXT, True),
        ("scores", Modality.TENSOR, True),
        ("note", Modality.TEXT, False),
    ]
    values = returns.write({"scores": np.zeros(2, "float32"), "label": "seven"})
    assert list(values) == ["label", "scores"]
    assert value_to_object(values["label"]) == "seven"


def test_keys_of_a_partial_dictionary_may_be_missing():
    returns = read_returns(Partial)
    assert not returns.outputs[0].required
    assert returns.write({}) == {}


@pytest.mark.parametrize("kind", [Data, Named])
def test_dataclass_and_named_tuple_name_the_outputs(kind):
    values = read_returns(kind).write(kind(label="a", count=2))
    assert {name: value_to_object(value) for name, value in values.items()} == {
        "label": "a",
        "count": 2,
    }
    assert refusal(kind, ("a", 2)).message == (
        f"predict returned a tuple where its hint says {kind.__qualname__}."
    )


def test_missing_and_additional_outputs_are_named():
    assert refusal(Dictionary, {"scores": [1.0]}).output == "label"
    extra = refusal(Dictionary, {"label": "a", "scores": [1.0], "lable": "b"})
    assert extra.output == "lable"
    assert "It has label, scores, note." in extra.message
    assert "a list where its hint says a TypedDict" in refusal(Dictionary, []).message


@pytest.mark.parametrize(
    ("hint", "returned", "read"),
    [
        (str, "text", "text"),
        (str, np.str_("text"), "text"),
        (int, 3, 3),
        (int, np.int64(3), 3),
        (int, np.array(3), 3),
        (float, 3, 3.0),
        (float, np.float32(0.5), 0.5),
        (float, math.inf, math.inf),
        (bool, True, True),
        (bool, np.bool_(False), False),
        (bytes, b"\x00", b"\x00"),
        (bytes, bytearray(b"\x00"), b"\x00"),
        (list[float], [1, 2.5], [1, 2.5]),
        (list, [np.float32(0.5), np.arange(2)], [0.5, [0, 1]]),
        (dict[str, Any], {"a": np.zeros(1)}, {"a": [0.0]}),
        (str | None, None, None),
        (None, None, None),
        (inspect.Signature.empty, {"a": 1}, {"a": 1}),
        (inspect.Signature.empty, None, None),
        (inspect.Signature.empty, math.inf, math.inf),
        (Any, "text", "text"),
    ],
)
def test_anything_else_is_one_output_named_output(hint, returned, read):
    returns = read_returns(hint)
    assert [item.name for item in returns.outputs] == ["output"]
    value = write(hint, returned)
    assert value == read
    assert isinstance(value, (np.generic, type(read)))


def test_arrays_and_what_becomes_one_are_tensors():
    for hint in (np.ndarray, npt.NDArray[np.float64], inspect.Signature.empty):
        np.testing.assert_array_equal(write(hint, np.array([1.0, 2.0])), [1.0, 2.0])
    np.testing.assert_array_equal(write(np.ndarray, [[1, 2]]), [[1, 2]])
    np.testing.assert_array_equal(write(npt.NDArray[np.str_], np.array(["a"])), ["a"])


def test_dtype_of_the_hint_is_kept_where_only_precision_is_lost():
    assert write(npt.NDArray[np.float32], np.array([1.5])).dtype == np.float32
    assert write(npt.NDArray[np.float32], [1, 2]).dtype == np.float32
    error = refusal(npt.NDArray[np.int64], np.array([1.5]))
    assert "array of float64 where the hint of predict says int64" in error.message
    assert error.output == "output"


def test_file_is_read_where_a_path_is_returned(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    returns = read_returns(Path)
    value = returns.write(tmp_path / "a.bin")["output"]
    assert (value.kind, value.file_name, bytes(value.buffer)) == ("bytes", "a.bin", b"abc")
    missing = refusal(Path, tmp_path / "missing")
    assert missing.message == (
        "The file of output 'output' can't be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("hint", "returned", "said"),
    [
        (str, None, "is None where the hint of predict says text"),
        (str, 3, "is a int where the hint of predict says text"),
        (int, 3.0, "is a float where"),
        (int, True, "is a bool where"),
        (int, "3", "is a str where"),
        (float, "3", "is a str where"),
        (float, None, "is None where"),
        (float, np.zeros(2), "is a ndarray where"),
        (bool, 1, "is a int where"),
        (bytes, "text", "is a str where"),
        (np.ndarray, "text", "is a str where the hint of predict says tensor"),
        (np.ndarray, [[1], [1, 2]], "is no array"),
        (np.ndarray, np.array(["2024-01-01"], "datetime64[D]"), "array of datetime64"),
        (np.ndarray, np.array([object()]), "array of objects"),
        (inspect.Signature.empty, object(), "'output' is an object, which can't be sent"),
        (inspect.Signature.empty, {1, 2}, "is a set"),
        (inspect.Signature.empty, [math.nan], "can't be sent"),
        (inspect.Signature.empty, {"a": object()}, "can't be sent"),
        (inspect.Signature.empty, "\ud800", "surrogates"),
        (inspect.Signature.empty, (number for number in [1]), "streaming comes later"),
    ],
)
def test_what_the_hint_or_the_wire_cannot_carry_is_an_invalid_output(hint, returned, said):
    error = refusal(hint, returned)
    assert said in error.message
    if "streaming" not in said:
        assert error.output == "output"


def test_hint_that_means_nothing_is_refused_with_the_outputs_name():
    with pytest.raises(LoadFailed, match="'number' of predict is annotated with complex"):
        read_returns(Unhinted)
    with pytest.raises(LoadFailed, match="'output' of predict is annotated with set"):
        read_returns(set)


def test_type_without_fields_is_refused():
    with pytest.raises(LoadFailed, match="has no fields"):
        read_returns(TypedDict("Nothing", {}))
