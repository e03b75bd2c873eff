"""Calls that are kept: answered before they are done, meant once by a key, run again."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import serve, upload

from norman_protocol.arrays import object_to_value
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Invoke, Result, decode_message, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE

MODEL = b"""
import os, time

def predict(text: str = "", gate: str = "", log: str = "", fail: bool = False) -> str:
    if log:
        with open(log, "a") as file:
            file.write("ran\\n")
    if gate:
        open(gate, "w").close()
        while os.path.exists(gate):
            time.sleep(0.01)
    if fail:
        raise ValueError("on purpose")
    return text.upper()
"""
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        version = upload(client, "kept", {"model.py": MODEL}, trust=True)
        assert version["state"] == "ready", version["error"]
        other = upload(client, "kept", {"model.py": MODEL.replace(b"upper", b"lower")}, trust=True)
        assert other["state"] == "ready", other["error"]
        yield client


def call(client, headers=None, reference="kept@1", **inputs):
    body = {"reference": reference, "inputs": inputs, "timeout_s": 40}
    return client.post("invocations", json=body, headers=headers or {})


def ended(client, invocation_id):
    while True:
        detail = client.get(f"invocations/{invocation_id}", params={"wait_s": 20}).json()
        if detail["invocation"]["ended_at"] is not None:
            return detail


def until(condition):
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


# --- Prefer: respond-async --------------------------------------------------------------------


def test_a_call_that_is_answered_before_it_is_done_can_be_watched_and_fetched(client, tmp_path):
    gate = tmp_path / "gate"
    answer = call(client, {"Prefer": "wait=5, Respond-Async"}, text="a", gate=str(gate))
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    summary = answer.json()
    assert (summary["state"], summary["reference"]) == ("queued", "kept@1")
    place = answer.headers["location"]
    assert place.endswith(f"/norman/api/v1/invocations/{summary['id']}")
    until(gate.exists)
    detail = client.get(f"invocations/{summary['id']}").json()
    assert detail["invocation"]["state"] == "running"
    assert detail["inputs"] == {"text": "a", "gate": str(gate)}
    for state, shown in (("running", True), ("queued", False), (None, True)):
        query = {"model": "kept"} | ({"state": state} if state else {})
        items = client.get("invocations", params=query).json()["items"]
        assert (summary["id"] in {item["id"] for item in items}) is shown
    result = client.get(f"invocations/{summary['id']}/result")
    assert (result.status_code, result.json()["id"]) == (202, summary["id"])
    gate.unlink()
    result = client.get(f"invocations/{summary['id']}/result", params={"wait_s": 20})
    assert (result.status_code, result.json()["outputs"]) == (200, {"output": "A"})
    assert ended(client, summary["id"])["outputs"] == {"output": "A"}
    framed = client.get(f"invocations/{summary['id']}/result", headers={"Accept": FRAME_MEDIA_TYPE})
    message = decode_message(decode_frame(framed.content))
    assert isinstance(message, Result)
    assert message.invocation_id == summary["id"]


def test_a_failure_is_fetched_as_the_call_itself_would_have_had_it(client):
    invocation_id = call(client, ASYNC, fail=True).json()["id"]
    answer = client.get(f"invocations/{invocation_id}/result", params={"wait_s": 20})
    assert (answer.status_code, answer.json()["code"]) == (500, "model_failed")
    assert answer.json()["details"]["invocation_id"] == invocation_id
    assert ended(client, invocation_id)["invocation"]["state"] == "failed"


def test_what_can_not_be_called_is_refused_at_once_and_not_kept(client):
    before = client.get("invocations").json()["items"]
    assert call(client, ASYNC, reference="nobody").status_code == 404
    assert call(client, ASYNC, reference="kept@7").status_code == 404
    assert call(client, ASYNC, unknown=1).json()["code"] == "input_invalid"
    body = {"reference": "kept@1", "inputs": {}, "timeout_s": 1e9}
    assert client.post("invocations", json=body, headers=ASYNC).status_code == 400
    for key in ("", "x" * 201, "a\tb"):
        answer = call(client, {"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")
    assert client.get("invocations").json()["items"] == before


# --- Idempotency-Key --------------------------------------------------------------------------


def test_fifty_posts_with_one_key_are_one_execution_and_one_answer(client, tmp_path):
    log = tmp_path / "runs"
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(
                lambda _: call(client, {"Idempotency-Key": "fifty"}, text="x", log=str(log)),
                range(50),
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert log.read_text() == "ran\n"
    later = call(client, {"Idempotency-Key": "fifty"}, text="x", log=str(log))
    assert later.json() == answers[0].json()
    assert log.read_text() == "ran\n"


def test_a_key_stands_for_one_payload(client):
    first = call(client, {"Idempotency-Key": "one payload"}, text="x")
    again = call(client, {"Idempotency-Key": "one payload"}, text="y")
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_conflict")
    details = again.json()["details"]
    assert details == {"key": "one payload", "invocation_id": first.json()["id"]}


def test_a_failure_is_the_answer_under_its_key_too(client, tmp_path):
    log = tmp_path / "runs"
    answers = [
        call(client, {"Idempotency-Key": "fails"}, fail=True, log=str(log)) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert len({answer.json()["details"]["invocation_id"] for answer in answers}) == 1
    assert log.read_text() == "ran\n"


def test_a_frame_with_a_key_is_answered_with_a_frame(client):
    values = {"text": object_to_value("frame")}
    message = Invoke(id="7", reference="kept@1", values=values)
    headers = {"Content-Type": FRAME_MEDIA_TYPE, "Idempotency-Key": "framed"}
    results = []
    for _ in range(2):
        answer = client.post(
            "invocations", content=b"".join(encode_message(message)), headers=headers
        )
        assert answer.status_code == 200, answer.text
        results.append(decode_message(decode_frame(answer.content)))
    assert results[0].invocation_id == results[1].invocation_id
    assert results[0].id == "7"
    assert bytes(results[1].values["output"].buffer) == b"FRAME"


def test_a_client_that_leaves_cancels_no_call_with_a_key(norman_server, client, tmp_path):
    gate, log = tmp_path / "gate", tmp_path / "runs"
    inputs = {"text": "stays", "gate": str(gate), "log": str(log)}
    with norman_server.client() as leaving:
        leaving.timeout = 0.5
        with pytest.raises(Exception, match="timed out"):
            call(leaving, {"Idempotency-Key": "leaves"}, **inputs)
    until(gate.exists)
    gate.unlink()
    answer = call(client, {"Idempotency-Key": "leaves"}, **inputs)
    assert answer.json()["outputs"] == {"output": "STAYS"}
    assert log.read_text() == "ran\n"


# --- cancelling -------------------------------------------------------------------------------


def test_calls_are_cancelled_whether_they_wait_or_run_and_whoever_made_them(client, tmp_path):
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(call, client, None, gate=str(gate))
        until(gate.exists)
        waiting = call(client, ASYNC, text="never").json()["id"]
        (item,) = client.get("invocations", params={"state": "running"}).json()["items"]
        answer = client.delete(f"invocations/{waiting}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["invocation"]["state"] == "cancelled"
        answer = client.delete(f"invocations/{item['id']}")
        assert answer.json()["invocation"]["state"] == "cancelled"
        assert running.result().status_code == 499
    gate.unlink(missing_ok=True)
    again = client.delete(f"invocations/{waiting}")
    assert again.status_code == 200
    done = call(client, text="x").json()["id"]
    answer = client.delete(f"invocations/{done}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert client.delete("invocations/none").status_code == 404


# --- replay -----------------------------------------------------------------------------------


def test_kept_inputs_run_again_with_the_same_or_another_version(client):
    first = call(client, text="Ab").json()
    same = client.post(f"invocations/{first['id']}/replay", json={})
    assert (same.status_code, same.json()["outputs"]) == (200, {"output": "AB"})
    other = client.post(f"invocations/{first['id']}/replay", json={"reference": "kept@2"})
    assert other.json()["outputs"] == {"output": "ab"}
    assert other.json()["reference"] == "kept@2"
    summary = ended(client, other.json()["id"])["invocation"]
    assert summary["replay_of"] == first["id"]
    assert client.post("invocations/none/replay", json={}).status_code == 404
    later = client.post(f"invocations/{first['id']}/replay", json={}, headers=ASYNC)
    assert later.status_code == 202
    assert ended(client, later.json()["id"])["outputs"] == {"output": "AB"}


def test_inputs_that_were_not_kept_can_not_run_again(client):
    first = call(client, text="x" * (2 << 20)).json()
    answer = client.post(f"invocations/{first['id']}/replay", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "not kept" in answer.json()["message"]


# --- since ------------------------------------------------------------------------------------


def test_a_list_begins_at_a_time(client):
    first = call(client, text="x").json()["id"]
    accepted_at = ended(client, first)["invocation"]["accepted_at"]
    items = client.get("invocations", params={"since": accepted_at}).json()["items"]
    assert items[-1]["id"] == first
    assert client.get("invocations", params={"since": "2999-01-01"}).json()["items"] == []
    wrong = client.get("invocations", params={"since": "yesterday-ish"})
    assert (wrong.status_code, wrong.json()["details"]["field"]) == (400, "since")


# --- kills ------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_there_after_everything_was_killed(tmp_path):
    gate = tmp_path / "gate"
    with serve(tmp_path) as server, server.client() as client:
        upload(client, "kept", {"model.py": MODEL}, trust=True)
        running = call(client, ASYNC, gate=str(gate)).json()["id"]
        until(gate.exists)
        executor = server.wait_executor()
        os.kill(executor, signal.SIGSTOP)  # from now on it takes nothing
        waiting = [call(client, ASYNC, text=f"t{number}").json()["id"] for number in range(5)]
        server.process.kill()
        os.kill(executor, signal.SIGKILL)
        server.process.wait()
    gate.unlink()
    with serve(tmp_path) as server, server.client() as client:
        assert ended(client, running)["invocation"]["state"] == "interrupted"
        details = [ended(client, invocation_id) for invocation_id in waiting]
        assert [detail["outputs"] for detail in details] == [
            {"output": f"T{number}"} for number in range(5)
        ]
        items = client.get("invocations").json()["items"]
        assert len(items) == 6
    assert not Path(gate).exists()
