"""One database: its connections, threads and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from norman_protocol.errors import InternalError, NormanError, StorageFull
from norman_server.storage.db.migration import Migrations, migrate
from norman_server.storage.db.types import write_json
from norman_server.storage.threads import ThreadPool

__all__ = ["Database", "database_faults"]

R = TypeVar("R")
T = TypeVar("T")

_BUSY_TIMEOUT_S = 15.0


class Database(Generic[R]):
    """An SQLite database with one writer thread and a few reader threads.

    A transaction is opened here and nowhere else: `write` and `read` run a function on the rows
    within one, and roll back when it raises.

    Parameters
    ----------
    path
        The file; its folder exists.
    rows
        Builds the object with the queries from a connection inside a transaction.
    migrations
        What brings the tables up to date, now.
    busy_timeout_s
        Seconds to wait for another process that writes.
    before_migrating
        Called before a database of an earlier revision is changed.

    Raises
    ------
    StorageFull, InternalError
        The file can't be opened or migrated; the message says what to do.
    """

    def __init__(
        self,
        path: Path,
        rows: Callable[[Connection], R],
        *,
        migrations: Migrations,
        readers: int = 3,
        busy_timeout_s: float = _BUSY_TIMEOUT_S,
        before_migrating: Callable[[], object] | None = None,
    ) -> None:
        self._name = path.name
        self._rows = rows
        self._write_engine = _open_engine(path, busy_timeout_s, size=1, writes=True)
        self._read_engine = _open_engine(path, busy_timeout_s, size=readers, writes=False)
        self._writer = ThreadPool(f"{path.stem}-writer", 1)
        self._readers = ThreadPool(f"{path.stem}-reader", readers)
        try:
            with database_faults(self._name):
                migrate(self._write_engine, migrations, before_migrating)
        except BaseException:
            self.close()
            raise

    async def write(self, work: Callable[[R], T]) -> T:
        """Run ``work`` in the writer's thread, within a transaction that is committed after it.

        Raises
        ------
        StorageFull, InternalError
            The database failed. What ``work`` raises passes through; nothing is kept then.
        """
        return await self._writer.run(partial(self._transact, self._write_engine, work))

    async def read(self, work: Callable[[R], T]) -> T:
        """Run ``work`` in a reader's thread, on one snapshot; it can't write.

        Raises
        ------
        StorageFull, InternalError
            The database failed. What ``work`` raises passes through.
        """
        return await self._readers.run(partial(self._transact, self._read_engine, work))

    def read_now(self, work: Callable[[R], T]) -> T:
        """Do as `read`, for a caller that is in a thread of its own already."""
        return self._readers.run_now(partial(self._transact, self._read_engine, work))

    def write_now(self, work: Callable[[R], T]) -> T:
        """Do as `write`, for a caller that is in a thread of its own already."""
        return self._writer.run_now(partial(self._transact, self._write_engine, work))

    def close(self) -> None:
        """Finish what was begun and close the file. Closing twice is fine."""
        self._writer.close()
        self._readers.close()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _transact(self, engine: Engine, work: Callable[[R], T]) -> T:
        with database_faults(self._name), engine.begin() as connection:
            return work(self._rows(connection))


def _open_engine(path: Path, busy_timeout_s: float, *, size: int, writes: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        json_serializer=write_json,
        hide_parameters=True,  # inputs, outputs and tokens stay out of logs
        connect_args={"timeout": busy_timeout_s},
    )
    # The driver would begin transactions late and deferred: two writers that both read first
    # would then fail at once, instead of waiting for each other.
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        if writes:
            connection.execute("PRAGMA journal_mode=WAL")
        else:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def database_faults(name: str) -> Iterator[None]:
    """Turn errors of the database ``name`` inside into a `StorageFull` or an `InternalError`."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(name, error.orig or error) from error
    except SQLAlchemyError as error:
        raise InternalError(f"The database {name} failed: {type(error).__name__}.") from error
    except sqlite3.Error as error:
        raise _translate(name, error) from error


_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another program. End that program, or wait: "
    "it is tried again",
    sqlite3.SQLITE_LOCKED: "is locked. Try again",
    sqlite3.SQLITE_CORRUPT: "is damaged. Nothing of it is overwritten. In a shell, put its "
    "newest backup in its place: norman restore",
    sqlite3.SQLITE_NOTADB: "is no database any more. Nothing of it is overwritten. In a shell, "
    "put its newest backup in its place: norman restore",
    sqlite3.SQLITE_READONLY: "may not be written. Give the server's user the right to, or set "
    "NormanExtension.home to another folder",
    sqlite3.SQLITE_PERM: "may not be opened. Give the server's user the right to, or set "
    "NormanExtension.home to another folder",
    sqlite3.SQLITE_CANTOPEN: "can't be opened. Check that the server's user may write to its "
    "Norman home, or set NormanExtension.home to another folder",
    sqlite3.SQLITE_IOERR: "can't be read or written: its disk failed",
}


def _translate(name: str, error: BaseException) -> NormanError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_FULL:
        return StorageFull(
            f"The disk is full: the database {name} of the server can't grow. Make room there, "
            "then try again."
        )
    reason = _REASONS.get(primary) if primary is not None else None
    if reason is None:
        reason = f"failed: {getattr(error, 'sqlite_errorname', type(error).__name__)}"
    return InternalError(f"The server's database {name} {reason}.")
