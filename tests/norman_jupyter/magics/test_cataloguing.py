"""Commands on versions and aliases: what they ask, what they show, what they refuse."""

from __future__ import annotations

import pytest

from norman_protocol.errors import NameInvalid, RequestInvalid


def asked(client):
    return [(verb, arguments) for verb, arguments, _ in client.calls]


def test_an_alias_is_set_with_its_reason(notebook, client):
    notebook.run("%norman alias digits@3 production --why 'better on sevens'")
    assert asked(client) == [("set_alias", ("digits", "production", 3, "better on sevens"))]
    shown = notebook.printed()
    assert "digits@production → digits@3 (before: digits@1)" in shown
    assert "Undo: %norman alias digits@1 production" in shown


def test_a_reference_without_a_number_is_resolved_first(notebook, client):
    notebook.run("%norman alias digits@latest production;")
    assert asked(client) == [
        ("version", ("digits@latest",)),
        ("set_alias", ("digits", "production", 1, None)),
    ]


def test_an_alias_is_taken_away(notebook, client):
    notebook.run("%norman alias digits production --delete --why over")
    assert asked(client) == [("delete_alias", ("digits", "production", "over"))]
    assert "is gone" in notebook.printed()


def test_a_model_alone_lists_its_aliases(notebook, client):
    notebook.run("%norman alias digits")
    assert asked(client) == [("aliases", ("digits",))]
    assert "production" in notebook.printed()


def test_rollback_goes_back_by_one_or_to_a_version(notebook, client):
    notebook.run("n = 2")
    notebook.run("%norman rollback digits;")
    notebook.run("%norman rollback digits --to 1 --alias production --why worse;")
    notebook.run("%norman rollback digits --to {n};")
    assert asked(client) == [
        ("rollback", ("digits", None, "active", None)),
        ("rollback", ("digits", 1, "production", "worse")),
        ("rollback", ("digits", 2, "active", None)),
    ]


def test_versions_are_read_page_by_page_up_to_the_limit(notebook, client):
    client.version_count = 450
    page = notebook.run("%norman versions digits --limit 430")
    assert [item.number for item in page.items] == list(range(450, 20, -1))
    assert [options["limit"] for _, _, options in client.calls] == [200, 200, 30]
    assert "There are earlier ones" in notebook.printed()
    assert len(notebook.run("%norman versions digits").items) == 20


def test_history_and_differences_show_themselves(notebook, client):
    notebook.run("%norman history digits --alias production")
    assert "better" in notebook.printed()
    notebook.run("%norman diff digits@1 digits@2")
    assert "digits@1 → digits@2" in notebook.printed()
    assert asked(client) == [
        ("history", ("digits", "production")),
        ("diff", ("digits@1", "digits@2")),
    ]


def test_an_edit_sends_what_is_given_only(notebook, client):
    notebook.run("%norman edit digits@2 --version-label better --description '' --tag a --tag b;")
    notebook.run("%norman edit digits@2 --no-tags --long-description 'a long one';")
    assert [options for _, _, options in client.calls] == [
        {"label": "better", "description": "", "long_description": None, "tags": ("a", "b")},
        {"label": None, "description": None, "long_description": "a long one", "tags": ()},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alias digits@3", "ALIAS is missing"),
        ("alias digits --delete", "ALIAS is missing"),
        ("alias digits@3 production --delete", "taken from the model"),
        ("rollback digits@3", "takes a model's name: digits"),
        ("rollback digits --to 1.5", "whole number"),
        ("rollback digits --to 0", "above zero"),
        ("versions digits --limit x", "above zero"),
        ("diff digits@1", "OTHER is missing"),
        ("edit digits@1", "Nothing is to be changed"),
        ("edit digits@1 --tag a --no-tags", "contradict"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_asked(notebook, client, line, message):
    error, shown = notebook.fail(f"%norman {line}")
    assert isinstance(error, RequestInvalid)
    assert message in shown
    assert not client.calls


def test_a_name_that_is_none_is_refused(notebook, client):
    error, _ = notebook.fail("%norman alias ../x production")
    assert isinstance(error, NameInvalid)
    assert not client.calls


def test_what_was_changed_is_offered_at_the_next_tab(notebook, client):
    assert "production" in notebook.complete("%norman alias digits p")
    notebook.run("%norman alias digits@3 production;")
    client.calls.clear()
    notebook.complete("%norman alias digits p")
    assert asked(client) == [("aliases", ("digits",))]
