"""The discovery file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import psutil
import pytest

from norman_protocol.decoding import decode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name
from norman_server.announcement import Announcement, remove_stale_files


def record(pid, started_at):
    return DiscoveryRecord(
        server_id="s",
        url="http://127.0.0.1:1/",
        token="secret",
        server_pid=pid,
        server_started_at=started_at,
        socket_path="/run/x",
        version="1",
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mine():
    return record(os.getpid(), psutil.Process().create_time())


def test_file_says_everything_to_its_owner_alone(tmp_path):
    announcement = Announcement(tmp_path / "runtime", mine())
    announcement.write()
    assert announcement.path.name == discovery_file_name(os.getpid())
    assert stat.S_IMODE(announcement.path.stat().st_mode) == 0o600
    assert decode(DiscoveryRecord, json.loads(announcement.path.read_text())) == mine()
    assert names(tmp_path / "runtime") == [announcement.path.name]
    announcement.remove()
    announcement.remove()
    assert not announcement.path.exists()


def test_rewriting_replaces_what_a_crash_left_half_written(tmp_path):
    announcement = Announcement(tmp_path, mine())
    announcement.path.with_suffix(".tmp").write_text("{")
    announcement.write()
    announcement.write()
    assert names(tmp_path) == [announcement.path.name]


def test_files_of_servers_that_have_ended_are_removed_and_others_left(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    live = Announcement(tmp_path, mine())
    dead = Announcement(tmp_path, record(ended.pid, 1.0))
    live.write()
    dead.write()
    (tmp_path / "norman-notes.json").write_text("not ours")
    (tmp_path / "jpserver-1.json").write_text("{}")
    remove_stale_files(tmp_path)
    assert names(tmp_path) == sorted([live.path.name, "norman-notes.json", "jpserver-1.json"])


def test_file_of_a_pid_that_was_reused_is_removed(tmp_path):
    stale = Announcement(tmp_path, record(os.getpid(), psutil.Process().create_time() - 3600))
    stale.write()
    remove_stale_files(tmp_path)
    assert not stale.path.exists()


@pytest.mark.parametrize("step_s", [-3, 3])
def test_file_of_a_live_server_stays_when_the_clock_was_set_a_little(tmp_path, step_s):
    live = Announcement(tmp_path, record(os.getpid(), psutil.Process().create_time() + step_s))
    live.write()
    remove_stale_files(tmp_path)
    assert live.path.exists()


def test_folder_that_is_not_there_is_no_fault(tmp_path):
    remove_stale_files(tmp_path / "absent")
