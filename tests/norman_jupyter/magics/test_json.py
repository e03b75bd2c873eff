"""``--json``: the answer of every command as one document, and the object as before."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from norman_jupyter.client.inspection import Inspection
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.magics.documents import json_document
from norman_jupyter.magics.options import COMMANDS, JSON_FLAG
from norman_protocol.decoding import decode, encode
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    Deletion,
    DiskUsage,
    DoctorReport,
    GarbageReport,
    InvocationDetail,
    InvocationPage,
    InvokeAnswer,
    LogText,
    ModelDetail,
    ModelPage,
    ServerStatus,
    VersionDetail,
    VersionDiff,
    VersionPage,
)

ID = "0" * 32


def document(notebook):
    """Return what the last cell printed, besides the prompt of a value that isn't shown."""
    text, _, shown = notebook.printed().partition("Out[")
    assert not shown.partition(": ")[2].strip()
    return json.loads(text)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("upload ./model --dry-run", Inspection),
        ("models", ModelPage),
        ("models --search digit", ModelPage),
        ("search digit", ModelPage),
        ("show digits", ModelDetail),
        ("show digits@1", VersionDetail),
        (f"show {ID}", InvocationDetail),
        ("versions digits", VersionPage),
        ("alias digits", AliasPage),
        ("alias digits@1 production", AliasChange),
        ("rollback digits", AliasChange),
        ("history digits", AliasHistory),
        ("diff digits@1 digits@2", VersionDiff),
        ("edit digits@1 --tag a", VersionDetail),
        ("invocations", InvocationPage),
        ("invocations digits --state failed", InvocationPage),
        (f"cancel {ID}", InvocationDetail),
        ("rm digits@1", Deletion),
        ("gc --dry-run", GarbageReport),
        ("du", DiskUsage),
        ("doctor", DoctorReport),
        ("logs digits", LogText),
        ("status", ServerStatus),
    ],
)
def test_a_listing_prints_its_body_and_returns_its_object(line, body, notebook):
    before = notebook.run(f"%norman {line};")
    notebook.printed()
    value = notebook.run(f"%norman {line} --json")
    found = document(notebook)
    # Strict: every key is one of the body's, which are those of REST.
    read = decode(body, found)
    assert list(found) == [field.name for field in dataclasses.fields(body)]
    assert encode(read) == found
    assert value == before


def test_it_is_printed_once_and_not_shown_besides(notebook):
    notebook.run("%norman models --json")
    assert document(notebook)["items"][0]["name"] == "digits"


def test_a_semicolon_silences_it(notebook):
    notebook.run("%norman models --json;")
    assert "digits" not in notebook.printed()


def test_every_command_that_answers_takes_it():
    for command in COMMANDS:
        assert (JSON_FLAG in command.options_by_name) == command.answers


def test_a_result_has_the_shape_of_the_rest_answer(notebook):
    notebook.run("x = [1]")
    notebook.run("%norman invoke digits image=x --json")
    found = document(notebook)
    assert found["outputs"] == {"label": {"dtype": "int64", "shape": [1], "data": [7]}}
    assert found["reference"] == "digits@1"
    assert found["timings"]["model_s"] == pytest.approx(0.001)
    assert found["timings"]["total_s"] == pytest.approx(0.0015)
    decode(InvokeAnswer, found, tolerant=True)


def test_what_json_has_no_word_for_is_said_as_rest_says_it():
    result = InvokeResult(
        outputs={"a": np.array([np.nan, 1.0]), "b": b"\x00", "c": "\x9b\u202e"},
        id="1",
        version="m@1",
        latency_ms=1.0,
    )
    text = json_document(result)
    assert "\x9b" not in text
    assert "\u202e" not in text
    outputs = json.loads(text)["outputs"]
    assert outputs["a"] == {"dtype": "float64", "shape": [2], "data": [None, 1.0]}
    assert outputs["b"] == {"base64": "AA==", "file_name": None}
    assert outputs["c"] == "\x9b\u202e"


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("250", 250), ("1000", 450)])
def test_models_are_listed_as_far_as_one_asks(limit, count, notebook, client):
    client.model_facts = {f"model{number}": {} for number in range(450)}
    notebook.run(f"%norman search model --limit {limit} --json")
    found = document(notebook)
    assert len({item["name"] for item in found["items"]}) == count
    assert (found["next_cursor"] is None) == (count == 450)


def test_times_are_iso(notebook):
    notebook.run("%norman versions digits --json")
    assert document(notebook)["items"][0]["created_at"] == "2031-05-06T07:08:09+00:00"
