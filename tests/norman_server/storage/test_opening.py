"""Opening a home: made where it is missing, told plainly where it can't be."""

from __future__ import annotations

import os
import stat
import time

import pytest
from storing import digest_of

from norman_protocol.errors import InternalError
from norman_server.storage.home import Home
from norman_server.storage.opening import open_storage


def mode_of(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_made_for_its_owner_alone(tmp_path):
    root = tmp_path / "deep" / "home"
    with open_storage(root) as storage:
        assert storage.home == Home(root=root)
        assert mode_of(root) == 0o700
        for folder in (storage.home.run, storage.home.journal, storage.home.blobs):
            assert mode_of(folder) == 0o700
    assert {path.name for path in root.iterdir()} == {
        "norman.db",
        "invocations.db",
        "blobs",
        "journal",
        "logs",
        "models",
        "run",
    }


async def test_what_was_stored_is_there_when_it_is_opened_again(tmp_path):
    with open_storage(tmp_path) as storage, storage.blobs.begin(digest_of(b"x")) as writer:
        writer.write(b"x")
        writer.commit()
    with open_storage(tmp_path) as storage:
        assert storage.blobs.size(digest_of(b"x")) == 1


def test_a_home_whose_name_needs_quoting_anywhere_works(tmp_path):
    with open_storage(tmp_path / "100% ?mode=ro&x #1 \"ü' home") as storage:
        assert storage.home.registry_path.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["100% ?mode=ro&x #1 \"ü' home"]


def test_abandoned_uploads_are_swept_and_others_are_left(tmp_path):
    with open_storage(tmp_path) as storage:
        incoming = storage.home.blobs / "incoming"
    old, fresh = incoming / "old.partial", incoming / "fresh.partial"
    for path in (old, fresh):
        path.write_bytes(b"part")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    open_storage(tmp_path).close()
    assert not old.exists()
    assert fresh.exists()


def test_a_file_in_the_place_of_the_home_is_told(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(InternalError, match="Norman home") as caught:
        open_storage(tmp_path / "home")
    assert str(tmp_path) not in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_may_not_be_written_is_told_with_what_to_do(tmp_path):
    open_storage(tmp_path / "home").close()
    (tmp_path / "home").chmod(0o500)
    try:
        with pytest.raises(InternalError, match=r"may not write.*NormanExtension\.home"):
            open_storage(tmp_path / "home")
    finally:
        (tmp_path / "home").chmod(0o700)


def test_a_damaged_second_database_leaves_the_first_one_closed(tmp_path):
    open_storage(tmp_path).close()
    home = Home(root=tmp_path)
    home.invocations_path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(InternalError, match=r"invocations\.db is no database"):
        open_storage(tmp_path)
    assert not home.registry_path.with_name("norman.db-wal").exists()
    home.invocations_path.unlink()
    open_storage(tmp_path).close()
