"""What goes in and what comes out: inputs, results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norman_jupyter import InputInvalid, InvokeResult, OutputInvalid
from norman_jupyter.client.inputs import check_timeout, encode_inputs, merge_inputs
from norman_jupyter.client.results import read_result
from norman_protocol.arrays import object_to_value
from norman_protocol.messages import Result, Timings


def make(**outputs: Any) -> InvokeResult:
    return InvokeResult(outputs=outputs, id="i", version="m@1", latency_ms=1.0)


def test_result_is_a_mapping() -> None:
    result = make(a=1, b="two")
    assert dict(result) == {"a": 1, "b": "two"}
    assert (len(result), "a" in result, "c" in result) == (2, True, False)
    assert result.get("c", "default") == "default"
    assert {**result} == {"a": 1, "b": "two"}


def test_unknown_output_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="outputs are 'a', 'b'"):
        make(a=1, b=2)["c"]


@pytest.mark.parametrize("outputs", [{}, {"a": 1, "b": 2}])
def test_value_is_for_a_single_output(outputs: dict[str, Any]) -> None:
    assert make(a=None).value is None
    with pytest.raises(OutputInvalid, match=r"m@1 gives .* outputs"):
        _ = make(**outputs).value


def test_result_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make(a=1).id = "other"  # type: ignore[misc]


def test_transfer_is_never_negative() -> None:
    message = Result(
        id="1",
        invocation_id="i",
        reference="m@1",
        timings=Timings(queue_s=0.1, model_s=0.2, total_s=0.3),
        values={"y": object_to_value(np.float32(2))},
    )
    result = read_result(message, 0.25)
    assert result.timings["transfer"] == 0.0
    assert result.value == np.float32(2)


def test_inputs_of_both_kinds_are_joined_in_order() -> None:
    assert list(merge_inputs({"b c": 1}, {"a": 2})) == ["b c", "a"]


@pytest.mark.parametrize(
    ("inputs", "named", "message"),
    [
        ({"a": 1}, {"a": 2}, "given twice"),
        ([1], {}, "not a list"),
        ({1: 2}, {}, "not 1"),
    ],
)
def test_inputs_without_proper_names_are_refused(inputs: Any, named: Any, message: str) -> None:
    with pytest.raises(InputInvalid, match=message):
        merge_inputs(inputs, named)


def test_file_that_cannot_be_read_names_its_input(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(InputInvalid, match=r"'image'.*can't be read") as caught:
            encode_inputs({"image": path})
        assert caught.value.input == "image"


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), "5", True, [1]])
def test_impossible_deadline_is_refused(timeout_s: Any) -> None:
    with pytest.raises(InputInvalid, match="positive number of seconds"):
        check_timeout(timeout_s)


def test_deadline_may_be_any_positive_number() -> None:
    assert (check_timeout(3), check_timeout(0.5), check_timeout(None)) == (3.0, 0.5, None)
