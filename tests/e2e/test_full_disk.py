"""A disk that is full, or read-only: told as such, nothing is lost, and it recovers."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from doctoring import assert_doctor_clean, assert_server_clean
from serving import JUPYTER_SERVER, explained, launch, serve, until, upload

from norman_jupyter import BlockingNorman
from norman_protocol.errors import StorageFull

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk"),
]

MODEL = b"def predict(x: int = 1, text: str = '') -> int:\n    return x + 1\n"
DISK_BYTES = 48 << 20
SPARE_BYTES = 2 << 20


def run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path):
    folder.mkdir()
    if not run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)):
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield folder
    finally:
        until(lambda: run("umount", str(folder)))


@pytest.fixture
def home(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        home = disk / "home"
        home.mkdir(mode=0o700)
        yield home


def options(home):
    return [f"--NormanExtension.home={home}"]


@contextmanager
def filled(home, spare_bytes):
    """Fill the disk up to a few bytes."""
    ballast = home.parent / "ballast"
    facts = os.statvfs(home)
    size = facts.f_bavail * facts.f_frsize - spare_bytes
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk_answers_507_on_every_way_and_recovers(home, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    large = os.urandom(8 << 20)
    digest = sha256(large).hexdigest()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.py").write_bytes(MODEL)
    (folder / "weights.bin").write_bytes(large)
    with serve(tmp_path, options(home)) as server, server.client() as client:
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
        with filled(home, SPARE_BYTES):
            whole = client.put(f"blobs/{digest}", content=large)
            assert (whole.status_code, whole.json()["code"]) == (507, "storage_full")
            assert "Make room" in whole.json()["message"]
            part = {"Upload-Offset": "0", "Upload-Length": str(len(large))}
            begun = client.put(f"blobs/{digest}", content=large, headers=part)
            assert begun.status_code == 507
            # What came of it is not kept: it would hold the room that is lacking.
            assert client.get(f"blobs/{digest}/upload").json()["offset"] == 0
            for transport in ("auto", "rest"):
                with BlockingNorman(server.url, server.token, transport=transport) as norman:
                    with pytest.raises(StorageFull):
                        norman.upload(folder, name="n", trust=True)
                    # What stands goes on to serve.
                    assert norman.invoke("m", x=4).value == 5
            assert client.head(f"blobs/{digest}").status_code == 404
        with BlockingNorman(server.url, server.token) as norman:
            assert norman.upload(folder, name="n", trust=True).state == "ready"
            assert norman.invoke("n", x=1).value == 2
        assert_server_clean(client, besides="disk")
    assert_doctor_clean(home, besides="disk")


def test_a_disk_without_a_byte_left_refuses_calls_and_goes_on_afterwards(home, tmp_path):
    """Neither the journal nor the databases can grow."""
    with serve(tmp_path, options(home)) as server, server.client() as client:
        first = upload(client, "m", {"model.py": MODEL}, trust=True)
        assert first["state"] == "ready"

        def call(text=""):
            inputs = {"x": 1, "text": text}
            return client.post("invocations", json={"reference": "m", "inputs": inputs})

        assert call().status_code == 200
        with filled(home, 0):
            until(lambda: call("x" * 50_000).status_code == 507)
            refused = call("x" * 50_000)
            assert refused.json()["code"] == "storage_full"
            published = client.post(
                "models/m/versions",
                json={"manifest": first["manifest"], "trust": True, "tags": ["t"]},
            )
            assert published.status_code in (200, 507)
            assert client.get("models/m").status_code == 200
        assert call().json()["outputs"] == {"output": 2}
        assert upload(client, "m", {"model.py": MODEL + b"# 2"}, trust=True)["number"] == 2
        assert_server_clean(client, besides="disk")
    assert_doctor_clean(home, besides="disk")


def test_a_disk_that_turned_read_only_is_told_and_served_again(home, tmp_path):
    disk = str(home.parent)
    with serve(tmp_path, options(home)) as server, server.client() as client:
        assert upload(client, "m", {"model.py": MODEL}, trust=True)["state"] == "ready"
    assert run("mount", "-o", "remount,ro", disk)
    try:
        with launch(tmp_path, options(home), JUPYTER_SERVER) as (_, environment):
            answer = explained(tmp_path, environment)
            said = answer()
            assert said.status_code == 503
            assert "may not write" in said.json()["message"]
            assert run("mount", "-o", "remount,rw", disk)
            models = until(lambda: found if (found := answer()).status_code == 200 else None)
            assert models.json()["items"][0]["name"] == "m"
    finally:
        run("mount", "-o", "remount,rw", disk)
    assert_doctor_clean(home, besides="disk")
