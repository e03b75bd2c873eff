"""Copies of the databases: made while the server runs, verified, put back when one is damaged."""

from __future__ import annotations

import contextlib
import filecmp
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from norman_protocol.errors import InternalError, RequestInvalid
from norman_protocol.identifiers import new_id
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import make_folder, sync_folder
from norman_server.storage.home import Home

__all__ = [
    "Backup",
    "Restored",
    "backups_to_keep",
    "find_damage",
    "list_backups",
    "make_backup",
    "restore_databases",
]

_log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"(norman|invocations)-(\d{8}T\d{12}Z)-([a-z0-9-]+)\.db")
_TIME: Final = "%Y%m%dT%H%M%S%fZ"
_DAYS: Final = 7
_COMPANIONS: Final = ("-wal", "-shm")
_BUSY_TIMEOUT_S: Final = 15.0
_NO_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""What keeps SQLite from reading a file that may well be sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of a database in the home's folder ``backups``."""

    path: Path
    database: str
    made_at: datetime
    reason: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a damaged database.

    Attributes
    ----------
    aside
        Where the damaged file is now.
    backup
        What stands in its place; None: nothing, so that the server begins an empty one.
    """

    database: str
    damage: str
    aside: Path | None
    backup: Backup | None


def list_backups(home: Home, database: str = "norman.db") -> list[Backup]:
    """Return the backups of a database, newest first.

    Raises
    ------
    InternalError
        The disk failed.
    """
    found = []
    with disk_faults("looking for backups"):
        if not home.backups.is_dir():
            return []
        for path in home.backups.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and f"{match[1]}.db" == database:
                found.append(
                    Backup(
                        path=path,
                        database=database,
                        made_at=datetime.strptime(match[2], _TIME).replace(tzinfo=UTC),
                        reason=match[3],
                        size_bytes=path.stat().st_size,
                    )
                )
    return sorted(found, key=lambda backup: backup.path.name, reverse=True)


def make_backup(home: Home, database: Path, reason: str, *, keep: int) -> Backup | None:
    """Copy a database while others use it; synchronous, and as long as its size takes.

    Parameters
    ----------
    database
        The file, in the home.
    reason
        A word of small letters, digits and hyphens, for people.
    keep
        So many of the newest stay, and the newest of each of the last seven days.

    Returns
    -------
    Backup or None
        None where the newest backup holds the same already, or there is no database yet.

    Raises
    ------
    StorageFull, InternalError
        The disk is full or failed, or the database is damaged: no backup was made.
    """
    if not database.exists():
        return None
    with disk_faults("backing up a database"):
        make_folder(home.backups)
        unfinished = home.backups / f".{new_id()}.tmp"
        try:
            _copy(database, unfinished)
            damage = find_damage(unfinished)
            if damage is not None:
                raise InternalError(f"{database.name} can't be backed up: {damage}.")
            older = list_backups(home, database.name)
            if older and filecmp.cmp(older[0].path, unfinished, shallow=False):
                return None
            # A clock that was set back must not make the newest backup look old.
            made_at = max(datetime.now(UTC), *(one.made_at for one in older[:1]), _EPOCH)
            name = f"{database.stem}-{made_at.strftime(_TIME)}-{reason}.db"
            _settle(unfinished, home.backups / name)
        finally:
            for path in (unfinished, *_companions(unfinished)):
                path.unlink(missing_ok=True)
        backups = list_backups(home, database.name)
        kept = {backup.path for backup in backups_to_keep(backups, keep)}
        for old in backups:
            if old.path not in kept:
                old.path.unlink(missing_ok=True)
    return backups[0]


def backups_to_keep(backups: Sequence[Backup], count: int) -> list[Backup]:
    """Return the newest backups, and the newest of each day of the week before the newest.

    Parameters
    ----------
    backups
        Newest first.
    """
    newest_of_day: dict[date, Backup] = {}
    for backup in backups:
        newest_of_day.setdefault(backup.made_at.date(), backup)
    days = list(newest_of_day.values())[: _DAYS + 1]
    return [backup for index, backup in enumerate(backups) if index < count or backup in days]


_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def _copy(source: Path, target: Path) -> None:
    try:
        with _connect(source) as reading, contextlib.closing(sqlite3.connect(target)) as writing:
            reading.backup(writing)
    except sqlite3.Error as error:
        raise InternalError(f"{source.name} can't be backed up: {error}.") from error


def _settle(unfinished: Path, target: Path) -> None:
    unfinished.chmod(0o600)
    descriptor = os.open(unfinished, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(target)
    sync_folder(target.parent)


@contextlib.contextmanager
def _connect(path: Path, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> Iterator[sqlite3.Connection]:
    # "immutable" would pass over what a log beside the file holds.
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s)
    with contextlib.closing(connection):
        yield connection


def find_damage(
    path: Path, *, thorough: bool = False, busy_timeout_s: float = _BUSY_TIMEOUT_S
) -> str | None:
    """Say what is wrong with a database file, in a few words; None where nothing is.

    Parameters
    ----------
    thorough
        Compare every index with its table, too: as long as reading everything takes.
    busy_timeout_s
        How long another program's lock is waited for.

    Raises
    ------
    InternalError
        It can't be told: the file is locked, or may not be read.
    """
    if not path.exists():
        return "the file is missing"
    if not path.stat().st_size and not any(one.exists() for one in _companions(path)):
        return "the file is empty"
    try:
        with _connect(path, busy_timeout_s) as connection:
            check = "integrity_check" if thorough else "quick_check"
            rows = connection.execute(f"PRAGMA {check}(5)").fetchall()
            revision = connection.execute(
                "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
            ).fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_DAMAGE:
            raise InternalError(
                f"The database {path.name} can't be examined: {error}. Nothing was changed. End "
                "the program that holds it, or give this user the right to it; then try again."
            ) from error
        return str(error)
    if rows != [("ok",)]:
        return "; ".join(str(row[0]) for row in rows).replace("\n", " ")[:300]
    return None if revision is not None else "its tables are missing"


def restore_databases(
    home: Home, chosen: str | None = None, *, busy_timeout_s: float = _BUSY_TIMEOUT_S
) -> list[Restored]:
    """Put backups in the place of damaged databases; the damaged files are kept aside.

    Only for the process that holds the home, while no storage of it is open.

    Parameters
    ----------
    chosen
        Name of a backup to put back, whether the database is damaged or not; by default the newest
        sound one of each damaged database.
    busy_timeout_s
        How long another program's lock is waited for.

    Raises
    ------
    RequestInvalid
        There is no backup of that name, or it is damaged itself.
    StorageFull, InternalError
        The disk is full or failed, or a database is locked or may not be read: it may be sound.
    """
    if chosen is not None:
        backup = _named(home, chosen)
        database = home.root / backup.database
        reason = find_damage(database, busy_timeout_s=busy_timeout_s) or "nothing is wrong with it"
        return [_replace(database, reason, backup)]
    done = []
    for database in (home.registry_path, home.invocations_path):
        if not database.exists() and not list_backups(home, database.name):
            continue  # never begun
        damage = find_damage(database, thorough=True, busy_timeout_s=busy_timeout_s)
        if damage is not None:
            sound = (
                one for one in list_backups(home, database.name) if find_damage(one.path) is None
            )
            done.append(_replace(database, damage, next(sound, None)))
    return done


def _named(home: Home, name: str) -> Backup:
    backups = [*list_backups(home, "norman.db"), *list_backups(home, "invocations.db")]
    for backup in backups:
        if backup.path.name == name:
            damage = find_damage(backup.path)
            if damage is not None:
                raise RequestInvalid(f"The backup {name} is damaged itself: {damage}.")
            return backup
    names = ", ".join(one.path.name for one in backups[:5]) or "none"
    raise RequestInvalid(f"There is no backup {name[:100]!r}. There are: {names}.")


def _replace(database: Path, damage: str, backup: Backup | None) -> Restored:
    with disk_faults("restoring a database"):
        aside = _set_aside(database)
        if backup is not None:
            unfinished = database.with_name(f".{database.name}.{new_id()}.tmp")
            shutil.copyfile(backup.path, unfinished)
            _settle(unfinished, database)
    return Restored(database=database.name, damage=damage, aside=aside, backup=backup)


def _set_aside(database: Path) -> Path | None:
    stamp = datetime.now(UTC).strftime(_TIME)
    moved = None
    for path in (database, *_companions(database)):
        if path.exists():
            end = path.name.removeprefix(database.name)
            target = database.with_name(f"{database.name}.damaged-{stamp}{end}")
            path.replace(target)
            moved = moved or target
    sync_folder(database.parent)
    return moved


def _companions(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in _COMPANIONS]
