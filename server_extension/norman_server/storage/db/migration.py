"""Brings the tables of a database up to date, with Alembic where there is something to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from norman_protocol.errors import InternalError

__all__ = ["Migrations", "migrate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """A tree of migrations.

    Attributes
    ----------
    name
        Name of the database, for errors.
    folder
        Holds ``env.py`` and ``versions/``.
    head
        Its newest revision, repeated here so that Alembic, which takes long to import, is
        imported only where a database is behind.
    """

    name: str
    folder: Path
    head: str


def migrate(
    engine: Engine, migrations: Migrations, before: Callable[[], object] | None = None
) -> None:
    """Bring a database to the newest revision, in one transaction.

    Parameters
    ----------
    before
        Called before a database that holds something is changed.

    Raises
    ------
    InternalError
        A newer Norman wrote it.
    """
    with engine.begin() as connection:
        current = _current_revision(connection)
    if before is not None and current not in (None, migrations.head):
        before()
    with engine.begin() as connection:
        current = _current_revision(connection)
        if current != migrations.head:
            _upgrade(connection, migrations, current)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, migrations: Migrations, current: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    # Config interpolates "%"; a home may hold one.
    config.set_main_option("script_location", str(migrations.folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise InternalError(
            f"A newer Norman wrote the database {migrations.name} (revision {current}). Install "
            "that one, or set NormanExtension.home to another folder."
        )
    command.upgrade(config, "head")
