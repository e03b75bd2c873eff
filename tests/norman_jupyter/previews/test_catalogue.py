"""Aliases, histories and differences as people see them."""

from __future__ import annotations

from norman_jupyter.previews.catalogue import (
    render_alias_change,
    render_alias_history,
    render_aliases,
    render_version_diff,
)
from norman_jupyter.previews.listings import render_versions
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    AliasSummary,
    Difference,
    FileDifference,
    VersionDiff,
    VersionPage,
    VersionSummary,
)

AT = "2031-05-06T07:08:09+00:00"
NASTY = "<script>alert(1)</script>"


def change(before, after, action="set", why=None):
    return AliasChange(
        name="digits",
        alias="production",
        action=action,
        before=before,
        after=after,
        changed_at=AT,
        changed_by="ada",
        why=why,
    )


def test_a_switch_says_where_it_leads_and_how_to_undo_it():
    shown = render_alias_change(change(2, 3))["text/plain"]
    assert shown.splitlines() == [
        "digits@production → digits@3 (before: digits@2)",
        "Undo: %norman alias digits@2 production",
    ]
    assert render_alias_change(change(None, 1))["text/plain"] == (
        "digits@production → digits@1 (new)"
    )
    assert "is gone; it led to digits@3" in render_alias_change(change(3, None))["text/plain"]
    assert "nothing was changed" in render_alias_change(change(3, 3))["text/plain"]


def test_a_history_has_a_row_for_each_change():
    items = (change(3, 2, "rollback", NASTY), change(None, 3))
    bundle = render_alias_history(AliasHistory(name="digits", items=items, next_cursor="x"))
    lines = bundle["text/plain"].splitlines()
    assert lines[1].split()[3:8] == ["production", "rollback", "@3", "@2", "ada"]
    assert "There are more" in lines[-1]
    assert "<script>" not in bundle["text/html"]
    assert "ever set" in render_alias_history(AliasHistory(name="d", items=()))["text/plain"]


def test_aliases_say_since_when_by_whom_and_why():
    item = AliasSummary(
        alias="production",
        number=2,
        reference="digits@2",
        state="ready",
        changed_at=AT,
        changed_by="ada",
        why="better",
    )
    shown = render_aliases(AliasPage(name="digits", items=(item,)))["text/plain"]
    assert "production  digits@2  ready  2031-05-06 07:08 UTC  ada  better" in shown
    assert "no aliases" in render_aliases(AliasPage(name="digits", items=()))["text/plain"]


def test_versions_name_the_aliases_that_lead_to_them():
    item = VersionSummary(
        reference="digits@2",
        name="digits",
        number=2,
        state="ready",
        active=True,
        label=None,
        runtime="onnx",
        size_bytes=10,
        created_at=AT,
        created_by="ada",
        aliases=("active", "production"),
    )
    shown = render_versions(VersionPage(items=(item,), next_cursor="x"))["text/plain"]
    assert "ready, active, production" in shown
    assert "There are earlier ones" in shown
    assert "no more versions" in render_versions(VersionPage(items=()))["text/plain"]


def test_a_difference_has_a_table_for_each_kind_of_thing():
    diff = VersionDiff(
        before="digits@1",
        after="digits@2",
        signature=(Difference(name="input image", before="float32[n,64]", after="text"),),
        files=tuple(
            FileDifference(path=f"{NASTY}{i}", change="added", before_bytes=None, after_bytes=1500)
            for i in range(60)
        ),
        environment=(),
        settings=(Difference(name="label", before=None, after="x\ny"),),
    )
    bundle = render_version_diff(diff)
    shown = bundle["text/plain"]
    assert shown.startswith("digits@1 → digits@2")
    assert "float32[n,64]" in shown
    assert "… and 10 more files" in shown
    assert "x y" in shown
    assert "environment" not in shown
    assert "<script>" not in bundle["text/html"]


def test_the_same_version_differs_in_nothing():
    diff = VersionDiff(
        before="digits@1", after="digits@1", signature=(), files=(), environment=(), settings=()
    )
    assert "nothing is different" in render_version_diff(diff)["text/plain"]
