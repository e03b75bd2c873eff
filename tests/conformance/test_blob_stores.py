"""What every store of blobs does, whatever it is made of."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from norman_protocol.errors import BlobNotFound, BundleInvalid, Conflict, RangeInvalid
from norman_server.storage.blobs import copying, writing
from norman_server.storage.blobs.base import BlobStore
from norman_server.storage.blobs.local import LocalBlobStore

STORES: dict[str, Callable[[Path], BlobStore]] = {
    "local": LocalBlobStore,
    "local, all large": LocalBlobStore,
}


@pytest.fixture(params=sorted(STORES))
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> BlobStore:
    if request.param == "local, all large":  # hashed and synced by threads of their own
        monkeypatch.setattr(writing, "_LARGE_BYTES", 0)
        monkeypatch.setattr(copying, "_SYNCED_BYTES", 1)
    return STORES[request.param](tmp_path / "store")


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: BlobStore, data: bytes, *, chunk_bytes: int = 7) -> str:
    digest = digest_of(data)
    with store.begin(digest) as writer:
        for start in range(0, len(data), chunk_bytes):
            writer.write(memoryview(data)[start : start + chunk_bytes])
        assert writer.commit() == len(data)
    return digest


@pytest.mark.parametrize("size_bytes", [0, 1, 7, 100_000])
def test_a_committed_blob_is_read_back_whole(store: BlobStore, tmp_path: Path, size_bytes: int):
    data = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
    digest = put(store, data, chunk_bytes=9973)
    assert store.size(digest) == size_bytes
    assert store.read_head(digest, size_bytes + 10) == data
    store.copy_to(digest, tmp_path / "copy", executable=False)
    assert (tmp_path / "copy").read_bytes() == data


def test_the_head_of_a_blob_is_as_long_as_asked(store: BlobStore):
    digest = put(store, b"0123456789")
    assert store.read_head(digest, 4) == b"0123"
    assert store.read_head(digest, 0) == b""


def test_nothing_is_stored_before_the_commit(store: BlobStore):
    data = b"unfinished"
    with store.begin(digest_of(data)) as writer:
        writer.write(data)
        assert store.size(digest_of(data)) is None
    assert store.size(digest_of(data)) is None


def test_bytes_with_another_digest_are_refused_and_nothing_is_kept(store: BlobStore):
    claimed = digest_of(b"claimed")
    with store.begin(claimed) as writer:
        writer.write(b"sent")
        with pytest.raises(BundleInvalid) as caught:
            writer.commit()
    assert caught.value.digests == [claimed]
    assert store.size(claimed) is None
    assert store.size(digest_of(b"sent")) is None


def test_a_refused_blob_does_not_touch_the_one_that_stands(store: BlobStore):
    digest = put(store, b"good")
    with store.begin(digest) as writer:
        writer.write(b"bad")
        with pytest.raises(BundleInvalid):
            writer.commit()
    assert store.read_head(digest, 100) == b"good"


def test_storing_the_same_blob_twice_does_no_harm(store: BlobStore):
    assert put(store, b"same") == put(store, b"same")
    assert store.read_head(digest_of(b"same"), 100) == b"same"


def test_abort_may_follow_a_commit_and_another_abort(store: BlobStore):
    writer = store.begin(digest_of(b"kept"))
    writer.write(b"kept")
    writer.commit()
    writer.abort()
    writer.abort()
    assert store.size(digest_of(b"kept")) == 4


def test_a_finished_writer_takes_no_more(store: BlobStore):
    writer = store.begin(digest_of(b""))
    writer.commit()
    with pytest.raises(ValueError, match="committed or aborted"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="committed or aborted"):
        writer.commit()


def test_many_may_store_the_same_blob_at_once(store: BlobStore):
    data = b"shared" * 50_000
    digest = digest_of(data)
    start = threading.Barrier(8)
    sizes: list[int] = []

    def store_it() -> None:
        with store.begin(digest) as writer:
            start.wait(30)
            writer.write(data)
            sizes.append(writer.commit())

    threads = [threading.Thread(target=store_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [len(data)] * 8
    assert store.read_head(digest, len(data)) == data


def test_a_blob_that_is_not_stored_has_no_size_and_can_not_be_read(
    store: BlobStore, tmp_path: Path
):
    digest = digest_of(b"never")
    assert store.size(digest) is None
    with pytest.raises(BundleInvalid) as caught:
        store.read_head(digest, 1)
    assert caught.value.digests == [digest]
    with pytest.raises(BundleInvalid):
        store.copy_to(digest, tmp_path / "copy", executable=False)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(("executable", "mode"), [(False, 0o444), (True, 0o555)])
def test_a_copy_is_read_only(store: BlobStore, tmp_path: Path, executable: bool, mode: int):
    store.copy_to(put(store, b"x"), tmp_path / "copy", executable=executable)
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == mode


def test_writing_to_a_copy_never_reaches_the_blob(store: BlobStore, tmp_path: Path):
    digest = put(store, b"original")
    copy = tmp_path / "copy"
    store.copy_to(digest, copy, executable=False)
    copy.chmod(0o600)
    with copy.open("r+b") as file:
        file.write(b"CHANGED!")
    assert store.read_head(digest, 100) == b"original"
    assert copy.stat().st_nlink == 1


def test_a_copy_never_replaces_a_file(store: BlobStore, tmp_path: Path):
    (tmp_path / "taken").write_bytes(b"mine")
    with pytest.raises(Exception, match="File exists"):
        store.copy_to(put(store, b"x"), tmp_path / "taken", executable=False)
    assert (tmp_path / "taken").read_bytes() == b"mine"


def test_an_opened_blob_is_read_from_its_beginning(store: BlobStore):
    with store.open(put(store, b"0123456789")) as blob:
        assert (blob.read(4), blob.read()) == (b"0123", b"456789")


def test_a_blob_that_is_not_stored_cannot_be_opened(store: BlobStore):
    with pytest.raises(BlobNotFound) as caught:
        store.open("0" * 64)
    assert caught.value.digest == "0" * 64


def test_an_unfinished_blob_is_gone_on_with_where_it_ended(store: BlobStore):
    data = b"0123456789"
    digest = digest_of(data)
    for start, end in [(0, 3), (3, 3), (3, 8)]:
        with store.resume(digest, start) as writer:
            writer.write(data[start:end])
            writer.suspend()
        assert (store.offset(digest), store.size(digest)) == (end, None)
    with store.resume(digest, 8) as writer:
        writer.write(data[8:])
        assert writer.offset == 10
        assert writer.commit() == 10
    assert store.read_head(digest, 100) == data
    assert store.offset(digest) == 0


@pytest.mark.parametrize("offset", [0, 3, 5, 10])
def test_a_part_out_of_order_is_refused_and_told_the_offset(store: BlobStore, offset: int):
    data = b"0123456789"
    with store.resume(digest_of(data), 0) as writer:
        writer.write(data[:4])
        writer.suspend()
    with pytest.raises(RangeInvalid) as caught:
        store.resume(digest_of(data), offset)
    assert caught.value.offset == 4
    with store.resume(digest_of(data), 4) as writer:  # the refusal took nothing
        writer.write(data[4:])
        writer.commit()


def test_an_unfinished_blob_has_one_writer(store: BlobStore):
    digest = digest_of(b"01")
    with store.resume(digest, 0) as writer:
        writer.write(b"0")
        with pytest.raises(Conflict):
            store.resume(digest, 1)
        writer.suspend()
    with store.resume(digest, 1) as writer:
        writer.write(b"1")
        writer.commit()


def test_an_unfinished_blob_of_other_bytes_is_not_kept(store: BlobStore):
    digest = digest_of(b"01")
    with store.resume(digest, 0) as writer:
        writer.write(b"0")
        writer.suspend()
    with store.resume(digest, 1) as writer:
        writer.write(b"2")
        with pytest.raises(BundleInvalid):
            writer.commit()
    assert (store.offset(digest), store.size(digest)) == (0, None)


def test_a_blob_sent_whole_does_not_need_the_unfinished_one(store: BlobStore):
    data = b"0123456789"
    with store.resume(digest_of(data), 0) as writer:
        writer.write(b"0123")
        writer.suspend()
        put(store, data)
    assert store.read_head(digest_of(data), 100) == data


def test_suspending_a_blob_that_was_begun_as_a_whole_forgets_it(store: BlobStore):
    digest = digest_of(b"01")
    with store.begin(digest) as writer:
        writer.write(b"0")
        writer.suspend()
    assert store.offset(digest) == 0


def test_blobs_stored_together_are_each_there(store: BlobStore):
    blobs = [(digest_of(data), data) for data in (b"", b"a", b"b" * 100_000)]
    store.store_all(blobs)
    store.store_all(blobs[1:])
    for digest, data in blobs:
        with store.open(digest) as blob:
            assert blob.read() == data
