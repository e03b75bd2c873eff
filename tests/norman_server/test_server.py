"""Where the socket goes, and what is said where Norman can't start."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from pathlib import Path

import pytest
from serving import until

from norman_protocol.errors import ExecutorUnavailable, InternalError
from norman_protocol.messages import ExecutorLimits
from norman_server.api.services import ApiLimits
from norman_server.holding import Holder, Identity, Waiting, read_holder, write_holder
from norman_server.lease import HomeLease
from norman_server.server import NormanServer, ServerSettings, socket_path_for

_HANG_GUARD_S = 30.0


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_socket_is_in_the_home_where_its_path_fits():
    assert socket_path_for(Path("/home/me")) == Path("/home/me/run/executor.sock")


def test_socket_of_a_deep_home_is_in_a_private_folder_always_the_same(temporary):
    home = Path("/home") / ("x" * 120)
    path = socket_path_for(home)
    assert path == socket_path_for(home)
    assert path.parent.parent == temporary
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path != socket_path_for(home / "other")


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_folder_that_others_may_have_laid_is_not_trusted(temporary, kind):
    home = Path("/home") / ("x" * 120)
    folder = socket_path_for(home).parent
    folder.rmdir()
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o777)
    elif kind == "link":
        folder.symlink_to(temporary)
    else:
        folder.touch()
    with pytest.raises(InternalError, match="private"):
        socket_path_for(home)


def names(folder):
    return sorted(path.name for path in folder.glob("*"))


class Deaf:
    """A listener that nobody talks to."""

    async def close(self):
        pass


def build(home, runtime, *, listen=None):
    return NormanServer(
        ServerSettings(
            home=home,
            runtime_folder=runtime,
            version="0",
            executor=ExecutorLimits(),
            api=ApiLimits(),
            rest_call_limit=4,
        ),
        kernel_programs=list,
        url=lambda: "http://127.0.0.1:1/",
        announce=lambda change: None,
        listen=listen,
    )


async def started(server):
    server.start()
    async with asyncio.timeout(_HANG_GUARD_S):
        await server.wait_started()


async def test_server_starts_and_stops_without_a_trace(tmp_path):
    server = build(tmp_path / "home", tmp_path / "runtime")
    await started(server)
    await server.slot.services.supervisor.session(_HANG_GUARD_S)
    pid = server.slot.services.supervisor.pid
    assert names(tmp_path / "runtime") == [f"norman-{os.getpid()}.json"]
    await server.stop()
    assert names(tmp_path / "runtime") == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ExecutorUnavailable, match="stopping"):
        _ = server.slot.services
    await server.stop()


@pytest.mark.parametrize("obstacle", ["file", "database"])
async def test_home_that_cannot_be_used_is_said_to_callers(tmp_path, obstacle):
    home = tmp_path / "home"
    if obstacle == "file":
        home.write_text("a file where the folder should be")
    else:
        home.mkdir()
        (home / "norman.db").write_bytes(b"no database, by any means" * 1000)
    server = build(home, tmp_path / "runtime")
    await started(server)
    with pytest.raises(ExecutorUnavailable, match=r"can't start: .+"):
        _ = server.slot.services
    await server.stop()
    # The home is free for one who can use it.
    assert not (tmp_path / "runtime" / f"norman-{os.getpid()}.json").exists()


async def test_server_that_is_stopped_while_it_starts_leaves_nothing(tmp_path):
    server = build(tmp_path / "home", tmp_path / "runtime")
    server.start()
    await asyncio.sleep(0)
    await server.stop()
    assert names(tmp_path / "runtime") == []
    again = build(tmp_path / "home", tmp_path / "runtime")
    await started(again)
    assert again.slot.services
    await again.stop()


def before(home, *, pid=1):
    """Leave what a server that was killed had said of itself."""
    (home / "run").mkdir(parents=True)
    holder = Holder(
        identity=Identity.new(),
        pid=pid,
        url="http://127.0.0.1:1/",
        socket_path="/nowhere/server.sock",
        base_path="/",
        data_path="/nowhere/executor.sock",
        transfer_path="/nowhere/transfer.sock",
    )
    write_holder(home / "run" / "holder.json", holder)
    return holder.identity


@pytest.mark.parametrize("awaited", [True, False])
async def test_what_kernels_know_stays_only_while_servers_wait(tmp_path, awaited):
    home = tmp_path / "home"
    known = before(home)
    others = Waiting(home / "run" / "waiting.lock")
    if awaited:
        others.join()
    server = build(home, tmp_path / "runtime", listen=lambda path: Deaf())
    await started(server)
    holder = read_holder(home / "run" / "holder.json")
    assert holder.pid == os.getpid()
    assert (holder.identity == known) is awaited
    assert (server.slot.token == known.token.encode()) is awaited
    await server.stop()
    # Whoever waits still has to learn it; nobody else may.
    assert (home / "run" / "holder.json").exists() is awaited
    others.leave()


async def test_who_comes_while_a_takeover_fails_keeps_what_the_others_know(tmp_path):
    """The one that took over ended before it said so, and the last to come takes its place."""
    home = tmp_path / "home"
    known = before(home)
    others = Waiting(home / "run" / "waiting.lock")
    others.join()
    taking = HomeLease(home / "server.lock")
    assert taking.try_take()
    server = build(home, tmp_path / "runtime", listen=lambda path: Deaf())
    await started(server)
    with pytest.raises(ExecutorUnavailable, match="Another Jupyter server"):
        _ = server.slot.services
    taking.release()
    path = home / "run" / "holder.json"
    await asyncio.to_thread(until, lambda: read_holder(path).pid == os.getpid())
    assert read_holder(path).identity == known
    await server.stop()
    others.leave()


async def test_holder_of_an_earlier_start_with_the_same_process_id_is_forgotten(tmp_path):
    """As in a container, whose processes have the same ids each time."""
    home = tmp_path / "home"
    before(home, pid=os.getpid())
    server = build(home, tmp_path / "runtime")  # it never says how to relay to it
    await started(server)
    assert not (home / "run" / "holder.json").exists()
    await server.stop()
