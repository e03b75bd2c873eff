"""Calls with a cell's body and over rows, and the last result, with a client without a server."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from norman_jupyter.client.mapping import MapInterrupted, MapProgress
from norman_jupyter.magics.bodies import read_body
from norman_jupyter.magics.documents import answer_body
from norman_jupyter.magics.rows import RowsDisplay
from norman_protocol.errors import InputInvalid, ModelNotFound, RequestInvalid
from norman_protocol.signature import Modality, Parameter, Signature

TEXT = Parameter(name="text", modality=Modality.TEXT)
TOP = Parameter(name="top", modality=Modality.INTEGER, required=False)
PHOTO = Parameter(name="Photo", modality=Modality.IMAGE, encoding="png")
ROWS = Parameter(name="rows", modality=Modality.TENSOR, dtype="float32", shape=("n", 2))


def signature(*inputs):
    return Signature(inputs=inputs)


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "body", "given", "expected"),
    [
        ((TEXT, TOP), "Once\n\nupon\n", (), {"text": "Once\n\nupon"}),
        ((TEXT, TOP), ' {"text": "a", "top": 2}\n', (), {"text": "a", "top": 2}),
        ((TEXT, TOP), '{"top": 2}', ("text",), {"top": 2}),
        ((TEXT, TOP), "[1]", (), {"text": "[1]"}),
        ((TEXT, TOP), " \n", (), {}),
        ((ROWS, TOP), "[[1.0, 2.0]]\n", (), {"rows": [[1.0, 2.0]]}),
        ((TEXT, TOP), "5", ("text",), {"top": 5}),
        ((TEXT,), '{"txet": "a"}', (), {"txet": "a"}),  # the call names the nearest
    ],
)
def test_body_is_an_object_of_inputs_or_the_one_text(inputs, body, given, expected):
    assert read_body(body, signature(*inputs), given) == expected


def test_text_for_an_image_in_a_body_names_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seven.png").write_bytes(b"")
    assert read_body('{"Photo": "seven.png"}', signature(PHOTO), ())["Photo"].name == "seven.png"
    assert read_body("seven.png\n", signature(PHOTO), ())["Photo"].name == "seven.png"
    with pytest.raises(InputInvalid, match="no file is called"):
        read_body("eight.png\n", signature(PHOTO), ())


@pytest.mark.parametrize(
    ("inputs", "body", "given", "kind", "part"),
    [
        ((TEXT,), '{"text": }', (), RequestInvalid, "read as a JSON object"),
        ((TEXT,), '{"text": 1, "text": 2}', (), RequestInvalid, "read as a JSON object"),
        ((TEXT,), '{"text": 1}', ("text",), InputInvalid, "on the line and in the body"),
        ((ROWS,), "[[1.0, 2.0", (), InputInvalid, "read as JSON"),
        ((), "hello", (), InputInvalid, "for no input"),
        (
            (TEXT, Parameter(name="other", modality=Modality.TEXT)),
            "hello",
            (),
            InputInvalid,
            "could be any of 'text' (text), 'other' (text)",
        ),
    ],
)
def test_body_that_says_no_inputs_is_refused(inputs, body, given, kind, part):
    with pytest.raises(kind) as caught:
        read_body(body, signature(*inputs), given)
    assert part in caught.value.message


def test_cell_s_body_is_sent_with_what_stands_on_the_line(notebook, client):
    result = notebook.run('%%norman invoke digits top=5\n{"image": [[1.5]]}\n')
    (asked, call) = client.calls
    assert asked[0] == "version"
    assert call[1] == ("digits", {"top": 5, "image": [[1.5]]})
    assert result is notebook.shell.user_ns["_norman"]


def test_empty_body_needs_nothing_from_the_server(notebook, client):
    notebook.run("%%norman invoke digits top=5\n\n")
    assert [call[0] for call in client.calls] == ["invoke"]


@pytest.mark.parametrize("command", ["models", "upload ./model", "last", "config"])
def test_other_commands_take_no_body(command, notebook, client):
    error, shown = notebook.fail(f"%%norman {command}\nsomething\n")
    assert isinstance(error, RequestInvalid)
    assert "takes no body" in shown
    assert not client.calls


def test_help_of_invoke_tells_of_the_body(notebook):
    notebook.run("%norman invoke --help")
    assert "JSON object of" in notebook.printed()


# --- over rows ------------------------------------------------------------------------------------


def test_over_passes_the_object_and_what_is_the_same_for_all(notebook, client):
    notebook.attach_frontend()
    frame = notebook.run(
        "rows = [{'image': 1}]\n"
        "%norman invoke digits --over rows --into answers --in-flight 4 --timeout 9 top=2"
    )
    ((verb, (reference, data, constants), options),) = client.calls
    assert (verb, reference, constants) == ("map", "digits", {"top": 2})
    assert data is notebook.shell.user_ns["rows"]
    assert options == {"in_flight": 4, "timeout_s": 9}
    assert notebook.shell.user_ns["answers"] is frame
    assert notebook.shell.user_ns["_norman"] is frame
    (final, *_) = notebook.outputs()
    assert "digits@1: 2 of 2 rows in " in final["text/plain"]
    assert "1 failed" in final["text/plain"]
    assert "not sent: id" in final["text/plain"]


def test_over_shows_a_bar_in_a_notebook(notebook):
    notebook.attach_frontend()
    notebook.run("%norman invoke digits --over {[1, 2]};")
    first = notebook.publisher.outputs[0]["data"]
    assert "width:50.0%" in first["text/html"]
    assert "█" in first["text/plain"]
    assert "1 of 2 rows (50 %)" in first["text/plain"]


def test_semicolon_silences_the_frame_and_gives_it_nevertheless(notebook):
    frame = notebook.run("answers = %norman invoke digits --over {[1, 2]};\nanswers")
    assert isinstance(frame, pd.DataFrame)
    notebook.printed()
    notebook.run("%norman invoke digits --over {[1, 2]};")
    assert "label" not in notebook.printed()
    notebook.run("%norman invoke digits --over {[1, 2]}")
    assert "label" in notebook.printed()


def test_interrupted_map_is_kept_and_says_where(notebook, client):
    partial = pd.DataFrame({"label": [7]})
    client.failure = MapInterrupted(partial, 1, 10)
    notebook.attach_frontend()
    error, shown = notebook.fail("%norman invoke digits --over {[1, 2]} --into answers")
    assert isinstance(error, KeyboardInterrupt)
    assert "kept (1 row): answers and %norman last give it" in shown
    assert "interrupted" in notebook.outputs()[0]["text/plain"]
    assert notebook.shell.user_ns["answers"] is partial
    assert notebook.run("%norman last") is partial


def test_failed_map_ends_its_display(notebook, client):
    notebook.attach_frontend()
    client.failure = ModelNotFound("no")
    notebook.fail("%norman invoke digits --over {[1, 2]}")
    assert "digits: failed" in notebook.outputs()[0]["text/plain"]


def test_text_that_is_no_pattern_hints_at_variables(notebook, client):
    client.failure = InputInvalid("No file matches 'row'.")
    _, shown = notebook.fail("rows = [1]\n%norman invoke digits --over row")
    assert "No variable is called row. Did you mean rows?" in shown


@pytest.mark.parametrize("name", ["1st", "a b", "class", "x.y"])
def test_into_takes_the_name_of_a_variable(name, notebook, client):
    error, _ = notebook.fail(f"%norman invoke digits --into '{name}' top=1")
    assert isinstance(error, RequestInvalid)
    assert not client.calls


def test_over_and_a_body_contradict_each_other(notebook, client):
    _, shown = notebook.fail("%%norman invoke digits --over {[1]}\n{}\n")
    assert "leave the cell's body empty" in shown
    assert not client.calls


def test_into_keeps_a_single_result_too(notebook):
    result = notebook.run("%norman invoke digits top=1 --into answer")
    assert notebook.shell.user_ns["answer"] is result


# --- last -----------------------------------------------------------------------------------------


def test_last_gives_the_last_result_again(notebook):
    error, shown = notebook.fail("%norman last")
    assert isinstance(error, RequestInvalid)
    assert "Nothing was invoked" in shown
    first = notebook.run("%norman invoke digits top=1")
    assert notebook.run("%norman last") is first
    notebook.run("%norman models")
    assert notebook.run("_norman") is first


def test_replay_is_a_result_as_well(notebook):
    replayed = notebook.run(f"%norman replay {'0' * 32}")
    assert notebook.run("%norman last") is replayed


# --- the display ----------------------------------------------------------------------------------


class Surface:
    def __init__(self):
        self.shown = []
        self.is_closed = False

    def show(self, bundle):
        self.shown.append(bundle["text/plain"])

    def close(self):
        self.is_closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_bar_is_shown_now_and_then():
    surface, clock = Surface(), Clock()
    display = RowsDisplay(surface, "digits", clock)
    for done in range(1, 101):
        clock.now += 0.01
        display.report(MapProgress(done=done, failed=done // 50, total=100))
    assert 4 <= len(surface.shown) <= 5
    display.finish("digits@1")
    assert surface.shown[-1].startswith("digits@1: 100 of 100 rows in 1.00 s · 2 failed · 100 rows")
    assert surface.is_closed


def test_rows_that_nobody_counted_have_no_bar():
    surface = Surface()
    display = RowsDisplay(surface, "digits", Clock())
    display.report(MapProgress(done=3, failed=0, total=None))
    assert surface.shown == ["digits: 3 rows"]
    display.abandon("interrupted")
    assert surface.shown[-1].startswith("digits: interrupted · 3 rows in")


# --- as JSON --------------------------------------------------------------------------------------


def test_rows_are_printed_as_json(notebook):
    notebook.run("%norman invoke digits --over {[1, 2]} --json")
    document = notebook.printed()
    rows = json.loads(document.removesuffix("Out[1]: "))
    assert rows == [
        {"label": 7, "error": None},
        {"label": None, "error": "ModelFailed: no"},
    ]


def test_cells_of_any_kind_are_json():
    cells = {
        "array": np.ones(2, np.float32),
        "scalar": np.int64(3),
        "file": b"\0",
        "when": pd.Timestamp("2031-05-06"),
        "never": pd.NaT,
        "missing": pd.NA,
    }
    ((row),) = answer_body(pd.DataFrame([cells], dtype=object))
    assert row["array"] == {"dtype": "float32", "shape": [2], "data": [1.0, 1.0]}
    assert (row["scalar"], row["never"], row["missing"]) == (3, None, None)
    assert row["file"]["base64"] == "AA=="
    assert row["when"].startswith("2031-05-06")
    assert answer_body([{"x": 1}]) == [{"x": 1}]
