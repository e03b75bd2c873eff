"""The doctor tells of what it can't examine, and goes on with the rest."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from doctoring import examine_offline

from norman_server.storage.opening import open_storage


def test_a_database_without_a_revision_is_told_beside_all_else(tmp_path):
    home = tmp_path / "home"
    open_storage(home).close()
    (home / "logs" / f"{'1' * 32}.log").touch()
    with closing(sqlite3.connect(home / "invocations.db")) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.commit()
    told = examine_offline(home).findings
    (finding,) = [one for one in told if one.check == "databases"]
    assert (finding.severity, finding.subject) == ("error", "invocations.db")
    assert "revision (none)" in finding.message
