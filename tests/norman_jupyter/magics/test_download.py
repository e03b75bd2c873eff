"""``%norman download``: its words, what it shows, what it completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from norman_jupyter import BundleInvalid, InputInvalid


def test_files_come_into_the_folder_that_was_named(notebook, client) -> None:
    notebook.shell.user_ns["where"] = Path("kept here")
    placed = notebook.run("%norman download digits@1 {where}")
    assert placed == Path("/work/kept here")
    assert client.calls[-1] == ("download", ("digits@1", Path("kept here")), {})


def test_folder_may_be_left_out(notebook, client) -> None:
    notebook.run("%norman download digits")
    assert client.calls[-1] == ("download", ("digits", None), {})


def test_progress_becomes_the_folder_in_one_output(notebook) -> None:
    notebook.attach_frontend()
    notebook.run("%norman download digits")
    (shown,) = notebook.outputs()
    assert shown["text/plain"].startswith("digits is in /work/digits-1 · received 10 B in ")


def test_failure_says_where_it_was(notebook, client) -> None:
    client.failure = BundleInvalid("These are other bytes.", path="model.onnx")
    notebook.attach_frontend()
    notebook.fail("%norman download digits")
    (shown,) = notebook.outputs()
    assert shown["text/plain"] == "digits: failed while receiving"


def test_folder_is_a_path(notebook) -> None:
    error, _ = notebook.fail("%norman download digits {3}")
    assert isinstance(error, InputInvalid)
    assert "FOLDER: {3} is an int" in str(error)


@pytest.mark.parametrize(
    ("line", "offered"), [("%norman download di", "digits"), ("%norman download digits su", "sub/")]
)
def test_reference_and_folder_are_completed(notebook, tmp_path, line: str, offered: str) -> None:
    (tmp_path / "sub").mkdir()
    assert offered in notebook.complete(line)


def test_help_says_that_nothing_is_overwritten(notebook) -> None:
    notebook.run("%norman download --help")
    assert "nothing is overwritten" in notebook.printed()
