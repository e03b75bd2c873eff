"""Reading the registry: references, pages, routes, trees and logs."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime

import pytest
from storing import digest_of, make_source, publish

from norman_protocol.errors import (
    BundleInvalid,
    ModelNotFound,
    NameInvalid,
    NotReady,
    RequestInvalid,
    VersionNotFound,
)
from norman_protocol.references import Reference, parse_reference
from norman_protocol.rest import ErrorBody
from norman_protocol.signature import Signature
from norman_server.registry import checks, cursors, rendering
from norman_server.registry.rendering import version_detail
from norman_server.registry.service import Registry


async def make_ready(registry, name="digits", text="", **options):
    record, _ = await publish(registry, name, text, **options)
    return await registry.mark_ready(record.id, signature=Signature(), load_s=0.1)


async def make_failed(registry, name="digits", text="", **options):
    record, _ = await publish(registry, name, text, **options)
    return await registry.mark_failed(
        record.id, ErrorBody(code="load_failed", message="No module named 'torch'.")
    )


# --- references -------------------------------------------------------------------------------


async def test_numbers_latest_and_active_lead_to_their_versions(registry):
    await make_ready(registry, text="1")
    await make_ready(registry, text="2")
    await make_failed(registry, text="3")
    found = {
        text: (await registry.version(parse_reference(text))).number
        for text in ("digits", "digits@active", "digits@latest", "digits@1", "DIGITS@3")
    }
    assert found == {
        "digits": 2,
        "digits@active": 2,
        "digits@latest": 3,
        "digits@1": 1,
        "DIGITS@3": 3,
    }


async def test_an_unknown_model_names_the_nearest(registry):
    for name in ("digits", "Digits-large", "faces"):
        await make_ready(registry, name)
    with pytest.raises(ModelNotFound, match=r"Did you mean digits") as caught:
        await registry.version(parse_reference("digit"))
    assert caught.value.nearest[0] == "digits"
    with pytest.raises(ModelNotFound, match="%norman models") as caught:
        await registry.model("zzzzzzz")
    assert caught.value.nearest == []


async def test_an_empty_registry_says_how_to_upload(registry):
    with pytest.raises(ModelNotFound, match="Nothing is uploaded yet"):
        await registry.version(parse_reference("digits"))
    with pytest.raises(ModelNotFound):
        await registry.routing("digits")


async def test_an_unknown_version_names_those_there_are(registry):
    await make_ready(registry, text="1")
    await make_ready(registry, text="2")
    with pytest.raises(VersionNotFound, match=r"no digits@9.*versions 1, 2.*active") as caught:
        await registry.version(parse_reference("Digits@9"))
    assert caught.value.versions == [1, 2]
    with pytest.raises(VersionNotFound, match=r"no digits@production"):
        await registry.version(parse_reference("digits@production"))


async def test_without_an_active_version_the_latest_says_why(registry):
    await publish(registry, text="1")
    with pytest.raises(NotReady, match=r"digits@1 is still loading") as caught:
        await registry.version(parse_reference("digits"))
    assert (caught.value.reference, caught.value.state) == ("digits@1", "loading")
    await make_failed(registry, text="2")
    with pytest.raises(NotReady) as caught:
        await registry.version(parse_reference("digits"))
    assert "\n" not in caught.value.message
    assert caught.value.message == (
        "digits has no active version: digits@2 failed: No module named 'torch'. "
        "Upload it again once that is mended."
    )


async def test_text_that_no_database_holds_is_simply_not_found(registry):
    with pytest.raises(NameInvalid):
        await registry.model("a\0b")
    await make_ready(registry)
    with pytest.raises(VersionNotFound):
        await registry.version(Reference(name="digits", selector=2**80))


# --- pages ------------------------------------------------------------------------------------


async def test_pages_hold_every_model_once_in_order(registry):
    names = ["b", "A", "ä", "c-1", "Z", "c"]
    for name in names:
        await make_ready(registry, name)
    for limit in (1, 2, 5, 6, 7):
        seen, cursor = [], None
        while True:
            page = await registry.models(limit=limit, cursor=cursor)
            assert len(page.items) <= limit
            seen.extend(item.name for item in page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == ["A", "b", "c", "c-1", "Z", "ä"]


async def test_a_summary_shows_the_active_version_or_else_the_latest(registry):
    await make_ready(registry, text="1", description="one", tags=("t",))
    await make_failed(registry, text="2", description="two")
    await make_failed(registry, "other", text="3", description="three")
    (digits, other) = (await registry.models()).items
    assert (digits.active, digits.latest, digits.version_count) == (1, 2, 2)
    assert (digits.state, digits.description, digits.tags) == ("ready", "one", ("t",))
    assert (other.active, other.latest, other.state) == (None, 1, "failed")
    assert other.description == "three"


async def test_every_change_of_a_version_is_a_change_of_its_model(storage):
    moments = iter(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 29))
    registry = Registry(storage, now=lambda: next(moments))

    async def updated() -> str:
        return (await registry.model("digits")).model.updated_at[:10]

    await publish(registry, "Digits", activate=False)
    assert await updated() == "2026-01-01"
    await make_failed(registry, activate=False)
    assert await updated() == "2026-01-03"
    await make_ready(registry, activate=False)
    assert await updated() == "2026-01-05"


async def test_search_looks_at_names_descriptions_and_labels(registry):
    await make_ready(registry, "Digits", text="1", description="Recognises HANDWRITING")
    await make_ready(registry, "faces", text="2", label="50% pruned")
    await make_ready(registry, "a_b", text="3")

    async def found(search: str) -> list[str]:
        return [item.name for item in (await registry.models(search=search)).items]

    assert await found("DIG") == ["Digits"]
    assert await found("handwriting") == ["Digits"]
    assert await found("50%") == ["faces"]
    assert await found("%") == ["faces"]
    assert await found("_") == ["a_b"]
    assert await found("'; DROP TABLE models; --") == []
    assert len(await found("")) == 3


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": 0},
        {"limit": 501},
        {"limit": -1},
        {"cursor": "!"},
        {"cursor": "_-8"},
        {"cursor": "ü"},
        {"search": "x" * 201},
    ],
)
async def test_parameters_out_of_bounds_are_refused(registry, parameters):
    with pytest.raises(RequestInvalid) as caught:
        await registry.models(**parameters)
    assert caught.value.field in parameters


async def test_a_model_lists_its_versions_newest_first(registry):
    await make_ready(registry, text="1", label="one")
    await make_failed(registry, text="2")
    detail = await registry.model("DIGITS")
    assert detail.model.name == "digits"
    assert [(v.reference, v.state, v.active) for v in detail.versions] == [
        ("digits@2", "failed", False),
        ("digits@1", "ready", True),
    ]
    assert detail.versions[1].label == "one"
    assert detail.versions[1].created_at.endswith("Z")


async def test_a_detail_tells_all_of_a_record(registry):
    record = await make_failed(registry, label="l", tags=("t",))
    detail = version_detail(record, created=False)
    assert detail.created is False
    for name in ("id", "reference", "state", "label", "tags", "manifest", "origin", "trust"):
        assert getattr(detail, name) == getattr(record, name)
    assert detail.error == record.error
    assert detail.created_at.endswith("Z")


# --- routes -----------------------------------------------------------------------------------


async def test_routes_hold_every_version_with_its_state(registry):
    first = await make_ready(registry, text="1")
    second = await make_failed(registry, text="2")
    third, _ = await publish(registry, "another", "3")
    another, digits = await registry.routings()
    assert (digits.name, digits.aliases) == ("digits", {"active": 1})
    assert digits.versions == {1: (first.id, "ready"), 2: (second.id, "failed")}
    assert (another.name, another.aliases) == ("another", {})
    assert another.versions == {1: (third.id, "loading")}
    assert await registry.routing("Digits") == digits
    assert [record.id for record in await registry.servable()] == [first.id]
    assert [record.id for record in await registry.unfinished()] == [third.id]


async def test_an_empty_registry_has_no_routes(registry):
    assert await registry.routings() == []
    assert (await registry.models()).items == ()
    assert await registry.model_count() == 0


# --- trees and logs ---------------------------------------------------------------------------


async def test_a_version_is_laid_out_once(registry, storage):
    record = await make_ready(registry)
    folder = await registry.materialise(record.id)
    assert folder == storage.home.models / record.id
    assert (folder / "model.py").read_bytes() == make_source()
    assert await registry.materialise(record.id) == folder


async def test_a_version_whose_blob_is_damaged_can_be_sent_again(registry, storage):
    record = await make_ready(registry)
    digest = digest_of(make_source())
    blob = storage.home.blobs / "sha256" / digest[:2] / digest
    blob.chmod(0o600)
    blob.write_bytes(b"rotten".ljust(len(make_source())))
    with pytest.raises(BundleInvalid) as caught:
        await registry.materialise(record.id)
    assert await registry.missing(caught.value.digests) == (digest,)
    again, begins = await publish(registry)
    assert (again.id, begins) == (record.id, False)
    assert ((await registry.materialise(record.id)) / "model.py").read_bytes() == make_source()


async def test_an_unknown_version_is_not_laid_out(registry, storage):
    with pytest.raises(VersionNotFound):
        await registry.materialise("../../etc")
    assert list(storage.home.models.iterdir()) == []


async def test_the_end_of_a_log_is_read(registry, storage):
    storage.home.log_path("some-id").write_bytes(b"one\ntwo\n")
    end = await registry.log_part("some-id", None, 6)
    assert (end.text, end.truncated, end.end) == ("two\n", True, 8)
    rest = await registry.log_part("some-id", 4, 100)
    assert (rest.text, rest.truncated, rest.end) == ("two\n", False, 8)
    absent = await registry.log_part("other-id", None, 6)
    assert (absent.text, absent.truncated, absent.end) == ("", False, 0)


@pytest.mark.parametrize("module", [checks, cursors, rendering])
def test_the_examples_hold(module):
    assert doctest.testmod(module).failed == 0
