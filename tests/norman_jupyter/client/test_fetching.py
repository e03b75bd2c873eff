"""Downloads from an API that does as a test says, an enemy's too."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from norman_jupyter import (
    BlobNotFound,
    BlockingNorman,
    BundleInvalid,
    Conflict,
    NormanError,
    Progress,
    ProtocolViolation,
)
from norman_protocol.packs import write_pack

FILES = {
    "empty": b"",
    "model.py": b"def predict() -> int:\n    return 1\n",
    "weights/a.bin": os.urandom((2 << 20) + 5),
    "weights/deep/run.sh": b"#!/bin/sh\n",
}


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Shelf:
    """A version and its blobs at the fake API."""

    def __init__(self, api: Any, files: dict[str, bytes]) -> None:
        self.api = api
        self.name = "m"
        self.manifest = [
            {
                "path": path,
                "digest": digest_of(data),
                "size_bytes": len(data),
                "executable": path.endswith(".sh"),
            }
            for path, data in sorted(files.items())
        ]
        for data in files.values():
            self.give(digest_of(data), data)
        api.routes["POST blobs/fetch"] = self.fetch
        api.routes["GET models/m/versions/active"] = lambda request: self.version()

    def give(self, digest: str, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self.api.routes[f"GET blobs/{digest}"] = lambda request: (200, headers, data)

    def fetch(self, request: Any) -> Any:
        answers = [
            (digest, self.api.routes[f"GET blobs/{digest}"](request))
            for digest in request.json()["digests"]
        ]
        for _, (status, headers, body) in answers:
            if status != 200:
                return status, headers, body
        return 200, {}, write_pack((digest, body) for digest, (_, _, body) in answers)

    def version(self) -> Any:
        facts = {
            "id": "v",
            "reference": f"{self.name}@1",
            "name": self.name,
            "number": 1,
            "state": "ready",
            "active": True,
            "label": None,
            "description": None,
            "tags": [],
            "runtime": "python",
            "entry": "model.py",
            "interpreter": None,
            "signature": None,
            "manifest": {"files": self.manifest},
            "bundle_digest": "0" * 64,
            "size_bytes": 1,
            "load_s": None,
            "created_at": "2026-01-01T00:00:00Z",
            "created_by": "ann",
            "origin": {},
            "trust": None,
            "error": None,
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(facts).encode()

    def fetched(self) -> list[str]:
        return [request.path for request in self.api.requests if "blobs/" in request.path]


@pytest.fixture
def shelf(api) -> Shelf:
    return Shelf(api, FILES)


@pytest.fixture
def norman(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with BlockingNorman(api.url, api.token) as client:
        yield client


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_come_back_as_they_were(norman, shelf, tmp_path) -> None:
    folder = norman.download("m")
    assert folder == tmp_path / "m-1"
    assert read(folder) == FILES
    assert (folder / "weights/deep/run.sh").stat().st_mode & stat.S_IXUSR
    assert not (folder / "model.py").stat().st_mode & stat.S_IXUSR
    assert [path.name for path in tmp_path.iterdir()] == ["m-1"]


def test_folder_and_those_above_it_are_made(norman, shelf, tmp_path) -> None:
    assert norman.download("m", "a/b/c") == tmp_path / "a" / "b" / "c"


def test_content_that_two_files_share_is_fetched_once(norman, api) -> None:
    Shelf(api, {"a": b"same", "b": b"same", "model.py": b""})
    assert read(norman.download("m"))["b"] == b"same"
    (request,) = [one for one in api.requests if one.path.endswith("blobs/fetch")]
    assert len(request.json()["digests"]) == 2


def test_what_is_there_is_not_fetched_again(norman, shelf) -> None:
    folder = norman.download("m")
    (folder / "weights" / "a.bin").unlink()
    (folder / "notes.txt").write_text("mine")
    before = len(shelf.fetched())
    norman.download("m")
    assert len(shelf.fetched()) == before + 1
    assert read(folder) == {**FILES, "notes.txt": b"mine"}


@pytest.mark.parametrize("other", ["file", "longer", "folder", "link", "parent is a link"])
def test_nothing_that_stands_there_is_overwritten(norman, shelf, tmp_path, other: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "m-1"
    (folder / "weights").mkdir(parents=True)
    if other == "file":
        (folder / "model.py").write_bytes(FILES["model.py"][::-1])
    elif other == "longer":
        (folder / "model.py").write_bytes(b"mine")
    elif other == "folder":
        (folder / "model.py").mkdir()
    elif other == "link":
        (folder / "model.py").symlink_to(outside / "new.py")
    else:
        (folder / "weights").rmdir()
        (folder / "weights").symlink_to(outside)
    before = read(tmp_path)
    with pytest.raises(Conflict, match="nothing is overwritten"):
        norman.download("m")
    assert not shelf.fetched()
    assert read(tmp_path) == before
    assert not list(outside.iterdir())


def test_file_in_the_folders_place_is_left(norman, shelf, tmp_path) -> None:
    (tmp_path / "m-1").write_text("mine")
    with pytest.raises(Conflict, match="is no folder"):
        norman.download("m")
    assert (tmp_path / "m-1").read_text() == "mine"


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/tmp/x", "a//b", "C:/x", "a\\..\\x", "a\x00b", "./x", ""]
)
def test_manifest_of_an_enemy_leads_nowhere(norman, shelf, tmp_path, path: str) -> None:
    shelf.manifest[0]["path"] = path
    with pytest.raises(BundleInvalid):
        norman.download("m")
    assert not shelf.fetched()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../m", "a/b", ".", "m\x00"])
def test_name_of_an_enemy_names_no_folder(norman, shelf, tmp_path, name: str) -> None:
    shelf.name = name
    with pytest.raises(NormanError):
        norman.download("m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["other", "longer", "shorter"])
@pytest.mark.parametrize("path", ["weights/a.bin", "model.py"], ids=["alone", "in a pack"])
def test_bytes_of_another_digest_are_not_kept(
    norman, shelf, tmp_path, change: str, path: str
) -> None:
    data = FILES[path]
    changed = {"other": data[:-1] + b"?", "longer": data + b"?", "shorter": data[:-1]}[change]
    shelf.give(digest_of(data), changed)
    with pytest.raises(BundleInvalid, match=path) as caught:
        norman.download("m")
    assert caught.value.digests == [digest_of(data)]
    assert not list(tmp_path.iterdir())


def test_lost_blob_is_reported_and_nothing_kept(norman, shelf, tmp_path) -> None:
    digest = digest_of(FILES["weights/a.bin"])
    body = {"code": "blob_not_found", "message": "gone", "details": {"digest": digest}}
    shelf.api.routes[f"GET blobs/{digest}"] = lambda request: (
        404,
        {"Content-Type": "application/json"},
        json.dumps(body).encode(),
    )
    with pytest.raises(BlobNotFound) as caught:
        norman.download("m")
    assert caught.value.digest == digest
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "pack", [b"", b"torn", write_pack([("0" * 64, b"strange")])], ids=["empty", "torn", "strange"]
)
def test_pack_that_holds_something_else_is_not_kept(norman, shelf, tmp_path, pack) -> None:
    shelf.api.routes["POST blobs/fetch"] = lambda request: (200, {}, pack)
    with pytest.raises(ProtocolViolation):
        norman.download("m")
    assert not list(tmp_path.iterdir())


def test_caller_who_gives_up_leaves_nothing(norman, shelf, tmp_path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        norman.download("m", on_progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_byte(norman, shelf) -> None:
    told: list[Progress] = []
    norman.download("m", on_progress=told.append)
    total = sum(map(len, FILES.values()))
    received = [progress for progress in told if progress.stage == "receiving"]
    assert (received[0].done_bytes, received[0].total_bytes) == (0, total)
    assert received[-1].done_bytes == total
    assert told[-1].stage == "ready"


def test_folder_that_cannot_be_written_is_told(norman, shelf, tmp_path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(Conflict, match="can't be written"):
        norman.download("m", tmp_path / "plain" / "below")
