"""The server or the executor is killed with fifty calls in it: each ends exactly once."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from doctoring import assert_doctor_clean, assert_server_clean
from serving import serve, until, upload

from norman_jupyter import BlockingNorman
from norman_protocol.errors import NormanError

pytestmark = pytest.mark.timeout(180)

LOCAL, REST, KEPT = 20, 20, 10
MODEL = b"""
import os, time

def predict(x: int, gate: str) -> int:
    while os.path.exists(gate):
        time.sleep(0.01)
    return x
"""


class Load:
    """Fifty calls that wait at a gate: over the fast path, over REST, and kept ones."""

    def __init__(self, server, gate, threads: ThreadPoolExecutor) -> None:
        self.server, self.gate = server, gate
        gate.touch()
        self.norman = BlockingNorman()
        self.local: list[Future] = [threads.submit(self.call_local, x) for x in range(LOCAL)]
        self.rest: list[Future] = [threads.submit(self.call_rest, x) for x in range(REST)]
        self.kept = [self.keep(x) for x in range(KEPT)]
        self.settle()

    def inputs(self, x: int) -> dict[str, object]:
        return {"x": x, "gate": str(self.gate)}

    def call_local(self, x: int) -> int:
        return self.norman.invoke("m", self.inputs(x)).value

    def call_rest(self, x: int) -> httpx.Response:
        with self.server.client() as client:
            return client.post("invocations", json={"reference": "m", "inputs": self.inputs(x)})

    def keep(self, x: int) -> str:
        with self.server.client(Prefer="respond-async") as client:
            answer = client.post("invocations", json={"reference": "m", "inputs": self.inputs(x)})
        assert answer.status_code == 202
        return answer.json()["id"]

    def settle(self) -> None:
        """Wait until all of them are in the executor or in the database."""
        with self.server.client() as client:

            def all_in() -> bool:
                items = client.get("invocations", params={"limit": 200}).json()["items"]
                return len(items) == LOCAL + REST + KEPT

            until(all_in)

    def outcomes(self) -> list[object]:
        """Return what each caller that waited was told: a value, an error, or an HTTP answer.

        The client is closed: it isn't asked again.
        """
        found: list[object] = []
        with self.norman:
            for future in [*self.local, *self.rest]:
                try:
                    found.append(future.result(60))
                except (NormanError, httpx.TransportError) as error:
                    found.append(error)
        return found


def ended_calls(client: httpx.Client) -> list[dict]:
    def all_ended():
        items = client.get("invocations", params={"limit": 200}).json()["items"]
        return items if all(item["ended_at"] for item in items) else None

    return until(all_ended)


def told(outcome: object) -> str:
    if isinstance(outcome, httpx.Response):
        return outcome.json().get("code", "answered")
    return getattr(outcome, "code", type(outcome).__name__)


def test_killed_server_with_fifty_calls(tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    with ThreadPoolExecutor(LOCAL + REST) as threads:
        with serve(tmp_path) as server, server.client() as client:
            assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
            load = Load(server, gate, threads)
            server.stop(signal.SIGKILL)
            outcomes = load.outcomes()
        assert len(outcomes) == LOCAL + REST
        assert all(isinstance(one, (NormanError, httpx.TransportError)) for one in outcomes)
        gate.unlink()
        with serve(tmp_path) as server, server.client() as client:
            items = ended_calls(client)
            ids = [item["id"] for item in items]
            assert len(set(ids)) == len(ids) == LOCAL + REST + KEPT
            states = {item["id"]: item["state"] for item in items}
            waited = [state for id_, state in states.items() if id_ not in load.kept]
            assert set(waited) == {"interrupted"}
            # What was acknowledged is not lost: it ran afterwards, or says that it was cut off.
            assert {states[id_] for id_ in load.kept} <= {"succeeded", "interrupted"}
            again = client.post(
                "invocations", json={"reference": "m", "inputs": load.inputs(5)}
            ).json()
            assert again["outputs"] == {"output": 5}
            assert_server_clean(client)
    assert_doctor_clean(server.home)


def test_killed_executor_with_fifty_calls(tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    with (
        ThreadPoolExecutor(LOCAL + REST) as threads,
        serve(tmp_path) as server,
        server.client() as client,
    ):
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
        load = Load(server, gate, threads)
        executor = server.wait_executor()
        killed = threading.Event()

        def open_gate() -> None:
            killed.wait(60)
            gate.unlink()

        opener = threading.Thread(target=open_gate)
        opener.start()
        os.kill(executor, signal.SIGKILL)
        killed.set()
        outcomes = load.outcomes()
        opener.join()
        # Those which were in it are cut off, once; none is lost, none hangs.
        assert {told(one) for one in outcomes} == {"interrupted"}
        server.wait_executor(other_than=executor)
        items = ended_calls(client)
        assert len({item["id"] for item in items}) == len(items) == LOCAL + REST + KEPT
        assert {item["state"] for item in items} <= {"interrupted", "succeeded"}
        answer = client.post("invocations", json={"reference": "m", "inputs": load.inputs(5)})
        assert answer.json()["outputs"] == {"output": 5}
        assert_server_clean(client)
        server.stop()
        assert_doctor_clean(server.home)


def test_numbers_of_uploads_at_once_have_no_gap_and_no_twin_across_a_kill(tmp_path):
    """Thirty-two uploads of one name at once, and the server killed in their midst."""

    def publish(server, text: str) -> int | None:
        try:
            with server.client() as client:
                found = upload(client, "m", {"model.py": MODEL + text.encode()}, trust=True)
        except (httpx.HTTPError, KeyError, AssertionError, ValueError):
            return None
        return found["number"]

    with ThreadPoolExecutor(32) as threads:
        with serve(tmp_path) as server:
            first = [threads.submit(publish, server, f"# a{x}") for x in range(16)]
            until(lambda: sum(one.done() for one in first) >= 4)
            server.stop(signal.SIGKILL)
            for one in first:
                one.result(60)
        with serve(tmp_path) as server, server.client() as client:
            texts = [f"# a{x}" for x in range(16)] + [f"# b{x}" for x in range(16)]
            done = [threads.submit(publish, server, text) for text in texts]
            numbers = [one.result(120) for one in done]
            assert sorted(number or 0 for number in numbers) == list(range(1, 33))
            listed = client.get("models/m/versions", params={"limit": 200}).json()["items"]
            assert sorted(item["number"] for item in listed) == list(range(1, 33))
            known = [(one.result(), numbers[index]) for index, one in enumerate(first)]
            assert all(before in (None, after) for before, after in known)
            assert_server_clean(client)
    assert_doctor_clean(server.home)
