"""The supervisor, with the real executor and with ones that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from norman_protocol.errors import ExecutorUnavailable, Interrupted, ModelNotFound
from norman_protocol.messages import Caller, Done, ExecutorLimits, Forget
from norman_server.executor.relay import Relay
from norman_server.executor.session import Session
from norman_server.executor.supervisor import (
    EXECUTOR_COMMAND,
    ExecutorSettings,
    Supervisor,
)

_FAKE = str(Path(__file__).with_name("fake_executor.py"))
_HANG_GUARD_S = 30.0


class Observer:
    """Takes what the supervisor tells."""

    def __init__(self) -> None:
        self.started: list[Session] = []
        self.ended: list[str] = []
        self.end_seen = asyncio.Event()

    async def on_started(self, session: Session) -> None:
        self.started.append(session)

    async def on_ended(self, executor_id: str) -> None:
        self.ended.append(executor_id)
        self.end_seen.set()


@pytest.fixture
async def supervise(tmp_path):
    supervisors = []

    def build(command=EXECUTOR_COMMAND, end_timeout_s=10.0):
        for name in ("journal", "run"):
            (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
        observer = Observer()
        settings = ExecutorSettings(
            server_id="server",
            token="kernel-token",
            relay_token="relay-token",
            socket_path=tmp_path / "run" / "executor.sock",
            journal_folder=tmp_path / "journal",
            run_folder=tmp_path / "run",
            log_path=tmp_path / "executor.log",
            limits=ExecutorLimits(),
            command=command,
            end_timeout_s=end_timeout_s,
        )
        supervisor = Supervisor(
            settings, on_started=observer.on_started, on_ended=observer.on_ended
        )
        supervisors.append(supervisor)
        return supervisor, observer, settings

    yield build
    for supervisor in supervisors:
        await supervisor.stop()


def fake(mode: str) -> tuple[str, ...]:
    return (sys.executable, _FAKE, mode)


async def test_executor_serves_and_ends_without_a_trace(supervise):
    supervisor, observer, settings = supervise()
    supervisor.start()
    session = await supervisor.session(_HANG_GUARD_S)
    assert supervisor.state == "ready"
    assert stat.S_IMODE(settings.socket_path.stat().st_mode) == 0o600
    assert await session.request(Forget(id=session.new_id(), name="x"), Done)
    view, report = await supervisor.status()
    assert view.state == "ready"
    assert view.pid == session.process.pid
    assert report is not None
    assert report.executor_id == session.executor_id
    await supervisor.stop()
    assert not psutil.pid_exists(session.process.pid)
    assert observer.ended == [session.executor_id]
    assert not list(settings.run_folder.glob("*.sock*")) + list(settings.run_folder.glob("*.json"))
    with pytest.raises(ExecutorUnavailable, match="stopped"):
        await supervisor.session(0.0)


async def test_killed_executor_is_reported_and_replaced(supervise):
    supervisor, observer, _ = supervise()
    supervisor.start()
    first = await supervisor.session(_HANG_GUARD_S)
    os.kill(first.process.pid, signal.SIGKILL)
    async with asyncio.timeout(_HANG_GUARD_S):
        await observer.end_seen.wait()
    second = await supervisor.session(_HANG_GUARD_S)
    assert second.executor_id != first.executor_id
    assert observer.ended == [first.executor_id]
    assert [session.executor_id for session in observer.started] == [
        first.executor_id,
        second.executor_id,
    ]
    assert (await supervisor.status())[0].restarts == 1
    with pytest.raises((Interrupted, ExecutorUnavailable)):
        await first.request(Forget(id=first.new_id(), name="x"), Done)


async def test_worker_left_by_a_killed_executor_is_ended(supervise):
    supervisor, observer, settings = supervise(fake("leaves-worker"))
    supervisor.start()
    session = await supervisor.session(_HANG_GUARD_S)
    worker = psutil.Process(int((settings.run_folder / "worker.pid").read_text()))
    # Answered after the event, so that the supervisor has seen it.
    await session.request(Forget(id=session.new_id(), name="x"), Done)
    os.kill(session.process.pid, signal.SIGKILL)
    async with asyncio.timeout(_HANG_GUARD_S):
        await observer.end_seen.wait()
    await asyncio.to_thread(psutil.wait_procs, [worker], timeout=_HANG_GUARD_S)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


async def test_executor_that_lingers_is_killed(supervise):
    supervisor, _, _ = supervise(fake("lingers"), end_timeout_s=0.2)
    supervisor.start()
    session = await supervisor.session(_HANG_GUARD_S)
    await supervisor.stop()
    assert session.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("command", [fake("exits"), fake("garbage"), ("/nonexistent/python",)])
async def test_executor_that_never_starts_is_a_clear_error(supervise, command):
    supervisor, observer, _ = supervise(command)
    supervisor.start()
    with pytest.raises(ExecutorUnavailable, match=r"executor is (re)?starting"):
        await supervisor.session(1.0)
    await supervisor.stop()
    assert observer.started == []


async def test_leftovers_of_a_killed_server_are_ended_first(supervise):
    supervisor, _, settings = supervise(fake("leaves-worker"))
    supervisor.start()
    session = await supervisor.session(_HANG_GUARD_S)
    await session.request(Forget(id=session.new_id(), name="x"), Done)
    worker = psutil.Process(int((settings.run_folder / "worker.pid").read_text()))
    successor, _, _ = supervise()
    await successor.recover()  # as if this process had been killed
    await asyncio.to_thread(psutil.wait_procs, [worker], timeout=_HANG_GUARD_S)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


async def test_relay_passes_calls_on_and_bounds_them(supervise):
    supervisor, _, settings = supervise()
    supervisor.start()
    relay = Relay(
        socket_path=str(settings.socket_path),
        token=settings.relay_token,
        call_limit=1,
        body_limit_bytes=1 << 20,
        wait_ready=supervisor.session,
    )
    with pytest.raises(ModelNotFound):
        await relay.invoke("nothing", {}, caller=Caller(user="me"))
    first = await supervisor.session(_HANG_GUARD_S)
    os.kill(first.process.pid, signal.SIGKILL)
    await first.process.wait()
    # The relay finds the successor by itself.
    with pytest.raises((ModelNotFound, Interrupted)):
        await relay.invoke("nothing", {}, caller=Caller(user="me"))
    with pytest.raises(ModelNotFound):
        await relay.invoke("nothing", {}, caller=Caller(user="me"))
    relay.close()
