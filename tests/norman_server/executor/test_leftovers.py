"""Processes that a killed executor left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from norman_server.executor.leftovers import Ledger, ProcessRecord, end_group, process_record

_SLEEPER = "import sys, signal; print('up', flush=True); signal.pause()"


@pytest.fixture
def group():
    """A process that leads a group, as workers do."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER], stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def test_group_of_a_recorded_process_is_ended(group):
    record = process_record(group.pid)
    assert end_group(record)
    assert group.wait(10) == -signal.SIGKILL


def test_reused_pid_is_spared(group):
    record = process_record(group.pid)
    earlier = ProcessRecord(pid=record.pid, started_at=record.started_at - 60)
    assert not end_group(earlier)
    assert group.poll() is None


def test_group_is_ended_after_the_clock_was_set_a_little(group):
    record = process_record(group.pid)
    earlier = ProcessRecord(pid=record.pid, started_at=record.started_at - 3)
    assert end_group(earlier)
    assert group.wait(10) == -signal.SIGKILL


def test_process_that_has_ended_is_no_fault():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert process_record(process.pid) is None
    assert not end_group(ProcessRecord(pid=process.pid, started_at=1.0))


def test_ledger_of_a_killed_server_is_carried_out_by_the_next(group, tmp_path):
    path = tmp_path / "processes.json"
    ledger = Ledger(path)
    ledger.add(process_record(group.pid))
    ledger.save()
    assert Ledger(path).end_all() == 1
    assert group.wait(10) == -signal.SIGKILL
    assert not path.exists()


def test_ledger_forgets_what_has_ended(group, tmp_path):
    ledger = Ledger(tmp_path / "processes.json")
    ledger.add(process_record(group.pid))
    ledger.save()
    ledger.discard(group.pid)
    ledger.discard(group.pid)
    ledger.save()
    assert not (tmp_path / "processes.json").exists()
    assert ledger.end_all() == 0
    assert group.poll() is None


@pytest.mark.parametrize("text", ["", "{", '{"processes": 3}', "[]", "\x00"])
def test_damaged_ledger_is_replaced(tmp_path, text):
    path = tmp_path / "processes.json"
    path.write_text(text)
    ledger = Ledger(path)
    assert ledger.end_all() == 0
    ledger.add(ProcessRecord(pid=os.getpid(), started_at=psutil.Process().create_time() - 99))
    ledger.save()
    assert Ledger(path).end_all() == 0  # read without fault; the start time isn't ours
