"""Transactions, threads, and the words in which a database's failures are told."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from norman_protocol.errors import InternalError, NormanError, StorageFull
from norman_server.storage.db.database import Database
from norman_server.storage.db.registry.tables import MIGRATIONS
from norman_server.storage.db.types import UtcDateTime, clean_text, write_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "norman.db"


@pytest.fixture
def database(path: Path):
    opened = open_at(path)
    yield opened
    opened.close()


def open_at(path: Path, **options) -> Database[Connection]:
    return Database(path, lambda connection: connection, migrations=MIGRATIONS, **options)


def add(connection: Connection, digest: str) -> None:
    connection.execute(
        text(
            "INSERT INTO blobs (digest, size_bytes, created_at) "
            "VALUES (:digest, 1, '2026-01-01 00:00:00')"
        ),
        {"digest": digest},
    )


def count(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM blobs")).scalar_one()


async def test_what_is_written_is_read(database):
    await database.write(lambda connection: add(connection, "a"))
    assert await database.read(count) == 1


async def test_a_transaction_that_raises_changes_nothing(database):
    def fail(connection: Connection) -> None:
        add(connection, "a")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(fail)
    assert await database.read(count) == 0


async def test_readers_can_not_write(database):
    with pytest.raises(InternalError):
        await database.read(lambda connection: add(connection, "a"))
    assert await database.read(count) == 0


async def test_a_reader_sees_one_snapshot_while_another_writes(database):
    begun, written = threading.Event(), threading.Event()

    def read_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        begun.set()
        assert written.wait(30)
        return before, count(connection)

    async def write_meanwhile() -> None:
        await asyncio.to_thread(begun.wait, 30)
        await database.write(lambda connection: add(connection, "a"))
        written.set()

    counts, _ = await asyncio.gather(database.read(read_twice), write_meanwhile())
    assert counts == (0, 0)
    assert await database.read(count) == 1


async def test_a_cancelled_caller_does_not_cut_a_transaction(database):
    begun, go_on = threading.Event(), threading.Event()

    def add_slowly(connection: Connection) -> None:
        add(connection, "a")
        begun.set()
        assert go_on.wait(30)
        add(connection, "b")

    writing = asyncio.create_task(database.write(add_slowly))
    await asyncio.to_thread(begun.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go_on.set()
    await database.write(lambda connection: None)  # comes after it in the one thread that writes
    assert await database.read(count) == 2


async def test_two_that_write_the_same_file_wait_for_each_other(path, database):
    other = open_at(path)

    def read_then_add(connection: Connection, digest: str) -> None:
        count(connection)  # a deferred transaction would fail here once the other has written
        add(connection, digest)

    try:
        await asyncio.gather(
            *(
                which.write(lambda connection, i=i: read_then_add(connection, str(i)))
                for i, which in enumerate([database, other] * 20)
            )
        )
    finally:
        other.close()
    assert await database.read(count) == 40


async def test_the_database_is_durable_and_keeps_its_references(database):
    def settings(connection: Connection) -> tuple[object, ...]:
        return tuple(
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        )

    assert await database.write(settings) == ("wal", 2, 1)


async def test_a_lock_held_by_another_program_is_told_as_such(path):
    database = open_at(path, busy_timeout_s=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(InternalError, match=r"norman\.db is locked by another program"):
            await database.write(lambda connection: add(connection, "a"))
        holder.execute("ROLLBACK")
        await database.write(lambda connection: add(connection, "a"))
        assert await database.read(count) == 1
    finally:
        holder.close()
        database.close()


def test_a_database_that_is_locked_while_it_is_opened_is_told_as_such(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InternalError, match=r"norman\.db is locked by another program"):
            open_at(path, busy_timeout_s=0.05)
    open_at(path).close()


async def test_no_transaction_runs_in_the_thread_of_the_event_loop(database):
    def thread_of(_: Connection) -> int:
        return threading.get_ident()

    writers = {await database.write(thread_of) for _ in range(5)}
    readers = set(await asyncio.gather(*(database.read(thread_of) for _ in range(20))))
    assert len(writers) == 1
    assert len(readers) <= 3
    assert threading.get_ident() not in writers | readers


async def test_a_full_disk_is_told_as_such_and_what_stood_stays(database):
    await database.write(lambda connection: add(connection, "a"))

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")
        for number in range(1000):
            add(connection, "x" * 1000 + str(number))

    with pytest.raises(StorageFull, match=r"norman\.db"):
        await database.write(fill)
    assert await database.read(count) == 1


@pytest.mark.parametrize("content", [b"This is not a database, whatever its name says. " * 100])
def test_a_file_that_is_no_database_is_refused_with_what_to_do(path, content):
    path.write_bytes(content)
    with pytest.raises(
        InternalError, match=r"norman\.db is no database any more.*norman restore"
    ) as caught:
        open_at(path)
    assert str(path) not in caught.value.message
    assert path.read_bytes() == content


async def test_a_damaged_database_is_told_as_such(path):
    database = open_at(path)
    await database.write(lambda connection: [add(connection, f"{i:064d}") for i in range(2000)])
    database.close()
    size_bytes = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xff" * (size_bytes - 4096 * 4))
    # Opening reads as well: which of the two meets a damaged page depends on where the pages lie.
    with pytest.raises(InternalError, match=r"norman\.db is damaged.*norman restore"):
        await read_all(path)


async def read_all(path):
    damaged = open_at(path)
    try:
        await damaged.read(lambda connection: connection.execute(text("SELECT * FROM blobs")).all())
    finally:
        damaged.close()


def test_a_folder_in_its_place_can_not_be_opened(path):
    path.mkdir()
    with pytest.raises(InternalError, match=r"norman\.db can't be opened"):
        open_at(path)


async def test_a_closed_database_says_that_the_server_is_stopping(database):
    database.close()
    database.close()
    with pytest.raises(InternalError, match="stopping"):
        await database.read(count)
    with pytest.raises(InternalError, match="stopping"):
        database.write_now(count)


async def test_a_write_from_a_thread_joins_the_same_queue(database):
    await asyncio.to_thread(database.write_now, lambda connection: add(connection, "a"))
    assert await database.read(count) == 1


async def test_faults_of_ours_pass_through_unchanged(database):
    error = NormanError("mine")

    def fail(_: Connection) -> None:
        raise error

    with pytest.raises(NormanError) as caught:
        await database.write(fail)
    assert caught.value is error


def test_times_come_back_aware_whatever_their_zone_was(database):
    moment = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=-8)))
    column = UtcDateTime()
    engine: Engine = database._write_engine
    stored = column.process_bind_param(moment, engine.dialect)
    assert stored is not None
    naive = stored.replace(tzinfo=None)
    assert column.process_result_value(naive, engine.dialect) == moment
    assert column.process_result_value(None, engine.dialect) is None
    assert column.process_result_value(moment, engine.dialect).tzinfo is UTC
    with pytest.raises(TypeError, match="naive"):
        column.process_bind_param(datetime(2026, 1, 1), engine.dialect)  # noqa: DTZ001


def test_text_that_no_database_stores_is_mended():
    assert clean_text("fine ü") == "fine ü"
    assert clean_text("a\0b\ud800c") == "a\N{REPLACEMENT CHARACTER}b?c"
    assert write_json({"a": "\ud800"}) == '{"a":"\\ud800"}'
    with pytest.raises(ValueError, match="JSON"):
        write_json(float("nan"))
