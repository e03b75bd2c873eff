"""Versions and models are deleted, and what leads to them refuses it; numbers never come back."""

from __future__ import annotations

import pytest
from storing import make_source, publish

from norman_protocol.errors import Conflict, ModelNotFound, VersionNotFound
from norman_protocol.references import parse_reference
from norman_protocol.signature import Signature
from norman_server.registry.aliasing import AliasMove


async def make_ready(registry, name="digits", text="", **options):
    record, _ = await publish(registry, name, text, **options)
    return await registry.mark_ready(record.id, signature=Signature(), load_s=0.1)


async def delete(registry, reference, user="ada"):
    return (await registry.delete_version(parse_reference(reference), user=user))[1]


async def test_a_version_that_nothing_names_goes_and_its_number_stays_away(registry):
    for text in "one", "two", "three":
        await make_ready(registry, "digits", text)
    deletion = await delete(registry, "digits@2", user="grace")
    assert deletion.versions == ("digits@2",)
    assert not deletion.whole
    assert deletion.freed_later_bytes == len(make_source("two"))
    with pytest.raises(VersionNotFound, match=r"digits@2 was deleted on .* by grace.*1, 3"):
        await registry.version(parse_reference("digits@2"))
    with pytest.raises(VersionNotFound, match="was deleted"):
        await delete(registry, "digits@2")
    again = await make_ready(registry, "digits", "two")
    assert again.number == 4


async def test_what_an_alias_names_is_refused_by_name(registry):
    await make_ready(registry, "digits", "one")
    await make_ready(registry, "digits", "two")
    move = AliasMove(
        name="digits", alias="production", number=2, user="ada", why="", action="set", expected=None
    )
    await registry.move_alias(move)
    with pytest.raises(Conflict, match="aliases active, production lead to it"):
        await delete(registry, "digits@2")
    with pytest.raises(Conflict, match="active"):
        await delete(registry, "digits")
    assert (await registry.version(parse_reference("digits@2"))).state == "ready"


async def test_what_is_being_loaded_is_refused(registry):
    await publish(registry, "digits", "one", activate=False)
    with pytest.raises(Conflict, match="being loaded"):
        await delete(registry, "digits@1")
    with pytest.raises(Conflict, match="being loaded"):
        await registry.delete_model("digits", user="ada")


async def test_a_model_goes_with_its_aliases_and_its_numbers_go_on(registry):
    await make_ready(registry, "Digits", "one")
    await make_ready(registry, "Digits", "two")
    await make_ready(registry, "other", "one")
    versions, deletion = await registry.delete_model("digits", user="ada")
    assert [version.number for version in versions] == [1, 2]
    assert (deletion.name, deletion.aliases, deletion.whole) == ("Digits", ("active",), True)
    # What another model has too stays.
    assert deletion.freed_later_bytes == len(make_source("two"))
    with pytest.raises(ModelNotFound, match="Digits was deleted"):
        await registry.version(parse_reference("digits"))
    assert await registry.model_count() == 1
    assert [item.name for item in (await registry.models()).items] == ["other"]
    assert [routing.name for routing in await registry.routings()] == ["other"]
    with pytest.raises(ModelNotFound):
        await registry.delete_model("digits", user="ada")
    again = await make_ready(registry, "digits", "one")
    assert (again.name, again.number) == ("Digits", 3)
    history = await registry.alias_history("digits", None)
    assert [item.action for item in history.items] == ["set", "delete", "set", "set"]


async def test_the_last_version_takes_the_model_with_it(registry):
    await make_ready(registry, "digits", "one", activate=False)
    assert (await delete(registry, "digits@1")).whole
    assert await registry.model_count() == 0


async def test_files_are_removed_also_when_they_are_gone(registry, storage):
    record = await make_ready(registry, "digits", "one", activate=False)
    tree = await registry.materialise(record.id)
    storage.home.log_path(record.id).write_text("hello")
    await delete(registry, "digits@1")
    await registry.remove_files(record.id)
    assert not tree.exists()
    assert not storage.home.log_path(record.id).exists()
    await registry.remove_files(record.id)
