"""Worker processes and their archive."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from norman_executor.archive import build_archive
from norman_executor.processes import describe_exit, log_tail, scrub_environment


def test_secrets_of_the_server_are_left_out():
    environment = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "NORMAN_TOKEN": "t",
        "NORMAN_URL": "u",
        "JUPYTERHUB_API_TOKEN": "t",
        "JPY_API_TOKEN": "t",
        "JUPYTER_TOKEN": "t",
        "JUPYTER_SERVER_URL": "u",
    }
    assert scrub_environment(environment) == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exited with status 0"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-99, "signal 99")],
)
def test_end_of_a_process_is_told_in_words(status, words):
    assert words in describe_exit(status)


def test_log_tail_begins_where_the_worker_did_and_is_bounded(tmp_path):
    log = tmp_path / "version.log"
    log.write_bytes(b"old\n" + "ü".encode() * 10_000 + b"end")
    with log.open("a+b") as opened:
        assert log_tail(opened, 4).endswith("end")
        assert len(log_tail(opened, 4).encode()) <= 8 * 1024 + 8
        assert "old" not in log_tail(opened, 4)
    assert log_tail(opened, 0) == ""


def test_archive_holds_worker_and_protocol_alone_and_is_built_once(tmp_path):
    archive = build_archive(tmp_path)
    before = archive.stat().st_mtime_ns
    assert build_archive(tmp_path) == archive
    assert archive.stat().st_mtime_ns == before
    with zipfile.ZipFile(archive) as opened:
        assert {name.split("/")[0] for name in opened.namelist()} == {
            "__main__.py",
            "norman_protocol",
            "norman_worker",
        }


def test_archive_runs_where_nothing_of_ours_is_installed(tmp_path):
    archive = build_archive(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(archive), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "--socket-fd" in ran.stdout, ran.stderr
