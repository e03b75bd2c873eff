"""Bit rot is found, told by the versions that have it, and healed by uploading again."""

from __future__ import annotations

import pytest
from storing import digest_of, make_source, publish, send

from norman_protocol.errors import BundleInvalid
from norman_protocol.references import parse_reference
from norman_server.registry.scrubbing import Scrubber


def path_of(storage, data: bytes):
    digest = digest_of(data)
    return storage.home.blobs / "sha256" / digest[:2] / digest


def rot(storage, data: bytes) -> str:
    path = path_of(storage, data)
    path.chmod(0o600)
    damaged = bytearray(path.read_bytes())
    damaged[0] ^= 1
    path.write_bytes(damaged)
    return digest_of(data)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def scrubber(storage, pauses):
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    return Scrubber(storage, bytes_per_s=1000.0, pause=pause)


async def test_sound_blobs_are_left_and_read_slowly(registry, scrubber, pauses):
    await send(registry, {"a": b"a" * 500, "b": b"b" * 1500, "c": b""})
    assert await scrubber.scrub() == ()
    assert sorted(pauses) == [0.5, 1.5]
    assert await registry.missing([digest_of(b"a" * 500), digest_of(b"")]) == ()


@pytest.mark.parametrize("gone", [False, True])
async def test_damaged_blob_is_told_by_its_versions_and_healed(registry, storage, scrubber, gone):
    record, _ = await publish(registry, "digits", "one")
    await publish(registry, "other", "two")
    data = make_source("one")
    digest = rot(storage, data)
    if gone:
        path_of(storage, data).unlink()
    assert await scrubber.scrub() == (digest,)
    assert await scrubber.scrub() == ()  # it is known
    assert await registry.missing([digest]) == (digest,)
    assert (storage.home.blobs / "quarantine" / digest).exists() != gone
    reference = parse_reference("digits@1")
    assert (await registry.version(reference)).missing_blobs == (digest,)
    assert (await registry.version(parse_reference("other@1"))).missing_blobs == ()
    with pytest.raises(BundleInvalid):
        await registry.materialise(record.id)
    await send(registry, {"model.py": data})
    assert await registry.missing([digest]) == ()
    assert (await registry.version(reference)).missing_blobs == ()
    folder = await registry.materialise(record.id)
    assert (folder / "model.py").read_bytes() == data


async def test_damage_that_laying_out_finds_is_told_too(registry, storage):
    record, _ = await publish(registry, "digits", "one")
    path = path_of(storage, make_source("one"))
    path.unlink()
    with pytest.raises(BundleInvalid):
        await registry.materialise(record.id)
    found = await registry.version(parse_reference("digits@1"))
    assert found.missing_blobs == (digest_of(make_source("one")),)


async def test_blob_that_was_stored_again_meanwhile_is_not_set_aside(registry, storage):
    await send(registry, {"a": b"sound"})
    assert not storage.blobs.quarantine(digest_of(b"sound"))
    assert storage.blobs.size(digest_of(b"sound")) == 5
