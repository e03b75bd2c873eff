"""Whatever is killed: one clear failure, recorded, the service back by itself, nothing left."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from serving import serve, until, upload

# Calls tell that they run by making the file, and go on once it is gone: no test has to sleep.
MODEL = b"""
import os, time

def predict(gate: str = "") -> int:
    if gate:
        with open(gate, "w"):
            pass
        while os.path.exists(gate):
            time.sleep(0.01)
    return os.getpid()
"""
CUT_OFF = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ConnectError)
_HANG_GUARD_S = 30.0


def call(client, reference, **inputs):
    return client.post("invocations", json={"reference": reference, "inputs": inputs})


def worker_pid(client, reference):
    (pid,) = call(client, reference).json()["outputs"].values()
    return pid


@contextmanager
def running_call(client, reference, gate: Path):
    """A call in the middle of its model; gives the future of its answer."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(call, client, reference, gate=str(gate))
        until(gate.exists)
        try:
            yield future
        finally:
            gate.unlink(missing_ok=True)


def gone(*pids):
    return all(
        not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        for pid in pids
    )


def sockets(server):
    """Those of a server: in its home, or elsewhere where that path is too long."""
    folders = {server.home / "run", Path(server.record.socket_path).parent}
    found = [path for folder in folders for path in folder.iterdir()]
    return {path.name for path in found if stat.S_ISSOCK(path.lstat().st_mode)}


def assert_only_live_leftovers(server):
    """In the run folder stand the socket and the scratch folders of the live executor alone."""
    executor = psutil.Process(server.wait_executor())
    run = server.home / "run"

    def only_live():
        scratch = {Path(worker.cwd()) for worker in executor.children()}
        return set(run.glob("replica-*")) == scratch

    until(only_live)
    assert sockets(server) == {"live.sock", "server.sock", "transfer.sock"}
    assert len(list(run.glob("worker-*.pyz"))) == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose processes are killed, and that is expected to come through it."""
    with serve(tmp_path_factory.mktemp("kills")) as server:
        yield server


@pytest.fixture
def client(server):
    server.wait_executor()
    with server.client() as client:
        version = upload(client, "gate", {"model.py": MODEL}, trust=True)
        assert version["state"] == "ready", version["error"]
        yield client


def test_killed_executor_interrupts_one_call_and_comes_back(server, client, tmp_path):
    executor = server.wait_executor()
    restarts = client.get("status").json()["executor"]["restarts"]
    worker = worker_pid(client, "gate")
    with running_call(client, "gate", tmp_path / "gate") as future:
        os.kill(executor, signal.SIGKILL)
        answer = future.result(_HANG_GUARD_S)
    assert answer.status_code == 502
    assert answer.json()["code"] == "interrupted"
    interrupted = answer.json()["details"]["invocation_id"]
    # At once: the relay waits for the new executor, and that one knows the versions already.
    answer = call(client, "gate")
    assert answer.status_code == 200, answer.text
    assert server.wait_executor(other_than=executor) != executor
    until(gone, worker, executor)
    assert_only_live_leftovers(server)
    items = client.get("invocations", params={"limit": 3}).json()["items"]
    states = [item["state"] for item in items]
    assert states == ["succeeded", "interrupted", "succeeded"]
    assert items[1]["id"] == interrupted
    assert client.get("status").json()["executor"]["restarts"] == restarts + 1


def test_killed_worker_fails_one_call_and_is_replaced(server, client, tmp_path):
    worker = worker_pid(client, "gate")
    with running_call(client, "gate", tmp_path / "gate") as future:
        os.kill(worker, signal.SIGKILL)
        answer = future.result(_HANG_GUARD_S)
    assert answer.status_code == 502
    error = answer.json()
    assert error["code"] == "replica_died"
    assert "SIGKILL" in error["message"] + error["details"]["exit_status"]
    assert worker_pid(client, "gate") != worker
    until(gone, worker)
    assert_only_live_leftovers(server)
    record = client.get(f"invocations/{error['details']['invocation_id']}").json()
    assert record["invocation"]["state"] == "failed"


def test_caller_who_leaves_takes_the_call_back(server, client, tmp_path):
    gate = tmp_path / "gate"
    host, port = server.url.removeprefix("http://").rstrip("/").split(":")
    body = b'{"reference": "gate", "inputs": {"gate": "%s"}}' % os.fsencode(gate)
    head = (
        f"POST /norman/api/v1/invocations HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(head.encode() + body)
        until(gate.exists)

    def newest():
        item = client.get("invocations", params={"limit": 1}).json()["items"][0]
        return item if item["ended_at"] else None

    assert until(newest)["state"] == "cancelled"
    gate.unlink()
    assert call(client, "gate").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_server_that_ends_leaves_nothing_and_serves_the_same_when_it_is_back(tmp_path, number):
    gate = tmp_path / "gate"
    with serve(tmp_path) as server, server.client() as client:
        assert upload(client, "gate", {"model.py": MODEL}, trust=True)["state"] == "ready"
        executor, worker = server.wait_executor(), worker_pid(client, "gate")
        with ThreadPoolExecutor(1) as threads:
            future = threads.submit(call, client, "gate", gate=str(gate))
            until(gate.exists)
            server.stop(number)
            until(gone, executor, worker)
            cut = future.exception(_HANG_GUARD_S)
        # A server that is killed can't take its own sockets along; the next one replaces them.
        left = {"server.sock", "transfer.sock"} if number == signal.SIGKILL else set()
        assert sockets(server) == left
        assert not list((server.home / "run").glob("replica-*"))
        if number == signal.SIGTERM:
            record = server.root / "runtime" / f"norman-{server.record.server_pid}.json"
            assert not record.exists()
        if cut is None:
            assert future.result().status_code == 502
        else:
            assert isinstance(cut, CUT_OFF), repr(cut)
    with serve(tmp_path) as server, server.client() as client:
        # The file of a server that was killed is cleaned up by the next.
        assert len(list((server.root / "runtime").glob("norman-*.json"))) == 1
        assert client.get("models/gate").json()["model"]["active"] == 1
        items = client.get("invocations").json()["items"]
        assert [item["state"] for item in items] == ["interrupted", "succeeded"]
        gate.unlink(missing_ok=True)
        assert call(client, "gate@1").status_code == 200


def test_loading_that_a_kill_cut_short_is_resumed(tmp_path):
    source = b"""
import os, time
gate = %r
if not os.path.exists(gate + ".open"):
    open(gate, "w").close()
    while not os.path.exists(gate + ".open"):
        time.sleep(0.01)
def predict() -> int:
    return 1
""" % str(tmp_path / "gate")
    with serve(tmp_path) as server, server.client() as client:
        loading = threading.Thread(target=_upload_and_be_cut, args=(client, source))
        loading.start()
        until((tmp_path / "gate").exists)
        server.stop(signal.SIGKILL)
        loading.join(_HANG_GUARD_S)
    (tmp_path / "gate.open").touch()
    with serve(tmp_path) as server, server.client() as client:
        version = client.get("models/slow/versions/1", params={"wait_s": 30}).json()
        assert version["state"] == "ready"
        assert version["active"]
        assert call(client, "slow").status_code == 200


def _upload_and_be_cut(client, source):
    with pytest.raises(CUT_OFF):
        upload(client, "slow", {"model.py": source}, trust=True)
