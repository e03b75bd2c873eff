"""What the API says to requests that are wrong, and to some that are right."""

from __future__ import annotations

import json
import socket
from hashlib import sha256

import numpy as np
import pytest
from serving import until, upload

from norman_protocol.arrays import array_to_value, value_to_array
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Forget, Invoke, Result, decode_message, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE

MODEL = b'''
import logging, os, signal, time

import numpy as np

def predict(x: np.ndarray, factor: float = 2.0, mode: str = "scale") -> np.ndarray:
    """Scale, or do what a bad model does."""
    print("scaling", x.shape)
    if mode == "raise":
        raise ValueError("the model's own fault")
    if mode == "exit":
        os._exit(7)
    if mode == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "object":
        return object()
    if mode == "nan":
        return np.array([np.nan, np.inf, 1.0])
    return x * factor
'''


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        yield client


@pytest.fixture(scope="module")
def scale(client):
    version = upload(client, "requests-scale", {"model.py": MODEL}, trust=True)
    assert version["state"] == "ready", version["error"]
    return version["reference"]


def invoke(client, reference, **inputs):
    return client.post("invocations", json={"reference": reference, "inputs": inputs})


def test_json_in_and_out(client, scale):
    answer = invoke(client, scale, x=[[1.0, 2.0], [3.0, 4.0]])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (output,) = body["outputs"].values()
    assert output["shape"] == [2, 2]
    assert output["data"] == [[2.0, 4.0], [6.0, 8.0]]
    assert body["reference"] == scale
    assert "scaling" in body["logs"]
    assert body["timings"]["total_s"] >= body["timings"]["model_s"] > 0


def test_json_has_null_for_what_it_cannot_say(client, scale):
    answer = invoke(client, scale, x=[1.0], mode="nan")
    (output,) = answer.json()["outputs"].values()
    assert output["data"] == [None, None, 1.0]


def test_frame_in_and_out(client, scale):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    message = Invoke(id="mine", reference=scale, values={"x": array_to_value(array)})
    answer = client.post(
        "invocations",
        content=b"".join(encode_message(message)),
        headers={"Content-Type": FRAME_MEDIA_TYPE},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FRAME_MEDIA_TYPE
    result = decode_message(decode_frame(answer.content))
    assert isinstance(result, Result)
    assert result.id == "mine"
    (value,) = result.values.values()
    np.testing.assert_array_equal(value_to_array(value), array * 2)


def test_large_frame_in_and_out(client, scale):
    array = np.arange(4 << 20, dtype=np.float32)  # 16 MiB: goes by the relay's other lane
    message = Invoke(id="large", reference=scale, values={"x": array_to_value(array)})
    answer = client.post(
        "invocations",
        content=b"".join(encode_message(message)),
        headers={"Content-Type": FRAME_MEDIA_TYPE},
    )
    assert answer.status_code == 200, answer.text
    result = decode_message(decode_frame(answer.content))
    (value,) = result.values.values()
    np.testing.assert_array_equal(value_to_array(value), array * 2)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b'{"reference": "m", "inputs": {"x": NaN}}', "NaN is not JSON"),
        (b'{"reference": "m", "inputs": {"x": -Infinity}}', "Infinity is not JSON"),
        (
            b'{"reference": "m", "inputs": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
            "too deep",
        ),
        (b'{"referense": "m"}', "Did you mean reference"),
        (b"{}", "reference is missing"),
        (b'{"reference": 3}', "reference must be text"),
        (b'{"reference": "m", "timeout_s": "soon"}', "timeout_s"),
        (b'\xff\xfe{"model"}', "UTF-8"),
    ],
)
def test_body_that_is_no_call_is_refused(client, body, says):
    answer = client.post("invocations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == "request_invalid"
    assert says in error["message"]
    assert client.get("status").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NRMN",
        b"no frame at all, by any means",
        b"".join(encode_message(Forget(id="1", name="x"))),
        b"".join(encode_message(Invoke(id="1", reference="m"))) + b"x",
    ],
)
def test_body_that_is_no_frame_is_refused_in_json(client, body):
    answer = client.post("invocations", content=body, headers={"Content-Type": FRAME_MEDIA_TYPE})
    assert answer.status_code == 400
    assert answer.json()["code"] == "protocol_violation"


def test_body_of_another_type_is_refused(client):
    answer = client.post("invocations", content=b"x", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 400
    assert "text/csv" in answer.json()["message"]


@pytest.mark.parametrize("timeout_s", [0, -1, 1e9])
def test_deadline_out_of_bounds_is_refused(client, scale, timeout_s):
    answer = client.post(
        "invocations", json={"reference": scale, "inputs": {"x": [1.0]}, "timeout_s": timeout_s}
    )
    assert answer.status_code == 400
    assert answer.json()["details"]["field"] == "timeout_s"


def test_unknown_model_names_the_nearest(client, scale):
    answer = invoke(client, "requests-scales", x=[1.0])
    assert answer.status_code == 404
    error = answer.json()
    assert error["code"] == "model_not_found"
    assert "requests-scale" in error["details"]["nearest"]
    for path in ("models/requests-scales", "models/requests-scales/versions/1"):
        assert client.get(path).json()["code"] == "model_not_found"


@pytest.mark.parametrize("selector", ["9", "production"])
def test_unknown_version_names_those_there_are(client, scale, selector):
    answer = invoke(client, f"requests-scale@{selector}", x=[1.0])
    assert answer.status_code == 404
    assert answer.json()["code"] == "version_not_found"
    assert answer.json()["details"]["versions"] == [1]
    answer = client.get(f"models/requests-scale/versions/{selector}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "version_not_found"


@pytest.mark.parametrize("reference", ["", "a b", "../etc/passwd", "m@", "m@0", "m@1@2", "x" * 101])
def test_reference_outside_the_grammar_is_refused(client, reference):
    answer = invoke(client, reference, x=[1.0])
    assert answer.status_code == 400
    assert answer.json()["code"] == "name_invalid"


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({}, "x"),
        ({"y": [1.0]}, "y"),
        ({"x": [1.0], "factr": 3.0}, "factr"),
        ({"x": {"a": 1}}, "x"),
        ({"x": [1.0], "factor": "much"}, "factor"),
        ({"x": [[1.0], [1.0, 2.0]]}, "x"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(client, scale, inputs, named):
    answer = invoke(client, scale, **inputs)
    assert answer.status_code == 422, answer.text
    error = answer.json()
    assert error["code"] == "input_invalid"
    assert error["details"]["input"] == named


def test_models_own_exception_shows_its_traceback_and_nothing_of_ours(client, scale):
    answer = invoke(client, scale, x=[1.0], mode="raise")
    assert answer.status_code == 500
    error = answer.json()
    assert error["code"] == "model_failed"
    assert "the model's own fault" in error["message"]
    assert "model.py" in error["details"]["traceback"]
    assert "norman_worker" not in error["details"]["traceback"]
    assert "scaling" in error["details"]["logs"]


def test_output_that_cannot_travel_is_an_error(client, scale):
    answer = invoke(client, scale, x=[1.0], mode="object")
    assert answer.status_code == 500
    assert answer.json()["code"] == "output_invalid"


@pytest.mark.parametrize("mode", ["exit", "segv"])
def test_worker_that_dies_fails_one_call_and_is_replaced(client, scale, mode):
    answer = invoke(client, scale, x=[1.0], mode=mode)
    assert answer.status_code == 502
    error = answer.json()
    assert error["code"] == "replica_died"
    assert invoke(client, scale, x=[1.0]).status_code == 200
    record = client.get(f"invocations/{error['details']['invocation_id']}").json()
    assert record["invocation"]["state"] == "failed"
    assert record["invocation"]["error_code"] == "replica_died"


def test_call_is_recorded_with_inputs_and_outputs(client, scale):
    answer = invoke(client, scale, x=[1.0, 2.0], factor=3.0).json()
    record = client.get(f"invocations/{answer['id']}").json()
    assert record["invocation"]["state"] == "succeeded"
    assert record["invocation"]["reference"] == scale
    assert record["inputs"] == {"x": [1.0, 2.0], "factor": 3.0}
    assert record["outputs"] == answer["outputs"]
    page = client.get("invocations", params={"model": "requests-scale", "limit": 1}).json()
    assert page["items"][0]["id"] == answer["id"]
    assert page["next_cursor"]


def test_unknown_invocation(client):
    answer = client.get("invocations/0123456789abcdef0123456789abcdef")
    assert answer.status_code == 404
    assert answer.json()["code"] == "invocation_not_found"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("models", {"limit": "0"}),
        ("models", {"limit": "many"}),
        ("models", {"limt": "3"}),
        ("models", {"cursor": "nonsense"}),
        ("models/requests-scale", {"verbose": "1"}),
        ("models/requests-scale/versions/1", {"wait_s": "-1"}),
        ("models/requests-scale/versions/1", {"wait_s": "nan"}),
        ("invocations", {"state": "lost"}),
        ("invocations", {"limit": "100000"}),
        ("status", {"x": "1"}),
    ],
)
def test_query_that_is_wrong_is_refused(client, scale, path, query):
    answer = client.get(path, params=query)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "request_invalid"


def test_request_id_is_echoed_where_it_is_decent(client):
    assert (
        client.get("status", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    answer = client.get("nothing", headers={"X-Request-ID": "a b" * 99})
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert " " not in answer.headers["x-request-id"]


# --- uploads ----------------------------------------------------------------------------------


def entry(data, path="model.py", **changes):
    return {"path": path, "digest": sha256(data).hexdigest(), "size_bytes": len(data), **changes}


def publish(client, name, *entries, **settings):
    return client.post(
        f"models/{name}/versions", json={"manifest": {"files": list(entries)}, **settings}
    )


@pytest.mark.parametrize("digest", ["abc", "0" * 63 + "G", "..%2F" * 20, "A" * 64])
def test_blob_under_what_is_no_digest_is_refused(client, digest):
    answer = client.put(f"blobs/{digest}", content=b"x")
    assert answer.status_code == 400
    assert answer.json()["code"] == "request_invalid"


def test_blob_with_another_digest_is_not_kept(client):
    digest = sha256(b"what was announced").hexdigest()
    answer = client.put(f"blobs/{digest}", content=b"what was sent")
    assert answer.status_code == 400
    assert answer.json()["code"] == "bundle_invalid"
    missing = client.post("blobs/missing", json={"digests": [digest, digest]}).json()
    assert missing == {"missing": [digest]}


def test_blob_streams_in_chunks_of_any_size(client):
    data = bytes(range(256)) * 12_000
    digest = sha256(data).hexdigest()

    def chunks():
        yield data[:1]
        yield data[1:2_000_000]
        yield data[2_000_000:]

    answer = client.put(f"blobs/{digest}", content=chunks())
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"digest": digest, "size_bytes": len(data)}
    assert client.put(f"blobs/{digest}", content=data).status_code == 200


def test_blob_whose_sender_leaves_is_forgotten(norman_server, client):
    data = b"half of this never comes" * 100_000
    digest = sha256(data).hexdigest()
    host, port = norman_server.url.removeprefix("http://").rstrip("/").split(":")
    head = (
        f"PUT /norman/api/v1/blobs/{digest} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {norman_server.token}\r\nContent-Length: {len(data)}\r\n\r\n"
    )

    def unfinished():
        files = [path for path in (norman_server.home / "blobs").rglob("*") if path.is_file()]
        return [path for path in files if len(path.name) != 64]

    assert not unfinished()
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(head.encode() + data[: len(data) // 2])
        until(unfinished)
    until(lambda: not unfinished())
    assert client.post("blobs/missing", json={"digests": [digest]}).json()["missing"] == [digest]
    assert client.put(f"blobs/{digest}", content=data).status_code == 201


def test_empty_blob(client):
    digest = sha256(b"").hexdigest()
    assert client.put(f"blobs/{digest}", content=b"").status_code in {200, 201}
    assert client.post("blobs/missing", json={"digests": [digest]}).json() == {"missing": []}


def test_publishing_what_was_not_sent_names_it(client):
    data = b"def predict(): return 'never sent'"
    answer = publish(client, "requests-absent", entry(data), trust=True)
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == "bundle_invalid"
    assert error["details"]["digests"] == [sha256(data).hexdigest()]
    assert client.get("models/requests-absent").status_code == 404


@pytest.mark.parametrize(
    ("path", "data", "code", "status"),
    [
        ("model.onnx", b"this is no ONNX file", "bundle_invalid", 400),
        ("weights.bin", b"123", "bundle_invalid", 400),
        ("../model.py", MODEL, "bundle_invalid", 400),
        ("/model.py", MODEL, "bundle_invalid", 400),
        ("model.py", MODEL + b"# not trusted", "trust_required", 403),
    ],
)
def test_bundle_that_cannot_be_taken_makes_nothing(client, path, data, code, status):
    client.put(f"blobs/{sha256(data).hexdigest()}", content=data)
    answer = publish(client, "requests-refused", entry(data, path))
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    assert client.get("models/requests-refused").status_code == 404


def test_foreign_interpreter_is_refused(client):
    data = MODEL + b"# elsewhere"
    client.put(f"blobs/{sha256(data).hexdigest()}", content=data)
    answer = publish(
        client,
        "requests-elsewhere",
        entry(data),
        trust=True,
        origin={"interpreter": "/opt/unknown/bin/python"},
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "interpreter_refused"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"raise RuntimeError('at import')", "at import"),
        (b"import nonexistent_package", "nonexistent_package"),
        (b"x = 3", "predict"),
        (
            (
                b"class Model:\n    def load(self, files, device): raise OSError('at load')\n"
                b"    def predict(self, x: int) -> int: return x"
            ),
            "at load",
        ),
        (b"import os; os._exit(3)", "3"),
    ],
)
def test_version_that_cannot_load_says_why_and_leaves_the_one_before(client, source, says):
    name = f"requests-broken-{sha256(source).hexdigest()[:8]}"
    assert upload(client, name, {"model.py": MODEL}, trust=True)["state"] == "ready"
    failed = upload(client, name, {"model.py": source}, trust=True)
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "load_failed"
    assert says in json.dumps(failed["error"])
    answer = invoke(client, f"{name}@2", x=[1.0])
    assert answer.status_code == 409
    assert answer.json()["code"] == "not_ready"
    assert invoke(client, name, x=[1.0]).json()["reference"] == f"{name}@1"
    assert client.get(f"models/{name}/versions/active").json()["number"] == 1
    again = upload(client, name, {"model.py": source}, trust=True)
    assert (again["number"], again["state"]) == (2, "failed")


def test_first_version_that_fails_explains_why_nothing_is_active(client):
    failed = upload(client, "requests-hopeless", {"model.py": b"1 / 0"}, trust=True)
    assert failed["state"] == "failed"
    answer = client.get("models/requests-hopeless/versions/active")
    assert answer.status_code == 409
    assert "ZeroDivisionError" in answer.text
    log = client.get("models/requests-hopeless/versions/active/logs").json()
    assert log["reference"] == "requests-hopeless@1"


def test_same_bundle_again_is_the_same_version(client, scale):
    again = upload(client, "requests-scale", {"model.py": MODEL}, trust=True)
    assert again["reference"] == scale
    other = upload(
        client, "Requests-Scale", {"model.py": MODEL + b"# 2"}, trust=True, activate=False
    )
    assert other["reference"] == "requests-scale@2"
    assert client.get("models/requests-scale").json()["model"]["active"] == 1


def test_credentials_in_the_address_of_a_repository_are_not_kept(client):
    data = b"def predict() -> int: return 3  # of a repository"
    client.put(f"blobs/{sha256(data).hexdigest()}", content=data)
    origin = {"git_remote": "https://ann:secret@example.org/models.git?token=x"}
    answer = publish(client, "requests-origin", entry(data), trust=True, origin=origin)
    assert answer.json()["origin"]["git_remote"] == "https://example.org/models.git"
