from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from norman_jupyter.packaging.folders import LocalFile
from norman_jupyter.packaging.hashing import BundleHasher, read_unchanged
from norman_protocol.errors import BundleInvalid

MIB = 1 << 20


def listed(path: Path, name: str | None = None) -> LocalFile:
    status = path.stat()
    return LocalFile(
        path=name or path.name,
        source=path,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def hash_all(files: list[LocalFile], budget_bytes: int = 64 * MIB) -> BundleHasher:
    hasher = BundleHasher(files)
    while hasher.advance(budget_bytes):
        pass
    return hasher


def test_digest_is_the_sha256_of_the_content(tmp_path) -> None:
    contents = {"a": b"", "b": b"hello", "c": os.urandom(3 * MIB + 17)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    manifest = hash_all([listed(tmp_path / name) for name in contents]).manifest()
    assert {entry.path: entry.digest for entry in manifest.files} == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert [entry.size_bytes for entry in manifest.files] == [0, 5, 3 * MIB + 17]


def test_steps_are_about_as_large_as_they_may_be(tmp_path) -> None:
    (tmp_path / "a").write_bytes(bytes(5 * MIB))
    hasher = BundleHasher([listed(tmp_path / "a")])
    done = []
    while hasher.advance(2 * MIB):
        done.append(hasher.done_bytes)
    assert done == [2 * MIB, 4 * MIB]
    assert hasher.done_bytes == 5 * MIB


@pytest.mark.parametrize("content", [b"longer than before", b"short", b"same size 2"])
def test_file_that_changed_since_it_was_listed_is_refused(tmp_path, content: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"same size 1")
    file = listed(path)
    path.write_bytes(content)
    os.utime(path, ns=(0, file.modified_ns + 1))
    with pytest.raises(BundleInvalid, match=r"'a\.bin' changed while it was uploaded"):
        hash_all([file])


def test_file_that_shrinks_while_it_is_read_gives_no_last_piece(tmp_path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * MIB))
    file = listed(path)
    pieces = read_unchanged(file)
    next(pieces)
    os.truncate(path, 2 * MIB)
    os.utime(path, ns=(0, file.modified_ns))
    with pytest.raises(BundleInvalid, match="changed"):
        list(pieces)


def test_file_written_in_place_while_it_is_read_gives_no_last_piece(tmp_path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(2 * MIB))
    file = listed(path)
    pieces = read_unchanged(file)
    assert len(next(pieces)) == MIB
    os.utime(path, ns=(0, file.modified_ns + 1))
    with pytest.raises(BundleInvalid, match="changed"):
        next(pieces)


def test_file_that_is_gone_is_refused(tmp_path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x")
    file = listed(path)
    path.unlink()
    with pytest.raises(BundleInvalid, match=r"'a\.bin' can't be read"):
        hash_all([file])


def test_name_that_no_bundle_can_hold_is_refused(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    for name in ("new\nline", "back\\slash", "\udcff"):
        with pytest.raises(BundleInvalid):
            hash_all([listed(tmp_path / "a", name)]).manifest()
