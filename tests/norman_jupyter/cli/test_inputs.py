"""Words of a shell into inputs: what the input takes decides, not what the value looks like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from norman_jupyter.cli.inputs import read_inputs, text_inputs
from norman_jupyter.magics.words import plain_word
from norman_protocol.errors import InputInvalid, NormanError, RequestInvalid
from norman_protocol.signature import Modality, Parameter, Signature

SIGNATURE = Signature(inputs=tuple(Parameter(name=kind.value, modality=kind) for kind in Modality))


def read(*texts: str, stdin: bytes = b"", signature: Signature | None = SIGNATURE):
    stream = io.TextIOWrapper(io.BytesIO(stdin))
    return read_inputs([plain_word(text) for text in texts], signature, stream)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=42", "42"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text={x}", "{x}"),
        ("text='quoted'", "'quoted'"),
        ("text=null", "null"),
        ("integer=42", 42),
        ("integer=-1", -1),
        ("float=1e3", 1000.0),
        ("boolean=true", True),
        ("boolean=True", True),
        ("json=None", None),
        ('json={"a": [1, null]}', {"a": [1, None]}),
        ("json=plain words", "plain words"),
        ("tensor=[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("image=[[0, 1]]", [[0, 1]]),
        ('file={"base64": "AA=="}', {"base64": "AA=="}),
        ("unknown=7", 7),
        ("unknown=seven", "seven"),
    ],
)
def test_a_value_is_read_as_the_input_takes_it(word, value):
    (read_value,) = read(word).values()
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("name", ["file", "image", "audio", "video"])
@pytest.mark.parametrize("mark", ["", "@"])
def test_a_medium_is_the_path_of_a_file(name, mark, tmp_path):
    path = tmp_path / "a b=c.png"
    path.write_bytes(b"png")
    assert read(f"{name}={mark}{path}") == {name: path}


def test_a_text_that_is_the_name_of_a_file_stays_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("hidden")
    assert read("text=secret", "json=secret") == {"text": "secret", "json": "secret"}
    assert read("text=@secret") == {"text": Path("secret")}


def test_arrays_and_json_are_read_from_files(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    (tmp_path / "x.json").write_text("[1, 2]")
    np.testing.assert_array_equal(read(f"tensor=@{tmp_path}/x.npy")["tensor"], array)
    np.testing.assert_array_equal(read(f"image={tmp_path}/x.npy")["image"], array)
    assert read(f"json=@{tmp_path}/x.json") == {"json": [1, 2]}
    assert read(f"file=@{tmp_path}/x.npy") == {"file": tmp_path / "x.npy"}


def test_an_array_that_would_run_code_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputInvalid, match=r"x\.npy is damaged"):
        read(f"tensor=@{tmp_path}/x.npy")


def test_standard_input_is_a_file_or_every_input():
    assert read("file=@-", stdin=b"\x00\xff") == {"file": b"\x00\xff"}
    assert read("-", "integer=3", stdin=b'{"text": "@a"}') == {"text": "@a", "integer": 3}


@pytest.mark.parametrize(
    ("words", "stdin", "kind", "part"),
    [
        (["text"], b"", RequestInvalid, "no KEY=VALUE"),
        (["=a"], b"", RequestInvalid, "no KEY=VALUE"),
        (["text=a", "text=b"], b"", InputInvalid, "'text' is given twice"),
        (["-", "text=b"], b'{"text": "a"}', InputInvalid, "'text' is given twice"),
        (["-", "-"], b"{}", RequestInvalid, "only once"),
        (["-", "file=@-"], b"{}", RequestInvalid, "only once"),
        (["-"], b"[1]", RequestInvalid, "no JSON object"),
        (["-"], b"{", RequestInvalid, "not JSON"),
        (["image=nosuch.png"], b"", InputInvalid, "nosuch.png doesn't exist"),
        (["image="], b"", InputInvalid, "Input 'image'"),
        (["image=@/"], b"", InputInvalid, "is a folder"),
        (["json=@/proc/self/mem.json"], b"", InputInvalid, "doesn't exist"),
    ],
)
def test_what_is_wrong_is_named(words, stdin, kind, part):
    with pytest.raises(NormanError) as caught:
        read(*words, stdin=stdin)
    assert type(caught.value) is kind
    assert part in caught.value.message


def test_damaged_json_of_a_file_is_named(tmp_path):
    (tmp_path / "x.json").write_text("[1,")
    with pytest.raises(InputInvalid, match=r"x\.json is damaged"):
        read(f"tensor=@{tmp_path}/x.json")


def test_without_a_signature_values_are_json_or_text():
    assert read("a=1", "b=x", signature=None) == {"a": 1, "b": "x"}


def test_what_was_read_as_text_is_known():
    words = [plain_word(text) for text in ("integer=three", "text=a", "float=2")]
    assert text_inputs(words, read("integer=three", "text=a", "float=2")) == {"integer", "text"}
