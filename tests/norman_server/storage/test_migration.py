"""Tables come from migrations, which agree with what the code believes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from norman_protocol.errors import InternalError
from norman_server.storage.db.database import Database
from norman_server.storage.db.invocations import tables as invocation_tables
from norman_server.storage.db.registry import tables as registry_tables

TREES = {"registry": registry_tables, "invocations": invocation_tables}


@pytest.fixture(params=sorted(TREES))
def tables(request: pytest.FixtureRequest):
    return TREES[request.param]


def open_at(path: Path, tables) -> Database[Connection]:
    return Database(path, lambda connection: connection, migrations=tables.MIGRATIONS)


def test_an_empty_database_gets_exactly_the_tables_that_the_code_declares(tables, tmp_path):
    path = tmp_path / tables.MIGRATIONS.name
    open_at(path, tables).close()
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, tables.metadata) == []
            assert context.get_current_revision() == tables.MIGRATIONS.head
    finally:
        engine.dispose()


def test_the_noted_head_is_the_newest_migration(tables):
    scripts = ScriptDirectory(str(tables.MIGRATIONS.folder))
    assert scripts.get_heads() == [tables.MIGRATIONS.head]


def test_migrating_a_second_time_keeps_what_is_there(tables, tmp_path):
    path = tmp_path / "again.db"
    open_at(path, tables).close()
    with sqlite3.connect(path) as direct:
        direct.execute("CREATE TABLE kept (x)")
    direct.close()
    open_at(path, tables).close()
    with sqlite3.connect(path) as direct:
        assert direct.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    direct.close()


def test_each_migration_can_be_taken_back(tables, tmp_path):
    from alembic import command
    from alembic.config import Config

    path = tmp_path / "back.db"
    open_at(path, tables).close()
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(tables.MIGRATIONS.folder))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "base")
    finally:
        engine.dispose()
    with sqlite3.connect(path) as direct:
        names = {row[0] for row in direct.execute("SELECT name FROM sqlite_master")}
    direct.close()
    assert not {table.name for table in tables.metadata.sorted_tables} & names


def upgrade_to(path: Path, tables, revision: str) -> None:
    """Make a database as an earlier Norman did."""
    from alembic import command
    from alembic.config import Config

    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(tables.MIGRATIONS.folder))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def test_a_registry_of_the_first_norman_is_searched_and_keeps_its_history(tmp_path):
    path = tmp_path / "norman.db"
    upgrade_to(path, registry_tables, "0001")
    with sqlite3.connect(path) as direct:
        direct.execute(
            "INSERT INTO models (id, name, name_key, created_at, updated_at, last_number, "
            "last_activation) VALUES ('m', 'Digits', 'digits', '2031-01-01', '2031-01-01', 1, 1)"
        )
        direct.execute(
            "INSERT INTO versions (id, model_id, number, state, identity, bundle_digest, label, "
            "tags, runtime, entry, manifest, size_bytes, created_at, created_by, origin) VALUES "
            "('v', 'm', 1, 'ready', '0', '0', 'Ärger', '[\"Mist\"]', 'onnx', 'm.onnx', '{}', 1, "
            "'2031-01-01', 'ada', '{}')"
        )
        direct.execute("INSERT INTO aliases VALUES ('m', 'active', 'v', 1)")
        direct.execute(
            "INSERT INTO alias_changes (model_id, alias, after, changed_at, changed_by, reason) "
            "VALUES ('m', 'active', 1, '2031-01-01 00:00:00', 'ada', 'ready')"
        )
    direct.close()
    open_at(path, registry_tables).close()
    with sqlite3.connect(path) as direct:
        assert direct.execute("SELECT search_text FROM versions").fetchone() == ("ärger\nmist",)
        assert direct.execute("SELECT action, after FROM alias_changes").fetchone() == ("set", 1)
    direct.close()


def test_a_database_of_a_newer_norman_is_refused_and_left_as_it_is(tables, tmp_path):
    path = tmp_path / tables.MIGRATIONS.name
    open_at(path, tables).close()
    with sqlite3.connect(path) as direct:
        direct.execute("UPDATE alembic_version SET version_num = '9999'")
    direct.close()
    with pytest.raises(InternalError, match=r"newer Norman.*9999") as caught:
        open_at(path, tables)
    assert path.name in caught.value.message
    with sqlite3.connect(path) as direct:
        assert direct.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    direct.close()


def test_a_failed_migration_leaves_nothing_half_done(tables, tmp_path):
    path = tmp_path / "half.db"
    # A table of ours stands in the way of the first migration.
    last = tables.metadata.sorted_tables[-1].name
    with sqlite3.connect(path) as direct:
        direct.execute(f"CREATE TABLE {last} (x)")
    direct.close()
    with pytest.raises(InternalError, match="half.db|" + tables.MIGRATIONS.name):
        open_at(path, tables)
    with sqlite3.connect(path) as direct:
        names = {row[0] for row in direct.execute("SELECT name FROM sqlite_master")}
    direct.close()
    assert names == {last}


def test_alembic_is_imported_only_where_a_database_is_behind(tmp_path):
    script = (
        "import sys; from pathlib import Path;"
        "import norman_server.storage.opening as opening;"
        "assert 'sqlalchemy' not in sys.modules;"
        "opening.open_storage(Path(sys.argv[1])).close();"
        "print('alembic' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "home")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["True", "False"]
