"""One invocation stays small and harmless, whatever was captured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from norman_jupyter.previews.invocations import render_invocation
from norman_protocol.messages import Caller, Timings
from norman_protocol.rest import ErrorBody, InvocationDetail, InvocationSummary

ITEM = InvocationSummary(
    id="a" * 32,
    reference="digits@2",
    version_id="v",
    state="succeeded",
    caller=Caller(user="ada", kernel_id="k1"),
    accepted_at="2031-05-06T07:08:09Z",
    ended_at="2031-05-06T07:08:10Z",
    timings=Timings(queue_s=0.25, model_s=0.5, total_s=1.0),
    input_bytes=2000,
    output_bytes=8,
    error_code=None,
    replay_of="b" * 32,
)
DETAIL = InvocationDetail(invocation=ITEM, inputs={}, outputs={}, error=None, logs="")


def test_the_facts_of_a_call_are_there():
    text = render_invocation(DETAIL)["text/plain"]
    assert text.startswith("digits@2 · succeeded")
    for fact in ("2031-05-06 07:08 UTC from ada, kernel k1", "queue 250 ms, model 500 ms"):
        assert fact in text
    assert "a" * 32 in text
    assert "b" * 32 in text


def test_time_in_the_codec_is_told_where_there_was_any():
    assert "codec" not in render_invocation(DETAIL)["text/plain"]
    timings = replace(ITEM.timings, codec_s=0.125)
    text = render_invocation(replace(DETAIL, invocation=replace(ITEM, timings=timings)))
    assert "queue 250 ms, codec 125 ms, model 500 ms" in text["text/plain"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"dtype": "float32", "shape": [2], "data": [1.5, None]}, "float32"),
        ({"dtype": "complex64", "shape": [1], "data": [[1.0, 2.0]]}, "complex64"),
        ({"dtype": "string", "shape": [1], "data": ["zwölf"]}, "zwölf"),
        ({"dtype": "bfloat16", "shape": [1], "data": [1.0]}, "1"),
        ({"base64": "iVBO", "file_name": "x.png"}, "3 B"),
        ({"base64": "no!", "file_name": None}, "no!"),
        ({"dtype": "none such", "shape": [3], "data": [1]}, "none such"),
        ({"dtype": "int8", "shape": "x", "data": [1]}, "int8"),
        ("hello", "hello"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_shown_as_what_they_were(value, shown):
    bundle = render_invocation(replace(DETAIL, outputs={"out": value}))
    assert shown in bundle["text/plain"]
    assert "out" in bundle["text/html"]


def test_what_was_not_kept_says_so():
    text = render_invocation(replace(DETAIL, inputs=None))["text/plain"]
    assert "inputs: 2.0 kB, not kept" in text


def test_a_failure_comes_with_its_traceback_and_nothing_is_markup():
    item = replace(ITEM, state="failed", error_code="model_failed", output_bytes=0)
    error = ErrorBody(
        code="model_failed", message="<b>no</b>", details={"traceback": "line 1\nline 2"}
    )
    bundle = render_invocation(
        replace(DETAIL, invocation=item, outputs=None, error=error, logs="<i>hi</i>\n")
    )
    assert "model_failed: <b>no</b>\nline 1\nline 2" in bundle["text/plain"]
    assert "<b>no" not in bundle["text/html"]
    assert "<i>hi" not in bundle["text/html"]


def test_many_large_values_stay_small():
    inputs = {f"x{number}": "y" * 100_000 for number in range(100)}
    bundle = render_invocation(replace(DETAIL, inputs=inputs))
    assert len(bundle["text/html"]) < 100_000
    assert "84 more" in bundle["text/plain"]
