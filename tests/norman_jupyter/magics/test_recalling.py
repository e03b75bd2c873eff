"""Recorded calls: listing, showing and repeating them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from norman_jupyter.magics.moments import parse_moment
from norman_protocol.errors import RequestInvalid

ID = "0" * 31 + "a"
NOW = datetime(2031, 5, 6, 12, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2031-05-06T11:58:30+02:00"),
        ("5 min", "2031-05-06T11:55:00+02:00"),
        ("3D", "2031-05-03T12:00:00+02:00"),
        ("1w", "2031-04-29T12:00:00+02:00"),
        ("today", "2031-05-06T00:00:00+02:00"),
        ("2031-05-05", "2031-05-05T00:00:00+02:00"),
        ("2031-05-05T07:08", "2031-05-05T07:08:00+02:00"),
        ("2031-05-05T07:08:09Z", "2031-05-05T07:08:09+00:00"),
    ],
)
def test_times_as_people_write_them(text, moment):
    assert parse_moment(text, NOW, what="--since") == datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["", "soon", "-3d", "3y", "2031-13-01", "9999999d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(RequestInvalid, match="--since takes") as caught:
        parse_moment(text, NOW, what="--since")
    assert caught.value.field == "--since"


def test_invocations_are_listed_as_asked_for(client, notebook):
    before = datetime.now(UTC)
    page = notebook.run("%norman invocations digits@2 --state failed --since 2h --limit 3")
    assert len(page.items) == 3
    ((_, _, options),) = client.calls
    since = options.pop("since")
    assert timedelta(0) <= since - (before - timedelta(hours=2)) < timedelta(minutes=1)
    assert options == {"model": "digits@2", "state": "failed", "limit": 3, "cursor": None}


def test_a_long_list_is_read_in_pages(client, notebook):
    page = notebook.run("%norman invocations --limit 250")
    assert len(page.items) == 250
    assert [options["limit"] for _, _, options in client.calls] == [200, 50]
    assert client.calls[1][2]["cursor"] == f"{199:032x}"


@pytest.mark.parametrize(
    ("options", "field"),
    [("--state done", "--state"), ("--since soon", "--since"), ("--limit 1.5", "--limit")],
)
def test_wrong_options_are_refused_before_anything_is_asked(client, notebook, options, field):
    error, _ = notebook.fail(f"%norman invocations {options}")
    assert isinstance(error, RequestInvalid)
    assert error.field == field
    assert client.calls == []


def test_an_invocation_is_shown_with_what_went_in_and_came_out(client, notebook):
    detail = notebook.run(f"%norman show {ID}")
    assert detail.invocation.id == ID
    assert client.calls == [("invocation", (ID,), {})]
    data, _ = notebook.shell.display_formatter.format(detail)
    for shown in (data["text/plain"], data["text/html"]):
        assert "digits@1" in shown
        assert "succeeded" in shown
        assert "image" in shown
        assert "float32" in shown
        assert "label" in shown
        assert ID in shown


def test_a_model_may_have_a_name_that_looks_like_an_id(client, notebook):
    notebook.fail(f"%norman show {'f' * 32}")
    assert [call[0] for call in client.calls] == ["invocation", "model"]


def test_a_call_is_repeated_with_the_same_or_another_version(client, notebook):
    assert notebook.run(f"%norman replay {ID}").version == "digits@1"
    assert notebook.run(f"%norman replay {ID} --with digits@2").version == "digits@2"
    assert [call[1] for call in client.calls] == [(ID, None), (ID, "digits@2")]


def test_states_and_ids_are_completed(notebook):
    assert notebook.complete("%norman invocations --state can") == ["cancelled"]
    assert f"{7:032x}" in notebook.complete("%norman replay 0000")
