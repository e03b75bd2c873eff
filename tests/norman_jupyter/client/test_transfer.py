"""Uploads against an API that does as a test says."""

from __future__ import annotations

import hashlib
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from norman_jupyter import (
    BlockingNorman,
    BundleInvalid,
    InternalError,
    LoadFailed,
    NameInvalid,
    Progress,
    TrustRequired,
)

MODEL = "def predict() -> int:\n    return 1\n"


class Registry:
    """Blobs and versions of the fake API."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.blobs: dict[str, bytes] = {}
        self.published: list[dict[str, Any]] = []
        self.refusals: list[Any] = []
        self.states = ["loading", "ready"]
        self.error: Any = None
        self.on_missing = lambda: None
        api.routes["POST blobs/missing"] = self.missing
        api.routes["POST models/m/versions"] = self.publish
        api.routes["GET models/m/versions/1"] = lambda request: self.answer(200)

    def missing(self, request: Any) -> Any:
        self.on_missing()
        digests = [one for one in request.json()["digests"] if one not in self.blobs]
        for digest in digests:
            self.api.routes[f"PUT blobs/{digest}"] = self.store
        return answer({"missing": digests})

    def store(self, request: Any) -> Any:
        digest = request.path.rpartition("/")[2]
        if hashlib.sha256(request.body).hexdigest() != digest:
            return answer({"code": "bundle_invalid", "message": "torn"}, 400)
        self.blobs[digest] = request.body
        return answer({"digest": digest, "size_bytes": len(request.body)}, 201)

    def publish(self, request: Any) -> Any:
        if self.refusals:
            return self.refusals.pop()
        self.published.append(request.json())
        return self.answer(202)

    def answer(self, status: int) -> Any:
        state = self.states.pop(0)
        request = self.published[-1]
        return answer(
            {
                "id": "v",
                "reference": "m@1",
                "name": "m",
                "number": 1,
                "state": state,
                "active": state == "ready",
                "label": request["label"],
                "description": None,
                "tags": request["tags"],
                "runtime": "python",
                "entry": "model.py",
                "interpreter": None,
                "signature": None,
                "manifest": request["manifest"],
                "bundle_digest": "0" * 64,
                "size_bytes": 1,
                "load_s": None,
                "created_at": "2026-01-01T00:00:00Z",
                "created_by": "ann",
                "origin": request["origin"],
                "trust": None,
                "error": self.error,
                "created": status == 202,
            },
            status,
        )


def answer(body: Any, status: int = 200) -> Any:
    import json

    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


@pytest.fixture
def registry(api) -> Registry:
    return Registry(api)


@pytest.fixture
def norman(api):
    with BlockingNorman(api.url, api.token) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "weights.bin").write_bytes(os.urandom(3 << 20))
    (folder / "copy.bin").write_bytes((folder / "weights.bin").read_bytes())
    return folder


def test_each_missing_blob_is_sent_once_and_the_rest_published(norman, registry, folder) -> None:
    version = norman.upload(folder, trust=True, label="l", tags="demo", activate=False)
    assert (version.reference, version.state) == ("m@1", "ready")
    assert set(registry.blobs.values()) == {MODEL.encode(), (folder / "weights.bin").read_bytes()}
    (request,) = registry.published
    assert [file["path"] for file in request["manifest"]["files"]] == [
        "copy.bin",
        "model.py",
        "weights.bin",
    ]
    assert (request["label"], request["tags"], request["activate"]) == ("l", ["demo"], False)
    assert request["origin"]["source_path"] == str(folder)


def test_blobs_the_server_has_are_not_sent(norman, registry, folder) -> None:
    registry.states = ["loading", "ready"] * 2
    norman.upload(folder, trust=True)
    norman.upload(folder, trust=True)
    sent = [request for request in registry.api.requests if request.method == "PUT"]
    assert len(sent) == 2


def test_blobs_that_vanished_before_publishing_are_sent_again(norman, registry, folder) -> None:
    def vanish(digest: str) -> Any:
        registry.blobs.pop(digest)
        details = {"digests": [digest]}
        return answer({"code": "bundle_invalid", "message": "gone", "details": details}, 400)

    digest = hashlib.sha256(MODEL.encode()).hexdigest()
    publish = registry.publish
    refusals = [digest]
    registry.api.routes["POST models/m/versions"] = lambda request: (
        vanish(refusals.pop()) if refusals else publish(request)
    )
    assert norman.upload(folder, trust=True).state == "ready"


def test_version_that_was_ready_already_is_not_waited_for(norman, registry, folder) -> None:
    registry.states = ["ready"]
    norman.upload(folder, trust=True)
    assert not [request for request in registry.api.requests if "wait_s" in request.path]


def test_waiting_goes_on_as_long_as_the_version_loads(norman, registry, folder) -> None:
    registry.states = ["loading", "loading", "loading", "ready"]
    told: list[Progress] = []
    norman.upload(folder, trust=True, on_progress=told.append)
    assert [progress.stage for progress in told][-4:] == ["loading"] * 3 + ["ready"]
    assert told[-1].message == "m@1 is ready"


def test_error_of_a_failed_version_is_raised_with_its_traceback(norman, registry, folder) -> None:
    registry.states = ["loading", "failed"]
    registry.error = {
        "code": "load_failed",
        "message": "m@1 raised on load",
        "details": {"traceback": "model.py, line 1", "log": "hello"},
    }
    with pytest.raises(LoadFailed) as caught:
        norman.upload(folder, trust=True)
    assert (caught.value.traceback, caught.value.log) == ("model.py, line 1", "hello")


def test_failed_version_without_a_reason_is_a_fault_of_the_server(norman, registry, folder) -> None:
    registry.states = ["failed"]
    with pytest.raises(InternalError, match="doesn't say why"):
        norman.upload(folder, trust=True)


def test_file_that_changes_before_it_is_sent_publishes_nothing(norman, registry, folder) -> None:
    registry.on_missing = lambda: (folder / "model.py").write_text("changed = True\n")
    with pytest.raises(BundleInvalid, match=r"'model\.py' changed"):
        norman.upload(folder, trust=True)
    assert not registry.published


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"source": "m"}, TrustRequired),
        ({"source": "m", "trust": True, "name": "no name!"}, NameInvalid),
        ({"source": "gone", "trust": True}, BundleInvalid),
        ({"source": object(), "trust": True}, BundleInvalid),
    ],
)
def test_mistake_is_found_before_anything_is_sent(
    norman, registry, folder, monkeypatch, arguments, error
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(error):
        norman.upload(**arguments)
    assert not registry.api.requests


def test_answer_that_asks_for_strange_blobs_is_a_fault_of_the_server(
    norman, registry, folder
) -> None:
    registry.api.routes["POST blobs/missing"] = lambda request: answer({"missing": ["0" * 64]})
    with pytest.raises(InternalError, match="this bundle doesn't have"):
        norman.upload(folder, trust=True)


def test_progress_counts_every_byte_of_each_stage(norman, registry, folder) -> None:
    told: list[Progress] = []
    norman.upload(folder, trust=True, on_progress=told.append)
    total = sum(file.stat().st_size for file in folder.iterdir())
    hashed = [progress for progress in told if progress.stage == "hashing"]
    sent = [progress for progress in told if progress.stage == "sending"]
    assert (hashed[-1].done_bytes, hashed[-1].total_bytes) == (total, total)
    once = total - (folder / "copy.bin").stat().st_size
    assert (sent[-1].done_bytes, sent[-1].total_bytes) == (once, once)
    assert textwrap.shorten(sent[-1].message, 20).startswith("sending")
    assert len(told) < 250
