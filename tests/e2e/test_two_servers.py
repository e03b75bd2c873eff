"""Two and three Jupyter servers on one home: one holds it, the others relay and take over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from doctoring import assert_doctor_clean, assert_server_clean
from serving import RunningServer, launch, serve, until, upload

from norman_jupyter import BlockingNorman, Interrupted, Norman
from norman_protocol.decoding import decode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name
from norman_protocol.rest import API_PATH

MODEL = b"""
import os, time

def predict(x: int = 1, gate: str = "") -> int:
    if gate:
        open(gate, "w").close()
        while os.path.exists(gate):
            time.sleep(0.01)
    return x + 1
"""


def with_home(first):
    return [f"--NormanExtension.home={first.home}"]


@contextmanager
def pair(tmp_path):
    with serve(tmp_path / "one") as first, first.client() as client:
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
        with serve(tmp_path / "two", with_home(first)) as second:
            yield first, second


def status(server: RunningServer):
    with server.client() as client:
        return client.get("status").json()


def invoke(client: httpx.Client, **inputs):
    return client.post("invocations", json={"reference": "m", "inputs": inputs})


def executors_of(*servers):
    found = []
    for server in servers:
        if server.process.poll() is None:
            children = psutil.Process(server.process.pid).children()
            found += [child for child in children if "norman_executor" in child.cmdline()]
    return found


def test_the_second_relays_and_says_so(tmp_path, monkeypatch):
    with pair(tmp_path) as (first, second):
        told = status(second)
        assert told["relay"] == {
            "relaying_pid": second.process.pid,
            "holding_pid": first.process.pid,
        }
        assert status(first)["relay"] is None
        assert (second.token, second.record.server_id) == (first.token, first.record.server_id)
        assert second.record.socket_path == first.record.socket_path
        assert len(executors_of(first, second)) == 1
        with second.client() as client:
            assert invoke(client, x=4).json()["outputs"] == {"output": 5}
            version = upload(client, "n", {"model.py": MODEL + b"# n"}, trust=True)
            assert version["reference"] == "n@1"
            assert client.get("models/none").json()["code"] == "model_not_found"
            assert client.get("models", params={"limit": 100_000}).status_code == 400
        with first.client() as client:
            assert client.get("models/n").status_code == 200
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(second.root / "runtime"))
        for transport in ("rest", "local"):
            with BlockingNorman(second.url, second.token, transport=transport) as norman:
                assert norman.invoke("n", x=2).value == 3
    assert_doctor_clean(first.home)


@pytest.mark.parametrize("bases", [("/", "/two/"), ("/one/", "/")])
def test_each_server_answers_under_its_own_base_url(tmp_path, bases):
    one, two = (f"--ServerApp.base_url={base}" for base in bases)
    with serve(tmp_path / "one", [one]) as first, first.client() as client:
        upload(client, "m", {"model.py": MODEL}, trust=True)
        with serve(tmp_path / "two", [*with_home(first), two]) as second:
            assert urlsplit(second.url).path == bases[1]
            with second.client() as other:
                assert invoke(other, x=4).json()["outputs"] == {"output": 5}
                kept = other.post(
                    "invocations",
                    json={"reference": "m", "inputs": {"x": 1}},
                    headers={"Prefer": "respond-async"},
                )
                assert kept.status_code == 202
                place = httpx.URL(second.url).join(kept.headers["location"])
                assert str(place).startswith(second.api_url)
                assert other.get(place).json()["invocation"]["reference"] == "m@1"
                found = other.get("invocations", params={"limit": 1})
                assert [item["reference"] for item in found.json()["items"]] == ["m@1"]
            first.stop(signal.SIGKILL)
            with second.client() as other:
                assert invoke(other, x=5).json()["outputs"] == {"output": 6}


def test_large_uploads_stream_through_and_go_on_where_they_broke_off(tmp_path):
    data = os.urandom(24 << 20)
    digest = hashlib.sha256(data).hexdigest()
    with pair(tmp_path) as (_, second), second.client() as client:
        half = len(data) // 2
        part = {"Upload-Offset": "0", "Upload-Length": str(len(data))}
        answer = client.put(f"blobs/{digest}", content=data[:half], headers=part)
        assert (answer.status_code, answer.json()["offset"]) == (202, half)
        # Refused in the middle of the body: the answer comes all the same.
        part["Upload-Offset"] = "7"
        answer = client.put(f"blobs/{digest}", content=data[7:], headers=part)
        assert (answer.status_code, answer.headers["upload-offset"]) == (416, str(half))
        part["Upload-Offset"] = str(half)
        assert client.put(f"blobs/{digest}", content=data[half:], headers=part).status_code == 201
        assert hashlib.sha256(client.get(f"blobs/{digest}").content).hexdigest() == digest
        assert client.head(f"blobs/{digest}").headers["content-length"] == str(len(data))


def test_nobody_speaks_for_others_without_the_secret(tmp_path):
    with pair(tmp_path) as (first, second):
        secret = json.loads((first.home / "run" / "holder.json").read_text())
        assert (first.home / "run" / "holder.json").stat().st_mode & 0o777 == 0o600
        assert Path(secret["socket_path"]).stat().st_mode & 0o777 == 0o600
        real = secret["identity"]["relay_secret"]
        for server in (first, second):
            for given in ("", "wrong", real[:-1]):
                headers = {"X-Norman-Relay": given, "X-Norman-Relay-User": "root"}
                with server.client(**headers) as client:
                    assert client.get("models").status_code == 403
                answer = httpx.get(f"{server.api_url}models", headers=headers)
                assert answer.status_code == 403
            assert httpx.get(f"{server.api_url}models").status_code in (401, 403)
            bad = {"Authorization": "Bearer wrong"}
            assert httpx.get(f"{server.api_url}models", headers=bad).status_code in (401, 403)
            big = httpx.put(f"{server.api_url}blobs/{'0' * 64}", content=b"x" * 1000)
            assert big.status_code in (401, 403)
        # A forged user beside a right token counts for nothing: such headers never go through.
        with second.client(**{"X-Norman-Relay-User": "mallory"}) as client:
            answer = invoke(client, x=1)
            record = client.get(f"invocations/{answer.json()['id']}").json()
            assert record["invocation"]["caller"]["user"] != "mallory"
        # Jupyter's own token of the second opens the second, and isn't told to the first.
        jupyter = {"Authorization": f"token {second.jupyter_token}"}
        assert httpx.get(f"{second.api_url}models", headers=jupyter).status_code == 200
        assert httpx.get(f"{first.api_url}models", headers=jupyter).status_code in (401, 403)


def test_a_cookie_counts_as_at_the_server_that_gave_it(tmp_path):
    with pair(tmp_path) as (first, second):
        origin = {"Origin": second.url.rstrip("/")}
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            browser.get(f"{second.url}login", params={"token": second.jupyter_token})
            question = {"digests": []}
            missing = f"{second.api_url}blobs/missing"
            refused = browser.post(missing, json=question, headers=origin)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
            xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
            assert browser.post(missing, json=question, headers=origin | xsrf).status_code == 200
            answer = browser.get(f"{first.api_url}models")
            assert answer.status_code in (401, 403)


def test_a_caller_that_leaves_the_relay_ends_the_call(tmp_path):
    gate = tmp_path / "gate"
    with pair(tmp_path) as (first, second), first.client() as client:
        address = urlsplit(second.url)
        body = json.dumps({"reference": "m", "inputs": {"gate": str(gate)}}).encode()
        head = (
            f"POST /{API_PATH}/invocations HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {second.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head.encode() + body)
            until(gate.exists)
        ended = until(
            lambda: [
                item
                for item in client.get("invocations").json()["items"]
                if item["state"] not in ("queued", "running")
            ]
        )
        assert [item["state"] for item in ended] == ["cancelled"]
        with second.client() as other:
            assert invoke(other, x=1).json()["outputs"] == {"output": 2}


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_an_upload_through_the_relay_goes_on_with_the_next_holder(tmp_path, monkeypatch, way):
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "model.py").write_bytes(MODEL)
    (folder / "weights.bin").write_bytes(os.urandom(96 << 20))
    with pair(tmp_path) as (first, second):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(second.root / "runtime"))
        killed = threading.Event()

        def kill(progress) -> None:
            if progress.stage == "sending" and progress.done_bytes and not killed.is_set():
                killed.set()
                first.stop(signal.SIGKILL)

        settings = {"name": "big", "trust": True, "on_progress": kill}
        if way == "blocking":
            with BlockingNorman(second.url, second.token, transport="rest") as norman:
                version = norman.upload(folder, **settings)
        else:

            async def send():
                async with Norman(second.url, second.token, transport="rest") as norman:
                    return await norman.upload(folder, **settings)

            version = asyncio.run(send())
        assert killed.is_set()
        assert (version.reference, version.state) == ("big@1", "ready")
        digest = hashlib.sha256((folder / "weights.bin").read_bytes()).hexdigest()
        with second.client() as client:
            assert hashlib.sha256(client.get(f"blobs/{digest}").content).hexdigest() == digest
            assert_server_clean(client)
    assert_doctor_clean(first.home)


def test_a_server_that_starts_during_a_takeover_joins_in(tmp_path):
    with (
        pair(tmp_path) as (first, second),
        launch(tmp_path / "three", with_home(first)) as (process, _),
    ):
        # As soon as it lives, long before it serves.
        first.stop(signal.SIGKILL)
        path = tmp_path / "three" / "runtime" / discovery_file_name(process.pid)
        record = decode(DiscoveryRecord, json.loads(until(lambda: read_text(path))))
        headers = {"Authorization": f"Bearer {second.token}"}
        until(lambda: serves(f"{record.url}{API_PATH}/status", headers))
        told = [
            httpx.get(f"{url}{API_PATH}/status", headers=headers, timeout=60.0).json()
            for url in (second.url, record.url)
        ]
        assert [one["server_id"] for one in told] == [first.record.server_id] * 2
        assert sorted(one["relay"] is None for one in told) == [False, True]
        pids = (second.process.pid, process.pid)
        executors = [
            child
            for pid in pids
            for child in psutil.Process(pid).children()
            if "norman_executor" in child.cmdline()
        ]
        assert len(executors) == 1
        body = {"reference": "m", "inputs": {"x": 3}}
        for url in (second.url, record.url):
            answer = httpx.post(
                f"{url}{API_PATH}/invocations", json=body, headers=headers, timeout=60.0
            )
            assert answer.json()["outputs"] == {"output": 4}
        process.terminate()
        process.wait(60)
    assert_doctor_clean(first.home)


def read_text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def serves(url: str, headers: dict[str, str]) -> bool:
    try:
        return httpx.get(url, headers=headers, timeout=60.0).status_code == 200
    except httpx.TransportError:
        return False


def test_a_client_with_a_given_url_and_token_follows_a_restart(tmp_path, monkeypatch):
    """The same port, another token: the record at that place has it."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "one" / "runtime"))
    with serve(tmp_path / "one") as first, first.client() as client:
        upload(client, "m", {"model.py": MODEL}, trust=True)
        with (
            BlockingNorman(first.url, first.token, transport="rest") as rest,
            BlockingNorman(first.url, first.token, transport="local") as local,
            BlockingNorman(first.url, first.token) as either,
        ):
            norman = (rest, local, either)
            assert [one.invoke("m", x=1).value for one in norman] == [2, 2, 2]
            first.stop(signal.SIGKILL)
            port = f"--ServerApp.port={urlsplit(first.url).port}"
            with serve(tmp_path / "one", [port]) as again:
                assert again.url == first.url
                assert again.token != first.token
                assert [one.invoke("m", x=2).value for one in norman] == [3, 3, 3]
                assert rest.status().server_id == again.record.server_id


class Caller(threading.Thread):
    """Calls again and again; counts what went well and keeps what failed."""

    def __init__(self, server: RunningServer, transport: str, over: threading.Event) -> None:
        super().__init__()
        self.server, self.transport, self.over = server, transport, over
        self.done = 0
        self.failed_in_a_row = 0
        self.failures: list[BaseException] = []
        self.start()

    def run(self) -> None:
        if self.transport == "asyncio":
            asyncio.run(self._call_awaiting())
        elif self.transport == "listing":
            self._list()
        else:
            with BlockingNorman(
                self.server.url, self.server.token, transport=self.transport
            ) as norman:
                while not self._is_over():
                    self._note(lambda: norman.invoke("m", x=self.done).value)

    def _list(self) -> None:
        with BlockingNorman(self.server.url, self.server.token, transport="rest") as norman:
            while not self._is_over():
                self._note(lambda: self.done + len(norman.models().items))

    async def _call_awaiting(self) -> None:
        async with Norman(self.server.url, self.server.token) as norman:
            while not self._is_over():
                try:
                    value = (await norman.invoke("m", x=self.done)).value
                except Exception as error:
                    self._fail(error)
                else:
                    self._succeed(value)

    def _note(self, call) -> None:
        try:
            self._succeed(call())
        except Exception as error:
            self._fail(error)

    def _succeed(self, value: int) -> None:
        assert value == self.done + 1
        self.done += 1
        self.failed_in_a_row = 0

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed_in_a_row += 1

    def _is_over(self) -> bool:
        return self.over.is_set() or self.failed_in_a_row > 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_holder_ends_no_call_fails_twice(tmp_path, monkeypatch, how):
    with pair(tmp_path) as (first, second):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(second.root / "runtime"))
        with first.client() as client:
            upload(client, "m", {"model.py": MODEL + b"# two"}, trust=True)
            client.put("models/m/aliases/production", json={"version": 1})
        over = threading.Event()
        callers = [
            Caller(second, transport, over) for transport in ("rest", "auto", "asyncio", "listing")
        ]

        def all_did(counts):
            return all(
                caller.done >= count or caller.failed_in_a_row > 1
                for caller, count in zip(callers, counts, strict=True)
            )

        until(all_did, [3] * len(callers))
        first.stop(how)
        until(all_did, [caller.done + 3 for caller in callers])
        over.set()
        for caller in callers:
            caller.join(60)
        for caller in callers:
            others = [error for error in caller.failures if not isinstance(error, Interrupted)]
            assert (caller.transport, others) == (caller.transport, [])
            assert len(caller.failures) <= 1
        assert not callers[-1].failures  # to ask twice does no harm
        told = status(second)
        assert told["relay"] is None
        assert told["server_id"] == first.record.server_id
        assert len(executors_of(second)) == 1
        with second.client() as client:
            numbers = [item["number"] for item in client.get("models/m/versions").json()["items"]]
            assert numbers == [2, 1]
            assert client.get("models/m/versions/production").json()["number"] == 1
            assert_server_clean(client)
    assert_doctor_clean(first.home)


def test_of_three_exactly_one_takes_over_and_the_other_relays_to_it(tmp_path):
    with pair(tmp_path) as (first, second), serve(tmp_path / "three", with_home(first)) as third:
        first.stop(signal.SIGKILL)
        told = [status(server) for server in (second, third)]
        relays = [one["relay"] for one in told]
        assert sorted(relay is None for relay in relays) == [False, True]
        assert len(executors_of(second, third)) == 1
        for server in (second, third):
            with server.client() as client:
                assert invoke(client, x=6).json()["outputs"] == {"output": 7}
        holder, other = (second, third) if relays[0] is None else (third, second)
        holder.stop()
        with other.client() as client:
            assert invoke(client, x=7).json()["outputs"] == {"output": 8}
        assert status(other)["relay"] is None
    assert_doctor_clean(first.home)


def test_a_call_that_ran_when_the_holder_was_killed_is_interrupted_once(tmp_path):
    gate = tmp_path / "gate"
    with pair(tmp_path) as (first, second), second.client() as client:
        outcome: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: outcome.append(invoke(client, gate=str(gate))))
        thread.start()
        until(gate.exists)
        first.stop(signal.SIGKILL)
        thread.join(60)
        gate.unlink()
        assert outcome[0].json()["code"] == "interrupted"
        with second.client() as other:
            assert invoke(other, x=1).json()["outputs"] == {"output": 2}
            (record,) = [
                item
                for item in other.get("invocations").json()["items"]
                if item["state"] == "interrupted"
            ]
            assert record["reference"] == "m@1"


def test_a_kernel_of_a_server_that_is_gone_finds_another_on_the_same_home(tmp_path, monkeypatch):
    """What the environment and the runtime folder say, as in a kernel."""
    runtime = tmp_path / "one" / "runtime"
    with serve(tmp_path / "one") as first, first.client() as client:
        upload(client, "m", {"model.py": MODEL}, trust=True)
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
        for name in ("NORMAN_URL", "NORMAN_TOKEN", "JUPYTER_SERVER_URL"):
            monkeypatch.delenv(name, raising=False)
        with BlockingNorman() as norman:
            assert norman.invoke("m", x=1).value == 2
            # Another Jupyter of this user: the same runtime folder, the same home.
            with serve(tmp_path / "one") as second:
                first.stop(signal.SIGKILL)
                assert norman.models().items[0].name == "m"
                assert norman.invoke("m", x=3).value == 4
                assert Path(second.record.socket_path or "").exists()
