"""One server per home."""

from __future__ import annotations

import os
import subprocess
import sys

from norman_server.lease import HomeLease

_HOLDER = """
import sys
from pathlib import Path
from norman_server.lease import HomeLease
lease = HomeLease(Path(sys.argv[1]))
print(lease.try_take(), flush=True)
sys.stdin.read()
"""


def test_home_is_taken_once_and_free_again(tmp_path):
    first, second = HomeLease(tmp_path / "lock"), HomeLease(tmp_path / "lock")
    assert first.try_take()
    assert first.try_take()
    assert not second.try_take()
    assert second.holder() == os.getpid()
    first.release()
    first.release()
    assert second.try_take()
    second.release()


def test_home_of_a_killed_server_is_free(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"True\n"
        lease = HomeLease(path)
        assert not lease.try_take()
        assert lease.holder() == holder.pid
        holder.kill()
        holder.wait()
        assert lease.try_take()
        lease.release()


def test_nobody_holds_what_nobody_took(tmp_path):
    assert HomeLease(tmp_path / "lock").holder() is None
