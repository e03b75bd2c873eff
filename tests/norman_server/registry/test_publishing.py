"""Publishing: what becomes a version, which number it gets, and what becomes active."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3

import pytest
from storing import digest_of, make_manifest, make_source, publish, send

from norman_protocol.errors import (
    BundleInvalid,
    Conflict,
    ModelNotFound,
    NameInvalid,
    NotReady,
    RequestInvalid,
    TrustRequired,
    VersionNotFound,
)
from norman_protocol.references import parse_reference
from norman_protocol.rest import ErrorBody, Origin, PublishRequest
from norman_protocol.signature import Modality, Parameter, Signature
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

SIGNATURE = Signature(
    inputs=(
        Parameter(name="x", modality=Modality.TENSOR, dtype="float32", shape=("batch", None, 3)),
    ),
    outputs=(Parameter(name="y", modality=Modality.INTEGER, default={"a": [1, None]}),),
)
FAILURE = ErrorBody(
    code="load_failed", message="It raised.", details={"traceback": "Trace\ud800back", "log": "l"}
)


async def active_number(registry: Registry, name: str = "digits") -> int | None:
    return (await registry.model(name)).model.active


async def test_a_new_version_is_loading_and_says_all_that_was_given(registry):
    files = {"model.py": make_source(), "data/weights.bin": b"12345"}
    await send(registry, files)
    origin = Origin(notebook="a.ipynb", git_dirty=True, cell_source="%norman upload .\n")
    request = PublishRequest(
        manifest=make_manifest(files),
        label="first",
        description="What it does.",
        tags=("a", "b", "a"),
        trust=True,
        origin=origin,
    )
    record, begins = await registry.publish("digits", request, user="ada", interpreter="/py")
    assert begins
    assert (record.reference, record.state, record.active, record.activate) == (
        "digits@1",
        "loading",
        False,
        True,
    )
    assert (record.label, record.description, record.tags) == ("first", "What it does.", ("a", "b"))
    assert (record.runtime, record.entry, record.interpreter) == ("python", "model.py", "/py")
    assert record.manifest == request.manifest
    assert record.origin == origin
    assert record.size_bytes == len(make_source()) + 5
    assert (record.signature, record.load_s, record.error) == (None, None, None)
    assert record.trust is not None
    assert (record.trust.user, record.trust.bundle_digest) == ("ada", record.bundle_digest)
    assert record.created_at.tzinfo is not None
    assert record == await registry.version(parse_reference("digits@1"))


async def test_a_ready_version_keeps_its_signature_and_becomes_active(registry):
    record, _ = await publish(registry)
    ready = await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.5)
    assert (ready.state, ready.active, ready.load_s) == ("ready", True, 0.5)
    assert ready.signature == SIGNATURE
    assert ready == await registry.version(parse_reference("digits"))
    (change,) = (await registry.alias_history("digits", "active")).items
    assert (change.before, change.after, change.changed_by) == (None, 1, "ada")


async def test_a_failed_version_leaves_the_active_one(registry):
    first, _ = await publish(registry, text="1")
    await registry.mark_ready(first.id, signature=SIGNATURE, load_s=0.1)
    second, _ = await publish(registry, text="2")
    failed = await registry.mark_failed(second.id, FAILURE)
    assert (failed.state, failed.active, failed.error) == ("failed", False, FAILURE)
    assert (await registry.version(parse_reference("digits"))).number == 1
    assert (await registry.version(parse_reference("digits@latest"))).number == 2


async def test_a_version_that_shall_not_be_active_is_not(registry):
    record, _ = await publish(registry, activate=False)
    ready = await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    assert not ready.active
    with pytest.raises(NotReady, match=r"digits@1 is ready, but isn.t the active one"):
        await registry.version(parse_reference("digits"))


async def test_the_last_upload_is_active_whichever_loads_first(registry):
    first, _ = await publish(registry, text="1")
    second, _ = await publish(registry, text="2")
    await registry.mark_ready(second.id, signature=SIGNATURE, load_s=0.1)
    late = await registry.mark_ready(first.id, signature=SIGNATURE, load_s=9.0)
    assert not late.active
    assert await active_number(registry) == 2


async def test_the_same_bundle_again_is_the_same_version(registry):
    record, _ = await publish(registry)
    loading, begins = await publish(registry)
    assert (loading.id, loading.state, begins) == (record.id, "loading", False)
    await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    ready, begins = await publish(registry)
    assert (ready.id, ready.state, begins) == (record.id, "ready", False)
    assert len((await registry.model("digits")).versions) == 1


async def test_another_interpreter_or_file_mode_or_model_is_another_version(registry):
    await publish(registry, interpreter="/a")
    other, begins = await publish(registry, interpreter="/b")
    assert (other.number, begins) == (2, True)
    elsewhere, begins = await publish(registry, "other", interpreter="/a")
    assert (elsewhere.reference, begins) == ("other@1", True)
    manifest = make_manifest({"model.py": make_source()}, executable=["model.py"])
    third, begins = await registry.publish(
        "digits", PublishRequest(manifest=manifest, trust=True), user="ada", interpreter="/a"
    )
    assert (third.number, begins) == (3, True)


async def test_uploading_an_older_version_again_leaves_its_activation_to_a_switch(registry):
    for text in ("1", "2"):
        record, _ = await publish(registry, text=text)
        await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    again, begins = await publish(registry, text="1", user="bob")
    assert (again.number, again.active, begins) == (1, False, False)
    assert await active_number(registry) == 2
    assert len((await registry.alias_history("digits", "active")).items) == 2


async def test_an_upload_that_finds_its_version_active_outranks_what_still_loads(registry):
    first, _ = await publish(registry, text="1")
    await registry.mark_ready(first.id, signature=SIGNATURE, load_s=0.1)
    second, _ = await publish(registry, text="2")
    await publish(registry, text="1")
    await registry.mark_ready(second.id, signature=SIGNATURE, load_s=0.1)
    assert await active_number(registry) == 1


async def test_a_failed_version_is_tried_again(registry):
    record, _ = await publish(registry, text="1", user="ada")
    await registry.mark_failed(record.id, FAILURE)
    again, begins = await publish(registry, text="1", user="bob")
    assert (again.id, again.number, again.state, begins) == (record.id, 1, "loading", True)
    assert again.error is None
    assert again.trust is not None
    assert again.trust.user == "bob"
    assert again.created_by == "ada"
    ready = await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    assert ready.active


async def test_a_failed_version_tried_again_without_activation_stays_inactive(registry):
    record, _ = await publish(registry)
    await registry.mark_failed(record.id, FAILURE)
    again, _ = await publish(registry, activate=False)
    assert not again.activate
    ready = await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    assert not ready.active


async def test_an_upload_again_updates_what_it_says_and_nothing_else(registry):
    await publish(registry, label="old", description="d", tags=("x",))
    kept, _ = await publish(registry)
    assert (kept.label, kept.description, kept.tags) == ("old", "d", ("x",))
    changed, _ = await publish(registry, label="new", tags=("y", "z"))
    assert (changed.label, changed.description, changed.tags) == ("new", "d", ("y", "z"))


async def test_a_state_changes_once(registry):
    record, _ = await publish(registry)
    await registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    with pytest.raises(Conflict, match="digits@1 is ready"):
        await registry.mark_failed(record.id, FAILURE)
    with pytest.raises(Conflict):
        await registry.mark_ready(record.id, signature=Signature(), load_s=9.0)
    assert (await registry.version(parse_reference("digits"))).signature == SIGNATURE
    with pytest.raises(VersionNotFound):
        await registry.mark_failed("0" * 32, FAILURE)


async def test_of_many_that_end_a_loading_at_once_one_does(registry):
    record, _ = await publish(registry)
    outcomes = await asyncio.gather(
        *(
            registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
            if i % 2
            else registry.mark_failed(record.id, FAILURE)
            for i in range(10)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 9


async def test_names_differ_by_more_than_case_and_keep_their_first_spelling(registry):
    first, _ = await publish(registry, "Straße", text="1")
    second, _ = await publish(registry, "STRASSE", text="2")
    assert (first.reference, second.reference) == ("Straße@1", "Straße@2")
    assert (await registry.version(parse_reference("strasse@2"))).id == second.id
    assert await registry.model_count() == 1


async def test_numbers_are_right_under_concurrent_uploads(registry, storage):
    # Two services, as two processes on one home would have, besides the tasks of each.
    with open_storage(storage.home.root) as elsewhere:
        other = Registry(elsewhere)
        records = await asyncio.gather(
            *(publish(registry if i % 2 else other, text=str(i)) for i in range(32))
        )
    assert sorted(record.number for record, _ in records) == list(range(1, 33))
    assert all(begins for _, begins in records)
    assert len({record.id for record, _ in records}) == 32


async def test_the_same_bundle_from_many_at_once_is_loaded_once(registry):
    records = await asyncio.gather(*(publish(registry) for _ in range(32)))
    assert {record.reference for record, _ in records} == {"digits@1"}
    assert sum(begins for _, begins in records) == 1


# --- what is refused --------------------------------------------------------------------------


async def refused(registry: Registry, kind, request: PublishRequest, name: str = "digits"):
    with pytest.raises(kind) as caught:
        await registry.publish(name, request, user="ada", interpreter="/py")
    assert await registry.model_count() == 0
    return caught.value


async def test_code_without_trust_is_refused(registry):
    files = {"model.py": make_source()}
    await send(registry, files)
    request = PublishRequest(manifest=make_manifest(files), origin=Origin(source_path="./my-model"))
    error = await refused(registry, TrustRequired, request)
    assert error.path == "./my-model"


async def test_blobs_that_were_not_sent_are_named(registry):
    files = {f"{i}.bin": str(i).encode() for i in range(8)} | {"model.py": make_source()}
    await send(registry, {"model.py": files["model.py"]})
    request = PublishRequest(manifest=make_manifest(files), trust=True)
    error = await refused(registry, BundleInvalid, request)
    assert error.digests == sorted(digest_of(str(i).encode()) for i in range(8))
    assert "and 3 more" in error.message


async def test_a_size_that_is_not_the_blobs_is_refused(registry):
    files = {"model.py": make_source()}
    await send(registry, files)
    (entry,) = make_manifest(files).files
    lying = dataclasses.replace(
        make_manifest(files), files=(dataclasses.replace(entry, size_bytes=7),)
    )
    error = await refused(registry, BundleInvalid, PublishRequest(manifest=lying, trust=True))
    assert error.path == "model.py"


async def test_an_unsound_manifest_is_refused(registry):
    files = {"../model.py": make_source()}
    await send(registry, files)
    request = PublishRequest(manifest=make_manifest(files), trust=True)
    assert (await refused(registry, BundleInvalid, request)).path == "../model.py"


async def test_an_unknown_format_is_refused(registry):
    files = {"notes.txt": b"hello"}
    await send(registry, files)
    await refused(registry, BundleInvalid, PublishRequest(manifest=make_manifest(files)))


async def test_a_name_outside_the_grammar_is_refused(registry):
    request = PublishRequest(manifest=make_manifest({"model.py": b""}), trust=True)
    await refused(registry, NameInvalid, request, name="../digits")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": "x" * 201}, "label"),
        ({"label": "a\ud800"}, "label"),
        ({"description": "a\0b"}, "description"),
        ({"tags": ("ok", " ")}, "tags[1]"),
        ({"tags": tuple(map(str, range(51)))}, "tags"),
        ({"origin": Origin(cell_source="x" * 1_000_001)}, "origin.cell_source"),
        ({"origin": Origin(hostname="\udfff")}, "origin.hostname"),
    ],
)
async def test_texts_that_can_not_be_kept_are_refused(registry, changes, field):
    files = {"model.py": make_source()}
    await send(registry, files)
    request = PublishRequest(manifest=make_manifest(files), trust=True, **changes)
    error = await refused(registry, RequestInvalid, request)
    assert error.field == field


async def test_a_blob_with_a_name_that_is_no_digest_is_refused(registry):
    with pytest.raises(RequestInvalid):
        registry.begin_blob("../../etc/passwd")
    with pytest.raises(RequestInvalid):
        await registry.missing(["0" * 63])


async def test_a_blob_is_missing_until_it_is_noted_and_again_once_it_is_gone(registry, storage):
    data = b"some bytes"
    digest = digest_of(data)
    assert await registry.missing([digest, digest]) == (digest,)
    # Bytes without a row: a crash came between the two.
    with storage.blobs.begin(digest) as writer:
        writer.write(data)
        writer.commit()
    assert await registry.missing([digest]) == (digest,)
    await send(registry, {"x": data})
    await send(registry, {"x": data})
    assert await registry.missing([digest]) == ()
    (storage.home.blobs / "sha256" / digest[:2] / digest).unlink()
    assert await registry.missing([digest]) == (digest,)


async def test_no_row_can_name_a_blob_that_is_not_noted(registry, storage):
    await publish(registry)
    with sqlite3.connect(storage.home.registry_path) as direct:
        direct.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            direct.execute("DELETE FROM blobs")
    direct.close()


async def test_a_model_that_is_not_there_has_no_history(registry):
    with pytest.raises(ModelNotFound):
        await registry.alias_history("digits", "active", limit=1)
