"""Every option of the extension changes what the server does."""

from __future__ import annotations

import base64
import io
import json
import socket
import venv
import wave
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
from PIL import Image
from serving import serve, until, upload
from traitlets import TraitError
from traitlets.config import Config

from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.arrays import object_to_value
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import Failure, Hello, Invoke, decode_message, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE
from norman_server.extension import NormanExtension

_HANG_GUARD_S = 30.0
_PREFIX = "--NormanExtension."
OPTIONS = {
    "queue_limit": "1",
    "connection_limit": "3",
    "rest_call_limit": "3",
    "default_timeout_s": "0.5",
    "max_timeout_s": "40",
    "load_timeout_s": "1.5",
    "replica_idle_timeout_s": "0.5",
    "cancel_grace_s": "0.1",
    "capture_limit_bytes": "64",
    "log_limit_bytes": "100",
    "codec_workers": "1",
    "media_pixels": "1000",
    "media_seconds": "0.5",
    "media_decoded_bytes": "20000",
    "body_limit_bytes": "50000",
    "rest_body_limit_bytes": "4000",
    "rest_bodies_limit_bytes": "6000",
    "json_body_limit_bytes": "3000",
    "blob_limit_bytes": "5000",
    "submission_limit": "2",
    "submission_limit_bytes": "3000",
    "idempotency_retention_s": "1",
}
AGES = {
    "payload_retention_s": "0.5",
    "invocation_retention_s": "3",
    "log_retention_s": "0.5",
    "retention_interval_s": "0.1",
}
SIZES = {
    "invocations_limit_bytes": "1000000",
    "log_file_limit_bytes": "1000",
    "retention_interval_s": "0.1",
}
SCRUBBING = {
    "scrub_interval_s": "0.1",
    "scrub_bytes_per_s": "1000000",
    "abandoned_upload_s": "0.5",
}
CLEANING = {"gc_interval_s": "0.1", "gc_grace_s": "0"}
BACKUPS = {"backup_interval_s": "0.1", "backup_count": "2"}
MODEL = b"""
import os, sys, time

def predict(text: str = "", gate: str = "", lines: int = 0) -> str:
    for number in range(lines):
        print("line", number)
    if gate:
        open(gate, "w").close()
        while os.path.exists(gate):
            time.sleep(0.01)
    return text or f"{os.getpid()} {sys.prefix}"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, environment):
    options = [f"{_PREFIX}{name}={value}" for name, value in OPTIONS.items()]
    options.append(f"{_PREFIX}allowed_interpreters={environment}/bin/python")
    root = tmp_path_factory.mktemp("options")
    options.append(f"{_PREFIX}home={root}/elsewhere")
    # JupyterLab listens to events over a web socket; here they go to a file.
    (root / "config").mkdir()
    (root / "config" / "jupyter_server_config.py").write_text(
        f"import logging\nc.EventLogger.handlers = [logging.FileHandler('{root}/events.log')]\n"
    )
    with serve(root, options) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        version = upload(client, "m", {"model.py": MODEL}, trust=True)
        assert version["state"] == "ready", version["error"]
        yield client


def call(client, model="m", timeout_s=30, **inputs):
    return client.post(
        "invocations", json={"reference": model, "inputs": inputs, "timeout_s": timeout_s}
    )


def test_every_option_is_tried_here():
    own = NormanExtension.class_own_traits(config=True)
    tried = {
        *OPTIONS,
        *AGES,
        *SIZES,
        *SCRUBBING,
        *CLEANING,
        *BACKUPS,
        "allowed_interpreters",
        "home",
    }
    assert tried == set(own)
    assert all(trait.help for trait in own.values())


def test_queue_and_call_limits(client, tmp_path):
    gates = [tmp_path / "first", tmp_path / "second"]
    with ThreadPoolExecutor(3) as threads:
        running = threads.submit(call, client, gate=str(gates[0]))
        until(gates[0].exists)
        queued = threads.submit(call, client, gate=str(gates[1]))
        until(lambda: client.get("status").json()["executor"]["deployments"][0]["queued"] == 1)
        # One runs, one waits: no more may wait.
        refused = call(client)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert "wait already" in refused.json()["message"]
        assert refused.headers["retry-after"] == "1"
        other = tmp_path / "other"
        upload(client, "other", {"model.py": MODEL + b"# other"}, trust=True)
        third = threads.submit(call, client, "other", gate=str(other))
        until(other.exists)
        # Three are in flight over REST: not one more, of whatever model.
        refused = call(client, "other")
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert "over REST" in refused.json()["message"]
        other.unlink()
        gates[0].unlink()
        until(gates[1].exists)
        gates[1].unlink()
        for future in (running, queued, third):
            assert future.result(_HANG_GUARD_S).status_code == 200


def test_default_timeout(client, tmp_path):
    answer = call(client, timeout_s=None, gate=str(tmp_path / "gate"))
    assert answer.status_code == 504
    assert answer.json()["code"] == "timed_out"
    assert answer.json()["details"]["timeout_s"] == 0.5
    (tmp_path / "gate").unlink()


def test_max_timeout(client):
    assert call(client, timeout_s=40).status_code == 200
    answer = call(client, timeout_s=41)
    assert answer.status_code == 400
    assert "40" in answer.json()["message"]


def test_load_timeout(client):
    source = b"import signal\nsignal.pause()\ndef predict() -> int: return 1"
    version = upload(client, "endless", {"model.py": source}, trust=True)
    assert version["state"] == "failed"
    assert "1.5" in version["error"]["message"]


def test_idle_worker_is_ended_and_comes_back(client):
    def worker():
        found = client.get("status").json()["executor"]["deployments"]
        return {item["reference"]: item["pid"] for item in found}["m@1"]

    assert call(client).status_code == 200
    until(lambda: worker() is None)
    assert call(client).status_code == 200
    assert worker() is not None


def test_cancelled_call_costs_its_worker_after_the_grace(server, client, tmp_path):
    gate = tmp_path / "gate"
    with connect(server) as stream:
        values = {"gate": object_to_value(str(gate))}
        message = Invoke(id="1", reference="m", timeout_s=40, values=values)
        stream.sendall(b"".join(encode_message(message)))
        until(gate.exists)
    # The gate is never opened: only another worker can answer.
    assert call(client, timeout_s=30).status_code == 200
    gate.unlink()


def test_capture_limit(client):
    small, large = call(client, text="a" * 30).json(), call(client, text="a" * 80).json()
    kept = client.get(f"invocations/{small['id']}").json()
    assert kept["inputs"] == {"text": "a" * 30}
    assert kept["outputs"] == small["outputs"]
    dropped = client.get(f"invocations/{large['id']}").json()
    assert dropped["inputs"] is None
    assert dropped["outputs"] is None
    assert dropped["invocation"]["input_bytes"] > 64


def test_log_limit(client):
    logs = call(client, lines=1000).json()["logs"]
    assert "line" in logs
    assert len(logs) < 500


def test_limits_of_media(server, client):
    files = {
        "model.py": b"def predict(image, sound=None) -> int:\n    return image.size\n",
    }
    inputs = [
        {"title": "image", "encoding": "png", "layout": {"channels": "RGB", "dtype": "float64"}},
        {"title": "sound", "encoding": "wav", "layout": {"dtype": "int16"}},
    ]
    version = upload(client, "sees", files, trust=True, declaration={"inputs": inputs})
    assert version["state"] == "ready", version["error"]

    def see(width, height, **others):
        buffer = io.BytesIO()
        Image.new("RGB", (width, height)).save(buffer, "PNG")
        image = {"base64": base64.b64encode(buffer.getvalue()).decode()}
        return call(client, "sees", image=image, **others).json()

    def beep(samples):
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(1000)
            file.writeframes(bytes(2 * samples))
        return {"base64": base64.b64encode(buffer.getvalue()).decode()}

    assert [see(20, 20)["outputs"]["output"] for _ in range(2)] == [1200, 1200]
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert sum("norman_codec" in child.cmdline() for child in children) == 1
    assert "pixels" in see(40, 40)["message"]
    assert "image" in see(32, 31)["message"]  # 992 pixels, and 23,808 bytes as float64
    assert see(20, 20, sound=beep(400))["outputs"]["output"] == 1200
    assert "sound" in see(20, 20, sound=beep(600))["message"]


def test_body_limit_of_the_data_socket(server, client):
    def say(text):
        with connect(server) as stream:
            values = {"text": object_to_value(text)}
            stream.sendall(b"".join(encode_message(Invoke(id="1", reference="m", values=values))))
            return receive(stream)

    assert not isinstance(say("a" * 40_000), Failure)
    refused = say("a" * 60_000)
    assert isinstance(refused, Failure)
    assert refused.code == "payload_too_large"


def test_connection_limit(server, client):
    assert call(client).status_code == 200  # the relay's own connection is one
    with connect(server), connect(server):
        refused = connect(server, expect_welcome=False)
        refused.close()
        assert client.get("status").json()["executor"]["connections"] == 3
    until(lambda: client.get("status").json()["executor"]["connections"] == 1)
    connect(server).close()


def connect(server, *, expect_welcome=True):
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(_HANG_GUARD_S)
    stream.connect(server.record.socket_path)
    oldest, newest = PROTOCOL_VERSIONS
    hello = Hello(oldest_protocol=oldest, newest_protocol=newest, token=server.token)
    try:
        stream.sendall(b"".join(encode_message(hello)))
    except BrokenPipeError:
        assert not expect_welcome
        return stream
    answer = receive(stream)
    assert (answer.TYPE == "welcome") is expect_welcome
    if not expect_welcome:
        assert answer.code == "queue_full"
    return stream


def receive(stream):
    decoder = FrameDecoder()
    while True:
        data = stream.recv(1 << 16)
        assert data, "the connection was closed without an answer"
        for frame in decoder.feed(data):
            return decode_message(frame)


def test_body_limits_of_rest(client):
    assert call(client, text="a" * 3500).status_code == 200
    too_large = call(client, text="a" * 5000)
    assert too_large.status_code == 413
    assert too_large.json()["details"]["limit_bytes"] == 4000
    invoke = Invoke(id="1", reference="m", values={"text": object_to_value("a" * 5000)})
    answer = client.post(
        "invocations",
        content=b"".join(encode_message(invoke)),
        headers={"Content-Type": FRAME_MEDIA_TYPE},
    )
    assert answer.status_code == 413
    digests = ["0" * 64] * 60
    answer = client.post("blobs/missing", json={"digests": digests})
    assert answer.status_code == 413
    assert answer.json()["details"]["limit_bytes"] == 3000
    data = b"a" * 5001
    for content in (data, iter([data])):  # announced, and in chunks of unknown length
        answer = client.put(f"blobs/{sha256(data).hexdigest()}", content=content)
        assert answer.status_code == 413, answer.text
        assert answer.json()["code"] == "payload_too_large"
    missing = client.post("blobs/missing", json={"digests": [sha256(data).hexdigest()]})
    assert missing.json()["missing"] == [sha256(data).hexdigest()]


def test_memory_for_bodies(server, client):
    host, port = server.url.removeprefix("http://").rstrip("/").split(":")
    head = (
        f"POST /norman/api/v1/invocations HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 3900\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=_HANG_GUARD_S) as stream:
        stream.sendall(head.encode())
        assert b"100" in stream.recv(100)  # its memory is reserved
        refused = call(client, text="a" * 3000)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert "memory" in refused.json()["message"]
        assert call(client, text="a" * 1000).status_code == 200
    until(lambda: call(client, text="a" * 3000).status_code == 200)


def test_allowed_interpreter_runs_the_version(client, environment):
    origin = {"interpreter": f"{environment}/bin/python"}
    source = MODEL + b"# elsewhere"
    version = upload(client, "elsewhere", {"model.py": source}, trust=True, origin=origin)
    assert version["state"] == "ready", version["error"]
    assert version["interpreter"] == origin["interpreter"]
    (output,) = call(client, "elsewhere").json()["outputs"].values()
    assert output.endswith(str(environment))


def test_home(server, client):
    assert (server.root / "elsewhere" / "norman.db").exists()
    assert not server.home.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("home", "relative/path"),
        ("allowed_interpreters", ["python"]),
        ("queue_limit", 0),
        ("rest_call_limit", -1),
        ("default_timeout_s", 0.0),
        ("load_timeout_s", "soon"),
        ("blob_limit_bytes", 0),
        ("capture_limit_bytes", -1),
    ],
)
def test_option_out_of_bounds_is_refused(name, value):
    with pytest.raises(TraitError):
        NormanExtension(config=Config({"NormanExtension": {name: value}}))


def test_home_is_spelt_out():
    extension = NormanExtension(config=Config({"NormanExtension": {"home": "~/models"}}))
    assert extension.home == str(Path.home() / "models")


def test_changes_are_told_as_events_without_a_name(server, client):
    def revisions():
        events = [json.loads(line) for line in log.read_text().splitlines()]
        return [event["revision"] for event in events if "norman" in event["__schema__"]]

    log = server.root / "events.log"
    before = revisions()
    upload(client, "secret-name", {"model.py": MODEL + b"# secret"}, trust=True)
    first = len(before) + 1
    assert revisions() == [*before, first, first + 1]  # it is loading, it is ready
    assert "secret-name" not in log.read_text()


def keep(client, key=None, **inputs):
    headers = {"Prefer": "respond-async"} | ({"Idempotency-Key": key} if key else {})
    return client.post("invocations", json={"reference": "m", "inputs": inputs}, headers=headers)


def test_limits_of_calls_that_are_kept(client, tmp_path):
    gates = [tmp_path / "first", tmp_path / "second"]
    kept = [keep(client, gate=str(gate)) for gate in gates]
    assert [answer.status_code for answer in kept] == [202, 202]
    refused = keep(client)
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
    for gate in gates:
        until(gate.exists)
        gate.unlink()
    for answer in kept:
        place = f"invocations/{answer.json()['id']}"
        assert client.get(f"{place}/result", params={"wait_s": 30}).status_code == 200
    too_large = until_taken(client, text="x" * 3000)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "payload_too_large")
    # Above the limit of other calls, and below that of kept ones.
    answer = until_taken(client, text="x" * 2000)
    result = client.get(f"invocations/{answer.json()['id']}/result", params={"wait_s": 30})
    assert result.json()["outputs"] == {"output": "x" * 2000}
    detail = client.get(f"invocations/{answer.json()['id']}").json()
    assert detail["outputs"] == {"output": "x" * 2000}


def until_taken(client, **inputs):
    return until(lambda: answer if (answer := keep(client, **inputs)).status_code != 503 else None)


def test_a_key_expires(client):
    def post():
        headers = {"Idempotency-Key": "expires"}
        return client.post("invocations", json={"reference": "m"}, headers=headers).json()["id"]

    first = post()
    until(lambda: post() != first)


@pytest.fixture
def serve_with(tmp_path):
    def start(options):
        return serve(tmp_path, [f"{_PREFIX}{name}={value}" for name, value in options.items()])

    return start


def test_what_is_old_is_forgotten(serve_with):
    with serve_with(AGES) as server, server.client() as client:
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
        place = f"invocations/{call(client, text='x', lines=3).json()['id']}"
        assert client.get(place).json()["outputs"] == {"output": "x"}
        until(lambda: client.get(place).json().get("outputs", "gone") is None)
        assert client.get(place).json()["invocation"]["state"] == "succeeded"
        until(lambda: client.get(place).status_code == 404)
        until(lambda: client.get("models/m/versions/1/logs").json()["text"] == "")


def test_what_is_too_much_is_forgotten_oldest_first(serve_with):
    with serve_with(SIZES) as server, server.client() as client:
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
        text = "x" * 200_000
        ids = [call(client, text=text).json()["id"] for _ in range(8)]
        until(lambda: client.get(f"invocations/{ids[0]}").json()["outputs"] is None)
        newest = client.get(f"invocations/{ids[-1]}").json()
        assert newest["outputs"] == {"output": text}
        states = {item["state"] for item in client.get("invocations").json()["items"]}
        assert states == {"succeeded"}
        log = next((server.home / "logs").glob("[0-9a-f]*.log"))
        assert call(client, lines=500).status_code == 200
        until(lambda: log.stat().st_size <= 1000)


def test_damage_is_found_and_abandoned_uploads_go(tmp_path):
    options = [f"{_PREFIX}{name}={value}" for name, value in SCRUBBING.items()]
    with serve(tmp_path, options) as server, server.client() as client:
        version = upload(client, "rotten", {"model.py": MODEL}, trust=True)
        begun = {"Upload-Offset": "0", "Upload-Length": "100"}
        assert client.put(f"blobs/{'0' * 64}", content=b"x", headers=begun).status_code == 202
        (entry,) = version["manifest"]["files"]
        digest = entry["digest"]
        path = server.home / "blobs" / "sha256" / digest[:2] / digest
        path.chmod(0o600)
        path.write_bytes(MODEL.swapcase())
        until(lambda: client.get("models/rotten/versions/1").json()["missing_blobs"] == [digest])
        until(lambda: client.get(f"blobs/{'0' * 64}/upload").json()["offset"] == 0)
        assert upload(client, "rotten", {"model.py": MODEL}, trust=True)["missing_blobs"] == []


def test_unneeded_files_go_by_themselves(serve_with):
    with serve_with(CLEANING) as server, server.client() as client:
        digest = sha256(b"needed by nothing").hexdigest()
        assert client.put(f"blobs/{digest}", content=b"needed by nothing").status_code == 201
        until(lambda: client.head(f"blobs/{digest}").status_code == 404)


def test_backups_are_made_by_themselves_and_the_newest_stay(serve_with):
    with serve_with(BACKUPS) as server, server.client() as client:
        seen = set()

        def is_new():
            found = {path.name for path in backups_of(server)} - seen
            seen.update(found)
            return found

        for number in range(4):
            model = {"model.py": MODEL + f"# {number}".encode()}
            upload(client, "m", model, trust=True)
            until(is_new)
        assert len(backups_of(server)) <= 3  # a new one stands a moment before the oldest goes
        assert len(seen) >= 4


def backups_of(server):
    return list((server.home / "backups").glob("norman-*.db"))
