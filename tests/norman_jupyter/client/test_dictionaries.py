"""Calls as dictionaries: what is asked for, and what comes back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepping import finish
from website import Page, open_website

from norman_jupyter.client.dictionaries import (
    GivenInput,
    check_alone,
    output_bytes,
    read_call,
    read_input,
    stream_bytes_blocking,
)
from norman_jupyter.client.web import WebLimits
from norman_protocol.arrays import object_to_value
from norman_protocol.decoding import parse_json
from norman_protocol.errors import ConfigurationInvalid, InputInvalid, NameInvalid
from norman_protocol.media import Layout, Modality
from norman_protocol.signature import Parameter
from norman_protocol.values import Value


def read(data: Any, source: str | None = None, **limits: Any) -> Value:
    given_input = GivenInput(title="Photo", data=data, source=source)
    return finish(read_input(given_input, WebLimits(**limits)))


def test_a_call_is_read() -> None:
    call = read_call(
        {
            "model_name": "digits@production",
            "inputs": [
                {"display_title": "Input Image", "data": "./a.png", "source": "File"},
                {"display_title": "Top", "data": 3},
            ],
            "outputs": [
                {"display_title": "Label", "consume_mode": "stream"},
                {"display_title": "Score"},
            ],
        }
    )
    assert call.reference == "digits@production"
    assert call.inputs == (
        GivenInput(title="Input Image", data="./a.png", source="File"),
        GivenInput(title="Top", data=3),
    )
    assert call.outputs == {"Label": "stream", "Score": "bytes"}
    assert read_call({"model_name": "digits", "inputs": []}).inputs == ()


@pytest.mark.parametrize(
    ("call", "nearest"),
    [
        ({"model": "digits"}, "model_name"),
        ({"model_name": "d", "inputs": [{"display_tile": "x"}]}, "display_title"),
        ({"model_name": "d", "inputs": [{"display_title": "x", "sorce": 1}]}, "source"),
        (
            {"model_name": "d", "inputs": [{"display_title": "x", "data": 1, "source": "Strem"}]},
            "Stream",
        ),
        (
            {"model_name": "d", "outputs": [{"display_title": "x", "consume_mod": 1}]},
            "consume_mode",
        ),
        (
            {"model_name": "d", "outputs": [{"display_title": "x", "consume_mode": "steam"}]},
            "stream",
        ),
    ],
)
def test_what_is_misspelt_names_the_nearest(call: dict[str, Any], nearest: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        read_call(call)
    assert nearest in caught.value.nearest


def test_titles_stand_once_and_inputs_have_data() -> None:
    twice = [{"display_title": "x", "data": 1}, {"display_title": "x", "data": 2}]
    with pytest.raises(InputInvalid, match="Two inputs are called 'x'"):
        read_call({"model_name": "d", "inputs": twice})
    with pytest.raises(InputInvalid, match="'x' has no 'data'"):
        read_call({"model_name": "d", "inputs": [{"display_title": "x"}]})
    outputs = [{"display_title": "x"}, {"display_title": "x"}]
    with pytest.raises(ConfigurationInvalid, match="'x' stands twice"):
        read_call({"model_name": "d", "outputs": outputs})
    with pytest.raises(ConfigurationInvalid, match="'model_name' in the call is missing"):
        read_call({"inputs": []})
    with pytest.raises(NameInvalid):
        read_call({"model_name": "no model/"})


def test_a_dictionary_is_the_whole_call() -> None:
    check_alone(None, {})
    with pytest.raises(InputInvalid, match="under 'inputs'"):
        check_alone({}, {})
    with pytest.raises(InputInvalid):
        check_alone(None, {"x": 1})


def test_every_source_becomes_a_value(tmp_path: Path) -> None:
    file = tmp_path / "seven.png"
    file.write_bytes(b"png")
    for data, source in ((file, None), (str(file), None), (str(file), "File")):
        assert read(data, source) == Value(kind="bytes", file_name="seven.png", buffer=b"png")
    assert read(b"png", "File") == Value(kind="bytes", buffer=b"png")
    assert read(str(file), "Primitive") == object_to_value(str(file))
    assert read("a text") == Value(kind="text", buffer=b"a text")
    assert read(3) == Value(kind="json", buffer=b"3")
    assert read(np.ones(2, np.float32)).dtype == "float32"
    assert read(io.BytesIO(b"png")) == Value(kind="bytes", buffer=b"png")
    assert read(io.StringIO("text")) == Value(kind="text", buffer=b"text")
    with open_website() as site:
        site.pages["/seven.png"] = Page(body=b"png")
        linked = Value(kind="bytes", file_name="seven.png", buffer=b"png")
        assert read(f"{site.url}/seven.png?size=3") == linked


def test_an_input_that_cannot_be_had_is_named_and_nothing_sent(tmp_path: Path) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the cable")

    with pytest.raises(InputInvalid, match=r"Input 'Photo'.*the cable.*not sent") as caught:
        read(Broken())
    assert caught.value.input == "Photo"
    with open_website() as site, pytest.raises(InputInvalid, match="Input 'Photo': There is noth"):
        read(f"{site.url}/seven.png")
    with pytest.raises(InputInvalid, match=r"Input 'Photo'.*No such file"):
        read(tmp_path / "missing.png")
    with pytest.raises(InputInvalid, match="more than 3 bytes"):
        read(io.BytesIO(b"1234"), size_bytes=3)
    with pytest.raises(InputInvalid, match="'Photo' is"):
        read(object())


def test_a_path_without_a_file_is_not_sent_as_text_to_an_input_of_media() -> None:
    photo = Parameter(name="Photo", modality=Modality.IMAGE, encoding="png", layout=Layout())
    given = GivenInput(title="Photo", data="./nope.png")
    said = r"Input 'Photo': it takes image \(png\), and there is no file './nope.png'.*not sent"
    with pytest.raises(InputInvalid, match=said):
        finish(read_input(given, WebLimits(), photo))
    words = Parameter(name="Photo", modality=Modality.TEXT)
    assert finish(read_input(given, WebLimits(), words)).kind == "text"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (Value(kind="bytes", buffer=memoryview(b"png"), encoding="png"), b"png"),
        (Value(kind="text", buffer="zwölf".encode()), "zwölf".encode()),
        (Value(kind="json", buffer=b"7"), b"7"),
        (object_to_value(np.float32([[1, np.nan], [np.inf, -2]])), b"[[1.0,null],[null,-2.0]]"),
        (object_to_value(np.array("text", object)), b'"text"'),
        (object_to_value(np.array([1 + 2j])), b"[[1.0,2.0]]"),
        (object_to_value(np.array(True)), b"true"),
        (object_to_value(np.array([0.5], ml_dtypes.bfloat16)), b"[0.5]"),
    ],
)
def test_outputs_become_bytes(value: Value, data: bytes) -> None:
    assert output_bytes(value, None) == data
    assert output_bytes(value, "json") == data
    assert output_bytes(value, "text") == data


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array(["a", "zwölf"]),
        np.zeros((0, 3), np.float64),
        np.array(0.5),
        np.array([1j]),
    ],
)
def test_binary_outputs_are_npy_files(array: np.ndarray) -> None:
    data = output_bytes(object_to_value(array), "binary")
    again = np.load(io.BytesIO(data), allow_pickle=False)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_npy_files_hold_what_numpy_itself_can_read() -> None:
    data = output_bytes(object_to_value(np.array([0.5, 2], ml_dtypes.bfloat16)), "binary")
    again = np.load(io.BytesIO(data), allow_pickle=False)
    assert (again.dtype, again.tolist()) == (np.float32, [0.5, 2.0])


@given(st.lists(st.floats(width=32), max_size=5))
def test_json_outputs_are_strict_json(numbers: list[float]) -> None:
    data = output_bytes(object_to_value(np.array(numbers, np.float32)), "json")
    assert parse_json(data) == [n if np.isfinite(n) else None for n in numbers]


def test_streams_give_the_bytes_in_pieces() -> None:
    data = bytes(range(256)) * 4096
    pieces = list(stream_bytes_blocking(data))
    assert len(pieces) > 1
    assert b"".join(pieces) == data
    assert list(stream_bytes_blocking(b"")) == []
