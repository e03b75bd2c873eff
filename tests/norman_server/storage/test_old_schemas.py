"""Databases of every revision that there was are brought up to date, and lose nothing.

Each is a dump in ``schemas``, with rows as a server of its time wrote them; a new revision comes
with one of its own, as the last test says.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from doctoring import assert_doctor_clean
from storing import digest_of

from norman_protocol.errors import VersionNotFound
from norman_protocol.references import parse_reference
from norman_server.invocations.service import InvocationLog
from norman_server.registry.service import Registry
from norman_server.storage.backups import list_backups
from norman_server.storage.db.invocations import tables as invocation_tables
from norman_server.storage.db.registry import tables as registry_tables
from norman_server.storage.home import Home
from norman_server.storage.opening import open_storage

FOLDER = Path(__file__).with_name("schemas")
SOURCE = b"def predict(x: int) -> int:\n    return x + 1\n"
REGISTRIES = sorted(path.stem for path in FOLDER.glob("registry-*.sql"))
INVOCATIONS = sorted(path.stem for path in FOLDER.glob("invocations-*.sql"))


def lay(home: Path, dump: str, name: str) -> None:
    with closing(sqlite3.connect(home / name)) as connection:
        connection.executescript((FOLDER / f"{dump}.sql").read_text(encoding="utf-8"))


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    blob = home / "blobs" / "sha256" / digest_of(SOURCE)[:2] / digest_of(SOURCE)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(SOURCE)
    home.chmod(0o700)
    (home / "blobs").chmod(0o700)
    return home


@pytest.mark.parametrize("dump", REGISTRIES)
async def test_a_registry_of_each_revision_is_all_there(home, dump):
    lay(home, dump, "norman.db")
    with open_storage(home) as storage:
        registry = Registry(storage)
        version = await registry.version(parse_reference("digits"))
        assert (version.number, version.state, version.label) == (1, "ready", "first")
        assert (version.description, version.tags) == ("Ärger mit Ziffern", ("Mist",))
        assert version.trust is not None
        failed = await registry.version(parse_reference("digits@2"))
        assert failed.error is not None
        assert failed.error.message == "It raised."
        assert [item.name for item in (await registry.models(search="ÄRGER")).items] == ["Digits"]
        (change,) = (await registry.alias_history("digits", None)).items
        assert (change.after, change.action) == (1, "set")
        tree = await registry.materialise(version.id)
        assert (tree / "model.py").read_bytes() == SOURCE
        titles = [one.title for one in version.declaration.inputs] if version.declaration else []
        assert titles == (["Number"] if dump >= "registry-0005" else [])
        if dump >= "registry-0004":
            with pytest.raises(VersionNotFound, match="by grace"):
                await registry.version(parse_reference("digits@3"))
    # What was migrated was backed up before.
    is_newest = dump == REGISTRIES[-1]
    assert [one.reason for one in list_backups(Home(root=home))] == (
        [] if is_newest else ["before-migration"]
    )
    assert_doctor_clean(home, besides="backups" if is_newest else "")


@pytest.mark.parametrize("dump", INVOCATIONS)
async def test_invocations_of_each_revision_are_all_there(home, dump):
    lay(home, dump, "invocations.db")
    with open_storage(home) as storage:
        log = InvocationLog(storage)
        items = (await log.page(limit=10, cursor=None, model=None, state=None, since=None)).items
        assert [item.state for item in items] == ["failed", "succeeded"]
        detail = await log.detail(items[1].id)
        assert detail.inputs == {"x": 41}
        assert detail.invocation.timings.codec_s == (0.05 if dump >= "invocations-0003" else 0)
        assert detail.outputs is None


@pytest.mark.parametrize(
    ("tables", "dumps"),
    [(registry_tables, REGISTRIES), (invocation_tables, INVOCATIONS)],
    ids=["registry", "invocations"],
)
def test_there_is_a_dump_of_every_revision(tables, dumps):
    scripts = ScriptDirectory(str(tables.MIGRATIONS.folder))
    revisions = {script.revision for script in scripts.walk_revisions()}
    assert {dump.rpartition("-")[2] for dump in dumps} == revisions
