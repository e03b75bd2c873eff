"""A server that is killed while it takes an upload in: the upload goes on with its successor."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from doctoring import assert_doctor_clean, assert_server_clean
from serving import RunningServer, serve, until

from norman_jupyter import BlockingNorman, BundleInvalid, Norman, Progress

MODEL = b"def predict() -> int:\n    return 7\n"
SIZE_BYTES = 48 << 20
KILLS = 5
"""Of each upload: twenty in all, at offsets that a seed chooses."""


class Killer:
    """Kills the server each time that so many bytes were sent, and starts another one."""

    def __init__(
        self, root: Path, servers: contextlib.ExitStack, offsets: list[int], *, handed_over: bool
    ) -> None:
        self.handed_over = handed_over
        self.servers = servers
        self.root = root
        self.offsets = offsets
        self.first = offsets[0]
        self.begun_anew = False
        self.kept: list[int] = []
        self.server: RunningServer = servers.enter_context(serve(root))
        self.restarting: threading.Thread | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.stage != "sending" or not self.offsets:
            return
        if self.handed_over and len(self.kept) == 1 and not self.begun_anew:
            # What the killed server had said of its copy is still being read.
            self.begun_anew = progress.done_bytes < self.first
            return
        if progress.done_bytes >= self.offsets[0]:
            self.restarted()
            self.offsets.pop(0)
            if self.kept or not self.handed_over:
                # What is sent may lie in the sockets' buffers yet: some of it is to be on disk.
                until(lambda: self.size_bytes() > 0)
            self.server.process.kill()
            self.server.process.wait()
            self.kept.append(self.size_bytes())
            self.restarting = threading.Thread(target=self.restart)
            self.restarting.start()

    def size_bytes(self) -> int:
        parts = self.server.home.glob("blobs/incoming/*.partial")
        return sum(part.stat().st_size for part in parts)

    def restarted(self) -> None:
        if self.restarting is not None:
            self.restarting.join()

    def restart(self) -> None:
        self.server = self.servers.enter_context(serve(self.root))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("seed", "transport"), [(1, "rest"), (2, "rest"), (3, "auto"), (4, "auto")]
)
def test_upload_resumes_after_kills_of_the_server(tmp_path, monkeypatch, seed, transport):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    folder = tmp_path / "resumed"
    folder.mkdir()
    (folder / "model.py").write_bytes(MODEL)
    data = os.urandom(SIZE_BYTES)
    (folder / "weights.bin").write_bytes(data)
    offsets = sorted(random.Random(seed).sample(range(SIZE_BYTES), KILLS))
    sent: list[Progress] = []
    with contextlib.ExitStack() as servers:
        killer = Killer(tmp_path, servers, offsets, handed_over=transport == "auto")

        def tell(progress: Progress) -> None:
            sent.append(progress)
            killer(progress)

        with BlockingNorman(transport=transport) as norman:
            version = norman.upload(folder, trust=True, on_progress=tell)
            assert version.state == "ready"
            killer.restarted()
            assert not killer.offsets
            assert norman.invoke("resumed").value == 7
            # What the killed servers had taken in was not sent again.
            assert killer.kept == sorted(killer.kept)
            assert killer.kept[-1] > 0
            if transport == "auto":
                assert killer.kept[0] == 0  # copied by the server itself, and begun anew
            with killer.server.client() as client:
                stored = client.get(f"blobs/{sha256(data).hexdigest()}").content
                assert_server_clean(client)
            assert stored == data
        assert not [*killer.server.home.glob("blobs/incoming/*")]
        home = killer.server.home
    assert_doctor_clean(home)


async def test_large_file_of_this_host_is_not_sent_and_not_stored_twice(
    norman_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(norman_server.root / "runtime"))
    folder = tmp_path / "handed-over"
    folder.mkdir()
    (folder / "model.py").write_bytes(MODEL)
    (folder / "weights.bin").write_bytes(os.urandom(SIZE_BYTES))
    told: list[Progress] = []
    async with Norman(norman_server.url, norman_server.token) as norman:
        first = await norman.upload(folder, trust=True, on_progress=told.append)
        hashed = [progress for progress in told if progress.stage == "hashing"]
        sent = [progress for progress in told if progress.stage == "sending"]
        assert hashed[-1].total_bytes == len(MODEL)  # the rest is hashed where it is copied
        assert max(progress.done_bytes for progress in sent) == SIZE_BYTES
        before = disk_bytes(norman_server.home / "blobs")
        again = await norman.upload(folder, trust=True)
        assert (again.reference, again.created) == (first.reference, False)
        assert disk_bytes(norman_server.home / "blobs") == before
        (digest,) = [file.digest for file in first.manifest.files if file.path == "weights.bin"]
        assert digest == sha256((folder / "weights.bin").read_bytes()).hexdigest()


async def test_file_that_changes_while_it_is_copied_is_named(norman_server, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(norman_server.root / "runtime"))
    path = tmp_path / "changing"
    path.mkdir()
    (path / "model.py").write_bytes(MODEL)
    weights = path / "weights.bin"
    weights.write_bytes(os.urandom(SIZE_BYTES))

    def change(progress: Progress) -> None:
        if progress.stage == "sending" and progress.done_bytes:
            weights.write_bytes(b"other")

    async with Norman(norman_server.url, norman_server.token) as norman:
        with pytest.raises(BundleInvalid, match=r"'weights\.bin' changed"):
            await norman.upload(path, trust=True, on_progress=change)


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
