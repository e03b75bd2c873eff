"""A server that is killed while it takes an upload in: the upload goes on with its successor."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from serving import RunningServer, serve

from norman_jupyter import BlockingNorman, Progress

MODEL = b"def predict() -> int:\n    return 7\n"
SIZE_BYTES = 48 << 20


class Killer:
    """Kills the server each time that so many bytes were sent, and starts another one."""

    def __init__(self, root: Path, servers: contextlib.ExitStack, offsets: list[int]) -> None:
        self.servers = servers
        self.root = root
        self.offsets = offsets
        self.kept: list[int] = []
        self.server: RunningServer = servers.enter_context(serve(root))
        self.restarting = threading.Thread()

    def __call__(self, progress: Progress) -> None:
        if progress.stage != "sending" or not self.offsets or self.restarting.is_alive():
            return
        if progress.done_bytes >= self.offsets[0]:
            self.offsets.pop(0)
            self.server.process.kill()
            self.server.process.wait()
            parts = [*self.server.home.glob("blobs/incoming/*.partial")]
            self.kept.append(sum(part.stat().st_size for part in parts))
            self.restarting = threading.Thread(target=self.restart)
            self.restarting.start()

    def restart(self) -> None:
        self.server = self.servers.enter_context(serve(self.root))


@pytest.mark.parametrize("seed", [1, 2])
def test_upload_resumes_after_kills_of_the_server(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    folder = tmp_path / "resumed"
    folder.mkdir()
    (folder / "model.py").write_bytes(MODEL)
    data = os.urandom(SIZE_BYTES)
    (folder / "weights.bin").write_bytes(data)
    offsets = sorted(random.Random(seed).sample(range(SIZE_BYTES), 3))
    sent: list[Progress] = []
    with contextlib.ExitStack() as servers:
        killer = Killer(tmp_path, servers, offsets)

        def tell(progress: Progress) -> None:
            sent.append(progress)
            killer(progress)

        with BlockingNorman(transport="rest") as norman:
            version = norman.upload(folder, trust=True, on_progress=tell)
            assert version.state == "ready"
            killer.restarting.join()
            assert not killer.offsets
            assert norman.invoke("resumed").value == 7
            # What the killed servers had taken in was not sent again.
            assert killer.kept == sorted(killer.kept)
            assert killer.kept[-1] > 0
            with killer.server.client() as client:
                stored = client.get(f"blobs/{sha256(data).hexdigest()}").content
            assert stored == data
        assert not [*killer.server.home.glob("blobs/incoming/*")]
