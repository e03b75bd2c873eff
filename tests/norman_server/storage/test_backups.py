"""Copies of a database are whole, new only where something changed, and kept by age."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.errors import InternalError, RequestInvalid
from norman_server.storage.backups import (
    Backup,
    backups_to_keep,
    find_damage,
    list_backups,
    make_backup,
    restore_databases,
)
from norman_server.storage.home import Home
from norman_server.storage.opening import open_storage


@pytest.fixture
def home(tmp_path):
    open_storage(tmp_path / "home").close()
    return Home(root=tmp_path / "home")


def change(home, text="one"):
    with closing(sqlite3.connect(home.registry_path)) as connection:
        connection.execute(
            "INSERT INTO blobs (digest, size_bytes, created_at) VALUES (?, 1, '2031-01-01')",
            (text,),
        )
        connection.commit()


def digests(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT digest FROM blobs ORDER BY digest")]


def test_a_backup_holds_what_the_log_beside_the_file_holds(home):
    with closing(sqlite3.connect(home.registry_path)) as other:
        other.execute(
            "INSERT INTO blobs (digest, size_bytes, created_at) VALUES ('x', 1, '2031-01-01')"
        )
        other.commit()  # in the log, while this connection is open
        made = make_backup(home, home.registry_path, "regular", keep=3)
    assert made is not None
    assert digests(made.path) == ["x"]
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.backups.iterdir()] == [made.path.name]


def test_the_same_again_is_no_new_backup(home):
    first = make_backup(home, home.registry_path, "at-start", keep=3)
    assert make_backup(home, home.registry_path, "regular", keep=3) is None
    change(home)
    second = make_backup(home, home.registry_path, "regular", keep=3)
    assert [backup.path for backup in list_backups(home)] == [second.path, first.path]


def test_a_damaged_database_is_not_backed_up_over_sound_ones(home):
    change(home)
    made = make_backup(home, home.registry_path, "regular", keep=1)
    home.registry_path.write_bytes(b"damaged" * 1000)
    with pytest.raises(InternalError, match=r"norman\.db can't be backed up"):
        make_backup(home, home.registry_path, "regular", keep=1)
    assert [backup.path for backup in list_backups(home)] == [made.path]
    assert [path.name for path in home.backups.iterdir()] == [made.path.name]


def test_the_newest_sound_backup_is_restored(home):
    change(home, "one")
    sound = make_backup(home, home.registry_path, "regular", keep=5)
    change(home, "two")
    newer = make_backup(home, home.registry_path, "regular", keep=5)
    newer.path.write_bytes(b"damaged")
    home.registry_path.write_bytes(b"damaged as well")
    (restored,) = restore_databases(home)
    assert restored.backup == sound
    assert digests(home.registry_path) == ["one"]
    assert restored.aside.read_bytes() == b"damaged as well"
    assert restore_databases(home) == []
    with pytest.raises(RequestInvalid, match="damaged itself"):
        restore_databases(home, newer.path.name)
    with pytest.raises(RequestInvalid, match="There is no backup 'x'"):
        restore_databases(home, "x")


@pytest.mark.parametrize("contents", [b"", b"x" * 5000, None])
def test_what_is_no_database_of_ours_is_told(tmp_path, contents):
    path = tmp_path / "norman.db"
    if contents is not None:
        path.write_bytes(contents)
    assert find_damage(path)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    assert find_damage(other) == "its tables are missing"


@pytest.mark.parametrize("chosen", [False, True])
def test_a_locked_database_is_not_taken_for_a_damaged_one(home, chosen):
    change(home)
    made = make_backup(home, home.registry_path, "regular", keep=3)
    change(home, "since")
    with closing(sqlite3.connect(home.registry_path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InternalError, match=r"norman\.db can't be examined: .*locked"):
            find_damage(home.registry_path, busy_timeout_s=0.01)
        with pytest.raises(InternalError, match="Nothing was changed"):
            restore_databases(home, made.path.name if chosen else None, busy_timeout_s=0.01)
    assert digests(home.registry_path) == ["one", "since"]
    assert list(home.root.glob("*.damaged-*")) == []


@given(st.lists(st.integers(0, 40 * 24), max_size=40), st.integers(1, 10))
def test_the_newest_and_one_a_day_of_the_last_week_are_kept(hours, count):
    now = datetime(2031, 5, 6, 12, tzinfo=UTC)
    backups = [
        Backup(
            path=Path(f"{index}"),
            database="norman.db",
            made_at=now - timedelta(hours=age),
            reason="regular",
            size_bytes=1,
        )
        for index, age in enumerate(sorted(hours))
    ]
    kept = backups_to_keep(backups, count)
    assert kept[: min(count, len(backups))] == backups[:count]
    assert len(kept) <= count + 8
    days = sorted({backup.made_at.date() for backup in backups}, reverse=True)[:8]
    assert {backup.made_at.date() for backup in kept} >= set(days)
