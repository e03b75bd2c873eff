"""Aliases, history, edits and differences over REST, on a real server."""

from __future__ import annotations

import pytest
from serving import upload

from norman_protocol.identifiers import new_id

MODEL = "def predict(x: int) -> int:\n    return x * {factor}\n"


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        yield client


@pytest.fixture
def name(client):
    """A model with three versions, each of which answers with another number."""
    name = f"m{new_id()}"
    for factor in (1, 2, 3):
        source = MODEL.format(factor=factor).encode()
        version = upload(client, name, {"model.py": source}, trust=True, label=f"times {factor}")
        assert version["state"] == "ready", version["error"]
    return name


def answer_of(client, reference):
    answer = client.post("invocations", json={"reference": reference, "inputs": {"x": 10}})
    assert answer.status_code == 200, answer.text
    (value,) = answer.json()["outputs"].values()
    return value


def code_of(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["code"]


def test_calls_follow_an_alias_at_once(client, name):
    answer = client.put(f"models/{name}/aliases/Production", json={"version": 2, "why": "good"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["alias"] == "production"
    assert answer_of(client, f"{name}@production") == 20
    client.put(f"models/{name}/aliases/production", json={"version": 1}).raise_for_status()
    assert answer_of(client, f"{name}@PRODUCTION") == 10
    client.delete(f"models/{name}/aliases/production", params={"why": "over"}).raise_for_status()
    answer = client.post("invocations", json={"reference": f"{name}@production", "inputs": {}})
    assert code_of(answer, 404) == "version_not_found"
    history = client.get(f"models/{name}/aliases/production/history", params={"limit": 2}).json()
    assert [item["why"] for item in history["items"]] == ["over", None]
    rest = client.get(
        f"models/{name}/aliases/production/history", params={"cursor": history["next_cursor"]}
    ).json()
    assert [item["why"] for item in rest["items"]] == ["good"]


def test_the_target_of_a_switch_is_warm(client, name):
    client.put(f"models/{name}/aliases/active", json={"version": 1}).raise_for_status()
    deployments = client.get("status").json()["executor"]["deployments"]
    (state,) = [each["state"] for each in deployments if each["reference"] == f"{name}@1"]
    assert state == "ready"
    assert answer_of(client, name) == 10


def test_rollback_walks_back_and_ends(client, name):
    walked = []
    for _ in range(2):
        client.post(f"models/{name}/aliases/active/rollback", json={}).raise_for_status()
        walked.append(answer_of(client, name))
    assert walked == [20, 10]
    answer = client.post(f"models/{name}/aliases/active/rollback", json={})
    assert code_of(answer, 409) == "conflict"
    client.post(f"models/{name}/aliases/active/rollback", json={"to": 3}).raise_for_status()
    assert answer_of(client, name) == 30
    history = client.get(f"models/{name}/history").json()["items"]
    assert [item["action"] for item in history[:3]] == ["rollback"] * 3


def test_what_stands_in_the_way_is_said(client, name):
    failed = upload(client, name, {"model.py": b"raise OSError('no weights')"}, trust=True)
    assert failed["state"] == "failed"
    put = f"models/{name}/aliases/production"
    assert code_of(client.put(put, json={"version": 4}), 409) == "not_ready"
    assert code_of(client.put(put, json={"version": 9}), 404) == "version_not_found"
    assert code_of(client.put(put, json={"version": 1, "expected": 2}), 409) == "conflict"
    assert code_of(client.put(put, json={"version": "1"}), 400) == "request_invalid"
    assert code_of(client.put(put, json={"versoin": 1}), 400) == "request_invalid"
    for alias in ("latest", "3", "%2e%2e", "a%2Fb", "a" * 300, "a%00b"):
        answer = client.put(f"models/{name}/aliases/{alias}", json={"version": 1})
        assert code_of(answer, 400) == "name_invalid"
    answer = client.put(f"models/{name}x/aliases/production", json={"version": 1})
    assert code_of(answer, 404) == "model_not_found"
    client.put(put, json={"version": 1, "expected": 0}).raise_for_status()
    answer = client.delete(f"models/{name}/aliases/prodution")
    assert code_of(answer, 404) == "version_not_found"
    assert answer.json()["details"]["nearest"] == ["production"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "201"},
        {"limit": "9" * 5000},
        {"limit": "x"},
        {"cursor": "é"},
        {"cursor": "bmFtZQ"},
        {"offset": "1"},
    ],
)
@pytest.mark.parametrize("path", ["versions", "aliases/active/history", "history"])
def test_wild_paging_is_refused(client, digits, path, parameters):
    answer = client.get(f"models/{digits}/{path}", params=parameters)
    assert code_of(answer, 400) == "request_invalid"


@pytest.fixture(scope="module")
def digits(client):
    name = f"m{new_id()}"
    upload(client, name, {"model.py": MODEL.format(factor=1).encode()}, trust=True)
    return name


def test_versions_and_aliases_come_in_pages(client, name):
    first = client.get(f"models/{name}/versions", params={"limit": 2}).json()
    assert [item["number"] for item in first["items"]] == [3, 2]
    assert first["items"][0]["aliases"] == ["active"]
    rest = client.get(f"models/{name}/versions", params={"cursor": first["next_cursor"]}).json()
    assert ([item["number"] for item in rest["items"]], rest["next_cursor"]) == ([1], None)
    (alias,) = client.get(f"models/{name}/aliases").json()["items"]
    assert (alias["alias"], alias["reference"], alias["state"]) == ("active", f"{name}@3", "ready")


def test_an_edit_is_told_found_and_compared(client, name):
    word = f"w{new_id()}"
    answer = client.patch(
        f"models/{name}/versions/2", json={"label": "", "tags": [word], "long_description": "# A"}
    )
    assert answer.status_code == 200, answer.text
    version = client.get(f"models/{name}/versions/2").json()
    assert version == answer.json()
    assert (version["label"], version["tags"], version["long_description"]) == (None, [word], "# A")
    found = client.get("models", params={"search": word.upper()}).json()["items"]
    assert [model["name"] for model in found] == [name]
    diff = client.get(f"models/{name}/versions/1/diff/2").json()
    assert [(item["path"], item["change"]) for item in diff["files"]] == [("model.py", "changed")]
    assert [item["name"] for item in diff["settings"]] == ["label", "long description", "tags"]
    assert code_of(client.patch(f"models/{name}/versions/2", json={}), 400) == "request_invalid"
    answer = client.patch(f"models/{name}/versions/2", json={"name": "x"})
    assert code_of(answer, 400) == "request_invalid"
    answer = client.get(f"models/{name}/versions/1/diff/9")
    assert code_of(answer, 404) == "version_not_found"
