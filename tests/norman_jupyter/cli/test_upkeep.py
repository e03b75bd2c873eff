"""``norman doctor`` and ``norman restore``: by the running server, and where none runs."""

from __future__ import annotations

import json

from norman_protocol.decoding import decode
from norman_protocol.rest import DoctorReport


def test_the_running_server_examines_its_home(norman):
    assert norman.succeed("doctor").startswith("All is well")
    report = decode(DoctorReport, json.loads(norman.succeed("doctor", "--json", "--deep")))
    assert report.deep
    assert not report.needs_care


def test_a_finding_is_status_1(norman, norman_server):
    stray = norman_server.home / "models" / ("0" * 32)
    stray.mkdir()
    try:
        done = norman("doctor")
    finally:
        stray.rmdir()
    assert done.returncode == 1
    assert b"0" * 32 in done.stdout
    assert done.stderr == b""


def test_without_a_server_this_process_examines_the_home(norman, tmp_path):
    alone = {"JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    done = norman("doctor", "--debug", **alone)
    assert done.returncode == 2
    assert b"norman: there is no home at" in done.stderr
    assert norman("restore", "--list", "--home", str(tmp_path / "nosuch"), **alone).returncode == 2


def test_restore_lists_the_backups_of_a_home(norman, norman_server):
    out = norman.succeed("restore", "--list", "--home", str(norman_server.home))
    assert "norman-" in out or "There are no backups." in out


def test_restore_needs_that_no_server_runs_and_a_wrong_server_is_2(norman):
    assert "can't be reached" in norman.fail("doctor", "--url", "http://127.0.0.1:9/", status=2)
