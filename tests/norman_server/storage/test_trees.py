"""Trees of files: whole or not at all, of the bytes that were sent."""

from __future__ import annotations

import stat
import threading

import pytest
from storing import digest_of, make_manifest

from norman_protocol.errors import BundleInvalid
from norman_server.storage.blobs.local import LocalBlobStore
from norman_server.storage.trees import make_tree

FILES = {
    "bin/run.sh": b"#!/bin/sh\n",
    "empty": b"",
    "model.py": b"x = 1\n",
    "weights/a/b/deep.bin": bytes(range(256)) * 1000,
    "weights/same.bin": bytes(range(256)) * 1000,
}


@pytest.fixture
def blobs(tmp_path):
    store = LocalBlobStore(tmp_path / "blobs")
    for data in FILES.values():
        with store.begin(digest_of(data)) as writer:
            writer.write(data)
            writer.commit()
    return store


def read_tree(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_tree_holds_exactly_the_files_of_its_manifest(tmp_path, blobs):
    target = tmp_path / "tree"
    make_tree(make_manifest(FILES, executable=["bin/run.sh"]), blobs, target)
    assert read_tree(target) == FILES
    assert stat.S_IMODE((target / "bin/run.sh").stat().st_mode) == 0o555
    assert stat.S_IMODE((target / "model.py").stat().st_mode) == 0o444
    assert {path.name for path in tmp_path.iterdir()} == {"blobs", "tree"}


def test_a_tree_that_stands_is_left(tmp_path, blobs):
    target = tmp_path / "tree"
    make_tree(make_manifest(FILES), blobs, target)
    before = (target / "model.py").stat().st_ino
    make_tree(make_manifest(FILES), blobs, target)
    assert (target / "model.py").stat().st_ino == before


def test_a_missing_blob_leaves_nothing(tmp_path, blobs):
    target = tmp_path / "tree"
    with pytest.raises(BundleInvalid):
        make_tree(make_manifest({**FILES, "never": b"sent"}), blobs, target)
    assert {path.name for path in tmp_path.iterdir()} == {"blobs"}


def test_a_damaged_blob_is_found_removed_and_leaves_no_tree(tmp_path, blobs):
    digest = digest_of(FILES["model.py"])
    path = tmp_path / "blobs" / "sha256" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"x = 2\n")
    with pytest.raises(BundleInvalid, match="damaged") as caught:
        make_tree(make_manifest(FILES), blobs, tmp_path / "tree")
    assert caught.value.digests == [digest]
    assert blobs.size(digest) is None
    assert {path.name for path in tmp_path.iterdir()} == {"blobs"}


def test_many_may_make_the_same_tree_at_once(tmp_path, blobs):
    target = tmp_path / "tree"
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def make() -> None:
        start.wait(30)
        try:
            make_tree(make_manifest(FILES), blobs, target)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read_tree(target) == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"blobs", "tree"}
