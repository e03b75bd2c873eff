"""``rm``, ``gc`` and ``du``: what they ask, of whom, and what they show."""

from __future__ import annotations

import builtins

import pytest
from IPython.core.error import StdinNotImplementedError

from norman_protocol.errors import RequestInvalid


def deleted(client):
    return [call for call in client.calls if call[0].startswith("delete")]


@pytest.fixture
def answers(monkeypatch):
    """What is typed at the prompt; an exception is raised there."""
    given, asked = [], []

    def read(prompt=""):
        asked.append(prompt)
        answer = given.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(builtins, "input", read)
    return given, asked


def test_one_version_goes_without_a_question(notebook, client, answers):
    notebook.run("%norman rm digits@1 --stop")
    assert deleted(client) == [("delete", ("digits@1",), {"stop": True})]
    assert "digits@1 is deleted" in notebook.printed()
    assert answers[1] == []


def test_a_whole_model_asks_first(notebook, client, answers):
    given, asked = answers
    given += ["n", "", "yes"]
    notebook.run("%norman rm digits --all")
    notebook.run("%norman rm digits --all")
    assert deleted(client) == []
    notebook.run("%norman rm digits --all")
    assert deleted(client) == [("delete_model", ("digits",), {})]
    assert "digits with its 2 versions" in asked[0]
    assert "gone are the aliases active" in notebook.printed()


def test_a_notebook_that_runs_alone_must_be_sure(notebook, client, answers):
    answers[0].append(StdinNotImplementedError("no stdin"))
    error, _ = notebook.fail("%norman rm digits --all")
    assert isinstance(error, RequestInvalid)
    assert "--all --yes" in error.message
    assert deleted(client) == []
    notebook.run("%norman rm digits --all --yes")
    assert deleted(client) == [("delete_model", ("digits",), {})]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%norman rm digits", "Which version"),
        ("%norman rm digits@1 --all", "whole model"),
        ("%norman du digits@1", "lists every version"),
    ],
)
def test_what_is_meant_must_be_clear(notebook, client, line, says):
    error, _ = notebook.fail(line)
    assert isinstance(error, RequestInvalid)
    assert says in error.message
    assert deleted(client) == []


def test_clean_up_says_what_it_did(notebook, client):
    notebook.run("%norman gc --dry-run")
    assert "Would remove 3 files" in notebook.printed()
    notebook.run("%norman gc")
    assert "Removed 3 files" in notebook.printed()
    assert [options for _, _, options in client.calls] == [{"dry_run": True}, {"dry_run": False}]


def test_the_disk_is_shown_by_size(notebook, client):
    notebook.run("%norman du digits")
    assert client.calls[-1] == ("disk", ("digits",), {})
    shown = notebook.printed()
    assert all(word in shown for word in ("digits@2", "free", "backups"))


def test_the_doctor_lists_what_it_found_or_says_that_all_is_well(notebook, client):
    notebook.run("%norman doctor")
    shown = notebook.printed()
    assert all(word in shown for word in ("warning", "belongs to no version", "--repair"))
    notebook.run("%norman doctor --repair")
    assert "mended" in notebook.printed()
    notebook.run("%norman doctor --deep")
    assert "All is well: disk, orphans." in notebook.printed()
    assert [options for _, _, options in client.calls] == [
        {"repair": False, "deep": False},
        {"repair": True, "deep": False},
        {"repair": False, "deep": True},
    ]
