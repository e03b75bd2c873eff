"""Nothing is noted before it is durable, and what is loaded is what was uploaded."""

from __future__ import annotations

import os

import pytest
from storing import digest_of, publish

from norman_protocol.packs import write_pack
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

DATA = b"bytes that must last"
DIGEST = digest_of(DATA)


def write_whole(registry, path):
    with registry.begin_blob(DIGEST) as writer:
        writer.write(DATA)
        writer.commit()


def write_resumed(registry, path):
    with registry.resume_blob(DIGEST, 0) as writer:
        writer.write(DATA)
        writer.commit()


def hand_over(registry, path):
    path.write_bytes(DATA)
    with path.open("rb") as file:
        registry.take_file(
            file.fileno(), size_bytes=len(DATA), digest=None, on_done=lambda done: None
        )


def send_pack(registry, path):
    registry.take_pack(write_pack([(DIGEST, DATA)]))


@pytest.mark.parametrize("store", [write_whole, write_resumed, hand_over, send_pack])
def test_a_blob_is_noted_after_its_bytes_and_its_name_are_durable(tmp_path, store):
    steps = []

    def note(step):
        # Whether a row names it by then: it may only do so after the last step.
        steps.append(
            (step, bool(storage.registry.read_now(lambda rows: rows.blobs.noted([DIGEST]))))
        )

    with open_storage(tmp_path / "home", checkpoint=note) as storage:
        store(Registry(storage), tmp_path / "file")
        assert storage.registry.read_now(lambda rows: rows.blobs.noted([DIGEST])) == {DIGEST}
    names = [step for step, _ in steps]
    assert names[-3:] == ["synced", "renamed", "kept"]
    assert not any(is_noted for _, is_noted in steps)


@pytest.mark.parametrize("change", ["altered", "same size", "removed", "added", "executable"])
async def test_a_tree_that_somebody_changed_is_laid_out_anew_at_the_next_start(
    registry, storage, change
):
    record, _ = await publish(registry, "digits", "one")
    tree = await registry.materialise(record.id)
    file = tree / "model.py"
    sound = file.read_bytes()
    if change == "added":
        (tree / "other.py").write_bytes(b"import this")
    else:
        file.chmod(0o755 if change == "executable" else 0o644)
        if change == "altered":
            file.write_bytes(b"import os")
        elif change == "same size":
            file.write_bytes(b"#" * len(sound))
        elif change == "removed":
            file.unlink()
    # The next server: it has verified nothing yet.
    again = await Registry(storage).materialise(record.id)
    assert again == tree
    assert [path.name for path in tree.iterdir()] == ["model.py"]
    assert file.read_bytes() == sound
    assert not os.access(file, os.X_OK) or file.stat().st_mode & 0o111 == 0


async def test_a_tree_that_nobody_changed_is_left_as_it_is(registry, storage):
    record, _ = await publish(registry, "digits", "one")
    tree = await registry.materialise(record.id)
    before = (tree / "model.py").stat()
    assert await Registry(storage).materialise(record.id) == tree
    after = (tree / "model.py").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
