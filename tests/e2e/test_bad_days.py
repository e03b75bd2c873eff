"""A locked, damaged or newer database, a home that can't be written: told clearly, nothing lost.

Jupyter and its notebooks go on; the API says what is wrong and what to do, and goes on by itself
once that is mended.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from doctoring import (
    ask_doctor,
    assert_doctor_clean,
    assert_server_clean,
    examine_offline,
    worse_than_notes,
)
from serving import JUPYTER_SERVER, explained, launch, serve, until, upload

NORMAN = (sys.executable, "-c", "import sys; from norman_jupyter.cli import main; sys.exit(main())")
MODEL = b"def predict(x: int) -> int:\n    return x + 1\n"


def norman(home, *arguments):
    """Run ``norman …`` in a shell, where no server announces itself."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NORMAN_")},
        "JUPYTER_DATA_DIR": str(home.parent),
        "JUPYTER_RUNTIME_DIR": str(home.parent / "no-runtime"),
    }
    return subprocess.run(
        [*NORMAN, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def filled(tmp_path):
    """A home with two versions and a backup, and no server."""
    with serve(tmp_path) as server, server.client() as client:
        first = upload(client, "m", {"model.py": MODEL}, trust=True)
        second = upload(client, "m", {"model.py": MODEL + b"# two\n"}, trust=True)
        assert (first["state"], second["state"]) == ("ready", "ready")
        call = client.post("invocations", json={"reference": "m", "inputs": {"x": 1}})
        assert call.json()["outputs"] == {"output": 2}
        assert_server_clean(client)
        home = server.home
    assert_doctor_clean(home)
    return home  # an orderly stop made a backup


def break_header(path):
    with path.open("r+b") as file:
        file.write(b"not a database at all".ljust(4096, b"\0"))


def break_middle(path):
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(1, pages):
            file.seek(page * 4096)
            file.write(os.urandom(4096))


def cut(path):
    os.truncate(path, 4096 + 100)


def make_newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def fold_log_in(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("damage", [break_header, break_middle, cut])
def test_a_damaged_registry_is_told_kept_and_restored(filled, tmp_path, damage):
    path = filled / "norman.db"
    fold_log_in(path)
    damage(path)
    damaged = path.read_bytes()
    with launch(tmp_path, launcher=JUPYTER_SERVER) as (_, environment):
        answer = explained(tmp_path, environment)
        said = answer()
        assert said.status_code == 503
        assert "norman restore" in said.json()["message"]
        assert path.read_bytes() == damaged
        done = norman(filled, "restore")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "norman.db.damaged-" in done.stdout
        # The same server goes on by itself.
        models = until(lambda: found if (found := answer()).status_code == 200 else None)
        assert [item["name"] for item in models.json()["items"]] == ["m"]
    (aside,) = filled.glob("norman.db.damaged-*[0-9Z]")
    assert aside.read_bytes() == damaged
    assert_doctor_clean(filled)


def test_a_damaged_record_of_invocations_is_put_aside_by_the_same_command(filled, tmp_path):
    path = filled / "invocations.db"
    fold_log_in(path)
    break_header(path)
    assert any(one.subject == "invocations.db" for one in examine_offline(filled).findings)
    done = norman(filled, "restore")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "begins an empty one" in done.stdout
    with serve(tmp_path) as server, server.client() as client:
        call = client.post("invocations", json={"reference": "m", "inputs": {"x": 1}})
        assert call.json()["outputs"] == {"output": 2}
        assert_server_clean(client)


def test_a_database_of_a_newer_norman_is_left_alone(filled, tmp_path):
    make_newer(filled / "norman.db")
    before = (filled / "norman.db").read_bytes()
    with launch(tmp_path, launcher=JUPYTER_SERVER) as (_, environment):
        said = explained(tmp_path, environment)()
        assert said.status_code == 503
        assert "A newer Norman wrote" in said.json()["message"]
    assert (filled / "norman.db").read_bytes() == before


def test_a_locked_database_is_told_and_waited_for(filled, tmp_path):
    with closing(sqlite3.connect(filled / "norman.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with launch(tmp_path, launcher=JUPYTER_SERVER) as (_, environment):
            answer = explained(tmp_path, environment)
            said = answer()
            assert said.status_code == 503
            assert "locked by another program" in said.json()["message"]
            other.execute("ROLLBACK")
            other.close()
            until(lambda: answer().status_code == 200)
    assert_doctor_clean(filled)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_told(filled, tmp_path):
    _read_only(filled, tmp_path)


def _read_only(filled, tmp_path):
    filled.chmod(0o500)
    try:
        with launch(tmp_path, launcher=JUPYTER_SERVER) as (_, environment):
            answer = explained(tmp_path, environment)
            said = answer()
            assert said.status_code == 503
            assert "may not write" in said.json()["message"]
            filled.chmod(0o700)
            until(lambda: answer().status_code == 200)
    finally:
        filled.chmod(0o700)


def test_what_was_published_after_the_backup_comes_back_without_being_sent(filled, tmp_path):
    """The bytes are still there: to publish again is all that it takes."""
    newer = MODEL + b"# three\n"
    listed = norman(filled, "restore", "--list")
    newest = listed.stdout.split()[0]
    with serve(tmp_path) as server, server.client() as client:
        assert upload(client, "m", {"model.py": newer}, trust=True)["number"] == 3
    assert norman(filled, "restore", newest).returncode == 0
    assert "There is no backup" in norman(filled, "restore", "nonsense").stderr
    with serve(tmp_path) as server, server.client() as client:
        numbers = [item["number"] for item in client.get("models/m/versions").json()["items"]]
        assert 3 not in numbers
        client.post("garbage", json={})
        digests = [entry["digest"] for entry in manifest_of(newer)]
        missing = client.post("blobs/missing", json={"digests": digests}).json()["missing"]
        assert missing == []
        assert upload(client, "m", {"model.py": newer}, trust=True)["state"] == "ready"
        assert_server_clean(client)


def manifest_of(*contents):
    from storing import make_manifest

    from norman_protocol.decoding import encode

    return encode(make_manifest({"model.py": contents[0]}))["files"]


def test_the_doctor_finds_and_mends(filled):
    """Each kind of damage that can be mended without losing anything, at once."""
    tree = min((filled / "models").iterdir())
    changed = tree / "model.py"
    changed.chmod(0o644)
    changed.write_bytes(b"x" * changed.stat().st_size)
    (filled / "models" / ("0" * 32)).mkdir()
    (filled / "logs" / f"{'1' * 32}.log").write_bytes(b"")
    filled.chmod(0o755)
    socket_path = filled / "run" / "left.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(socket_path))
    for backup in (filled / "backups").glob("norman-*.db"):
        backup.write_bytes(b"damaged")
    told = {one.check for one in worse_than_notes(examine_offline(filled))}
    assert told == {"trees", "orphans", "folders", "backups"}
    checked = norman(filled, "doctor", "--json")
    assert checked.returncode == 1
    assert not any(one["repaired"] for one in json.loads(checked.stdout)["findings"])
    mended = norman(filled, "doctor", "--repair")
    assert mended.returncode == 0, mended.stdout
    again = norman(filled, "doctor", "--repair", "--deep")
    assert (again.returncode, "All is well" in again.stdout) == (0, True), again.stdout
    assert changed.read_bytes().startswith(b"def predict")
    assert_doctor_clean(filled)


def test_the_doctor_of_a_live_server_tells_lost_files_and_how_to_heal_them(filled, tmp_path):
    with serve(tmp_path) as server, server.client() as client:
        digest = manifest_of(MODEL)[0]["digest"]
        (filled / "blobs" / "sha256" / digest[:2] / digest).unlink()
        (finding,) = ask_doctor(client).findings
        assert (finding.check, finding.severity, finding.subject) == ("blobs", "error", digest)
        assert "needed by m@1" in finding.message
        assert client.post("doctor", json={}).json()["findings"][0]["repaired"]
        (finding,) = ask_doctor(client).findings
        assert "m@1 lacks 1 file" in finding.message
        upload(client, "m", {"model.py": MODEL}, trust=True)
        assert ask_doctor(client, deep=1).findings == ()


def test_the_doctor_asks_the_server_that_runs(filled, tmp_path):
    with serve(tmp_path) as server:
        done = subprocess.run(
            [*NORMAN, "doctor"],
            env={**server.environment, "NORMAN_URL": server.url, "NORMAN_TOKEN": server.token},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout[:11]) == (0, "All is well"), done.stdout + done.stderr
        refused = norman(filled, "doctor", "--home", str(filled / "nowhere"))
        assert (refused.returncode, "there is no home" in refused.stderr) == (2, True)
