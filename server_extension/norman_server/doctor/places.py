"""Checks of folders, disk, databases and backups."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from norman_server.doctor.findings import Found, Subject, found
from norman_server.storage.backups import find_damage, list_backups, make_backup
from norman_server.storage.home import Home

__all__ = ["check_backups", "check_databases", "check_disk", "check_folders"]

_LITTLE_BYTES: Final = 1 << 30
_FEW_FILES: Final = 10_000
_SHOWN: Final = 20


def check_folders(subject: Subject) -> Iterator[Found]:
    """See that the home belongs to one user, and is closed to all others."""
    home = subject.home
    for path in (home.root, home.run, home.blobs, home.models, home.logs, home.journal):
        name = path.name if path != home.root else "the home"
        try:
            facts = path.stat()
        except FileNotFoundError:
            yield found(
                "folders",
                "error",
                f"The folder {name} is missing.",
                subject=name,
                repair=partial(path.mkdir, mode=0o700, parents=True, exist_ok=True),
            )
            continue
        if facts.st_uid != os.geteuid():
            yield found(
                "folders",
                "error",
                f"The folder {name} belongs to user {facts.st_uid}, not to {os.geteuid()}.",
                subject=name,
                advice="Give it back to its user (chown), or use another home.",
            )
        elif facts.st_mode & 0o077:
            yield found(
                "folders",
                "warning",
                f"The folder {name} is open to other users (mode {facts.st_mode & 0o777:o}).",
                subject=name,
                repair=partial(path.chmod, 0o700),
            )
        elif not os.access(path, os.W_OK | os.X_OK):
            yield found(
                "folders",
                "error",
                f"The folder {name} can't be written.",
                subject=name,
                advice="Make it writable, or use another home.",
            )


def check_disk(subject: Subject) -> Iterator[Found]:
    """See that there is room on the disk."""
    free = shutil.disk_usage(subject.home.root).free
    if free < _LITTLE_BYTES:
        yield found(
            "disk",
            "warning",
            f"The disk has {free / 1e6:,.0f} MB left.",
            advice="Make room: %norman du shows what takes it, %norman gc what can go.",
        )
    facts = os.statvfs(subject.home.root)
    if facts.f_files and facts.f_favail < _FEW_FILES:
        yield found(
            "disk",
            "warning",
            f"The disk takes only {facts.f_favail:,} files more.",
            advice="Remove files, or use a disk with more inodes.",
        )


def check_databases(subject: Subject) -> Iterator[Found]:
    """See that the databases are whole, of this program's revision, and without loose ends."""
    for path, head in _databases(subject.home):
        if not path.exists():
            if subject.live is not None:
                yield found(
                    "databases",
                    "error",
                    f"{path.name} was removed while the server runs.",
                    subject=path.name,
                    advice="Stop the server, then: norman restore",
                )
            continue
        damage = find_damage(path, thorough=subject.deep)
        if damage is not None:
            yield found(
                "databases",
                "error",
                f"{path.name} is damaged: {damage}.",
                subject=path.name,
                advice="Stop the server, then: norman restore",
            )
            continue
        yield from _check_contents(path, head)


def _databases(home: Home) -> tuple[tuple[Path, str], ...]:
    from norman_server.storage.db.invocations.tables import MIGRATIONS as INVOCATIONS
    from norman_server.storage.db.registry.tables import MIGRATIONS as REGISTRY

    return (home.registry_path, REGISTRY.head), (home.invocations_path, INVOCATIONS.head)


def _check_contents(path: Path, head: str) -> Iterator[Found]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        loose = connection.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    revision = row[0] if row is not None else "(none)"
    if revision != head:
        yield found(
            "databases",
            "error",
            f"{path.name} has the revision {revision}, not {head}.",
            subject=path.name,
            advice="Start a server of this version, which brings it up to date.",
        )
    if loose:
        tables = ", ".join(sorted({row[0] for row in loose}))
        yield found(
            "databases",
            "error",
            f"{path.name} has rows that refer to nothing, in {tables}.",
            subject=path.name,
            advice="Stop the server, then: norman restore",
        )


def check_backups(subject: Subject) -> Iterator[Found]:
    """See that there is a sound backup of the registry."""
    home = subject.home
    if not home.registry_path.exists():
        return
    make = partial(make_backup, home, home.registry_path, "by-doctor", keep=subject.keep_backups)
    is_any_sound = False
    for backup in list_backups(home):
        damage = find_damage(backup.path)
        is_any_sound = is_any_sound or damage is None
        if damage is not None:
            yield found(
                "backups",
                "warning",
                f"The backup {backup.path.name} is damaged: {damage}.",
                subject=backup.path.name,
                repair=backup.path.unlink,
            )
    if not is_any_sound:
        yield found("backups", "warning", "There is no sound backup of norman.db.", repair=make)
