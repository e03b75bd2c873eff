"""A stored output as a browser gets it: shown where that is harmless, else offered to be saved."""

from __future__ import annotations

import re

import httpx
import pytest
from serving import upload

from norman_protocol.arrays import object_to_value
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Invoke, Result, decode_message, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE
from norman_protocol.values import Value
from norman_server.api.outputs import serve_value

MODEL = b"""
import os, time
from typing import TypedDict

import numpy as np

class Answer(TypedDict):
    picture: bytes
    page: bytes
    text: str
    scores: np.ndarray

def predict(gate: str = "", size: int = 3) -> Answer:
    if gate:
        open(gate, "w").close()
        while os.path.exists(gate):
            time.sleep(0.01)
    return {
        "picture": b"\\x89PNG" * size,
        "page": b"<script>alert(1)</script>",
        "text": "<b>text</b>",
        "scores": np.array([0.25, 0.75], np.float32),
    }
"""
DECLARATION = {
    "outputs": [
        {"title": "the picture/1", "parameter": "picture", "encoding": "png"},
        {"title": "scores", "labels": ["no", "<i>yes</i>"]},
    ]
}


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        version = upload(
            client, "outputs", {"model.py": MODEL}, trust=True, declaration=DECLARATION
        )
        assert version["state"] == "ready", version["error"]
        yield client


def call(client, **inputs):
    body = {"reference": "outputs", "inputs": inputs}
    return client.post("invocations", json=body, headers={"Prefer": "respond-async"}).json()["id"]


def ended(client, invocation_id):
    while True:
        detail = client.get(f"invocations/{invocation_id}", params={"wait_s": 20}).json()
        if detail["invocation"]["ended_at"] is not None:
            return invocation_id


def output(client, invocation_id, name):
    return client.get(f"invocations/{invocation_id}/output", params={"name": name})


@pytest.mark.parametrize(
    ("value", "media_type", "is_shown"),
    [
        (Value(kind="bytes", encoding="png", buffer=b"x"), "image/png", True),
        (Value(kind="bytes", encoding="opus", buffer=b"x"), "audio/ogg", True),
        (Value(kind="bytes", encoding="mp4", buffer=b"x"), "video/mp4", True),
        (Value(kind="bytes", encoding="vtt", buffer=b"x"), "application/octet-stream", False),
        (Value(kind="bytes", encoding="text/html", buffer=b"x"), "application/octet-stream", False),
        (Value(kind="bytes", buffer=b"<svg/>"), "application/octet-stream", False),
        (Value(kind="text", buffer=b"<b>"), "text/plain; charset=utf-8", True),
        (object_to_value({"a": 1}), "application/json", True),
    ],
)
def test_only_media_are_shown_as_what_they_are(value, media_type, is_shown):
    served = serve_value(value)
    assert (served.media_type, served.is_shown) == (media_type, is_shown)


def test_output_comes_by_its_name_whatever_that_is(client):
    invocation_id = ended(client, call(client))
    answer = output(client, invocation_id, "the picture/1")
    assert answer.content == b"\x89PNG" * 3
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == (
        "inline; filename*=UTF-8''the%20picture%2F1.png"
    )
    text = output(client, invocation_id, "text")
    assert (text.text, text.headers["content-type"]) == ("<b>text</b>", "text/plain; charset=utf-8")
    scores = output(client, invocation_id, "scores")
    assert scores.headers["content-type"] == "application/json"
    assert scores.json() == {"dtype": "float32", "shape": [2], "data": [0.25, 0.75]}


def test_file_of_a_model_never_becomes_a_page(client):
    answer = output(client, ended(client, call(client)), "page")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''page"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.match("sandbox; default-src 'none'", answer.headers["content-security-policy"])
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("query", "named"), [({}, "''"), ({"name": ""}, "''"), ({"name": "txt"}, "'txt'")]
)
def test_unknown_name_is_told_the_known_ones(client, query, named):
    invocation_id = ended(client, call(client))
    answer = client.get(f"invocations/{invocation_id}/output", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")
    assert answer.json()["message"] == (
        "name must be one of the call's outputs ('the picture/1', 'page', 'text', 'scores'), "
        f"not {named}."
    )
    assert "text" in answer.json()["details"]["nearest"]


def test_what_has_no_outputs_says_why(client, tmp_path):
    assert output(client, "0" * 32, "text").status_code == 404
    gate = tmp_path / "gate"
    invocation_id = call(client, gate=str(gate))
    answer = output(client, invocation_id, "text")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "it has no outputs yet" in answer.json()["message"]
    client.delete(f"invocations/{invocation_id}")
    ended(client, invocation_id)
    answer = output(client, invocation_id, "text")
    assert answer.json()["code"] == "cancelled"


def test_output_too_large_to_be_kept_says_so(client):
    message = Invoke(id="1", reference="outputs", values={"size": object_to_value(1_000_000)})
    answer = client.post(
        "invocations",
        content=b"".join(encode_message(message)),
        headers={"Content-Type": FRAME_MEDIA_TYPE},
    )
    result = decode_message(decode_frame(answer.content))
    assert isinstance(result, Result)
    assert not result.kept
    assert result.labels == {"scores": ("no", "<i>yes</i>")}
    answer = output(client, result.invocation_id, "text")
    assert answer.status_code == 409
    assert "are not kept" in answer.json()["message"]


def test_recorded_results_have_their_labels_too(client):
    invocation_id = ended(client, call(client))
    for verb, path in (("GET", "result"), ("POST", "replay")):
        answer = client.request(
            verb,
            f"invocations/{invocation_id}/{path}",
            headers={"Accept": FRAME_MEDIA_TYPE},
            **({"json": {}} if verb == "POST" else {}),
        )
        result = decode_message(decode_frame(answer.content))
        assert isinstance(result, Result)
        assert result.labels == {"scores": ("no", "<i>yes</i>")}
        assert result.values["the picture/1"].encoding == "png"


def test_cookie_of_a_browser_is_enough(norman_server, client):
    invocation_id = ended(client, call(client))
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        browser.get(f"{norman_server.url}login", params={"token": norman_server.jupyter_token})
        answer = browser.get(
            f"{norman_server.api_url}invocations/{invocation_id}/output", params={"name": "text"}
        )
    assert (answer.status_code, answer.text) == (200, "<b>text</b>")
