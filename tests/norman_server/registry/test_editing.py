"""What is said of a version: edited, found by a search, and compared."""

from __future__ import annotations

import pytest
from storing import publish

from norman_protocol.errors import NotReady, RequestInvalid, VersionNotFound
from norman_protocol.references import parse_reference
from norman_protocol.rest import EditRequest, VersionDiff
from norman_protocol.signature import Modality, Parameter, Signature

FIRST = parse_reference("digits@1")


async def make_ready(registry, name="digits", text="", signature=None, **options):
    record, _ = await publish(registry, name, text, **options)
    return await registry.mark_ready(record.id, signature=signature or Signature(), load_s=0.1)


async def found(registry, search):
    return [item.name for item in (await registry.models(search=search)).items]


async def test_an_edit_changes_what_it_names_and_nothing_else(registry):
    await make_ready(registry, label="first", description="reads", tags=("a", "b"))
    record = await registry.edit(FIRST, EditRequest(description="reads digits", tags=("c", "c")))
    assert (record.label, record.description, record.tags) == ("first", "reads digits", ("c",))
    record = await registry.edit(FIRST, EditRequest(label="", tags=(), long_description="# More"))
    assert (record.label, record.tags, record.long_description) == (None, (), "# More")
    assert record == await registry.version(FIRST)


async def test_a_search_finds_what_is_said_now_in_any_case_and_script(registry):
    await make_ready(registry, "digits", label="Ärger", tags=("Mist",), description="100% sure")
    await make_ready(registry, "faces")
    for text in ("ärger", "ÄRGER", "mist", "100%", "DIG"):
        assert await found(registry, text) == ["digits"], text
    await registry.edit(
        FIRST, EditRequest(label="Freude", tags=(), long_description="Handschrift\nlesen")
    )
    assert await found(registry, "ärger") == []
    assert await found(registry, "mist") == []
    for text in ("freude", "HANDSCHRIFT", "sure"):
        assert await found(registry, text) == ["digits"], text
    assert await found(registry, "%") == ["digits"]
    assert await found(registry, "_") == []


async def test_uploading_again_is_found_by_its_new_label(registry):
    await make_ready(registry, label="old")
    await publish(registry, label="new")
    assert await found(registry, "new") == ["digits"]
    assert await found(registry, "old") == []


@pytest.mark.parametrize(
    "request_",
    [
        EditRequest(),
        EditRequest(label="x" * 201),
        EditRequest(description="a\0b"),
        EditRequest(long_description="\ud800"),
        EditRequest(tags=(" ",)),
        EditRequest(tags=tuple(map(str, range(51)))),
        EditRequest(tags=("x" * 101,)),
    ],
)
async def test_texts_that_are_none_are_refused(registry, request_):
    before = await make_ready(registry, label="first")
    with pytest.raises(RequestInvalid):
        await registry.edit(FIRST, request_)
    assert await registry.version(FIRST) == before


async def test_what_is_not_there_cannot_be_edited(registry):
    await make_ready(registry, activate=False)
    with pytest.raises(VersionNotFound):
        await registry.edit(parse_reference("digits@2"), EditRequest(label="x"))
    with pytest.raises(NotReady):
        await registry.edit(parse_reference("digits"), EditRequest(label="x"))


async def test_a_difference_tells_signature_files_environment_and_settings(registry):
    text = Parameter(name="text", modality=Modality.TEXT)
    await make_ready(registry, text="1", signature=Signature(inputs=(text,)), label="first")
    number = Parameter(name="text", modality=Modality.INTEGER, required=False, default=3)
    more = Parameter(name="more", modality=Modality.TEXT)
    await make_ready(
        registry,
        text="2!",
        signature=Signature(inputs=(number, more)),
        interpreter="/opt/python",
        tags=("t",),
    )
    diff = await registry.diff(FIRST, parse_reference("digits"))
    assert (diff.before, diff.after) == ("digits@1", "digits@2")
    assert [(item.name, item.before, item.after) for item in diff.signature] == [
        ("input text", "text", "integer, default 3"),
        ("input more", None, "text"),
    ]
    (file,) = diff.files
    assert (file.path, file.change) == ("model.py", "changed")
    assert file.after_bytes == file.before_bytes + 1
    assert [(item.name, item.before, item.after) for item in diff.environment] == [
        ("interpreter", "/usr/bin/python3", "/opt/python")
    ]
    assert [(item.name, item.before, item.after) for item in diff.settings] == [
        ("label", "first", None),
        ("tags", None, "t"),
    ]


async def test_a_version_does_not_differ_from_itself(registry):
    await make_ready(registry)
    diff = await registry.diff(FIRST, FIRST)
    assert diff == VersionDiff(
        before="digits@1", after="digits@1", signature=(), files=(), environment=(), settings=()
    )


async def test_files_are_added_removed_and_changed(registry):
    from dataclasses import replace

    from norman_protocol.rest import FileEntry, Manifest
    from norman_server.registry.comparing import compare_versions

    record = await make_ready(registry)

    def with_files(**files):
        entries = (
            FileEntry(path=path, digest=digest * 64, size_bytes=1, executable=executable)
            for path, (digest, executable) in files.items()
        )
        return replace(record, manifest=Manifest(files=tuple(entries)))

    diff = compare_versions(
        with_files(a=("0", False), b=("0", False), c=("0", False), d=("0", False)),
        with_files(b=("1", False), c=("0", True), d=("0", False), e=("0", False)),
    )
    assert [(item.path, item.change) for item in diff.files] == [
        ("a", "removed"),
        ("b", "changed"),
        ("c", "changed"),
        ("e", "added"),
    ]
