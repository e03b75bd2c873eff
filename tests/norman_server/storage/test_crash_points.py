"""A process that ends at any step of storing a blob leaves nothing wrong, and nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doctoring import assert_doctor_clean

from norman_server.registry.service import Registry
from norman_server.storage.blobs.local import LocalBlobStore
from norman_server.storage.opening import open_storage
from tests.storing import send

DATA = bytes(range(256)) * 40_000
DIGEST = hashlib.sha256(DATA).hexdigest()
HALF = len(DATA) // 2

UPLOAD = """
import os, signal, sys
from pathlib import Path
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

home, last, resumed = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "resumed"
data = bytes(range(256)) * 40_000

def end_at(step):
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)

with open_storage(home, checkpoint=end_at) as storage:
    registry = Registry(storage)
    writer = registry.resume_blob(sys.argv[4], 0) if resumed else registry.begin_blob(sys.argv[4])
    for start in range(0, len(data), 100_000):
        if start >= len(data) // 2:
            end_at("half")
        writer.write(data[start : start + 100_000])
    writer.commit()
    end_at("noted")
"""


def upload_until(home: Path, step: str, *, resumed: bool) -> None:
    arguments = [str(home), step, "resumed" if resumed else "whole", DIGEST]
    ended = subprocess.run([sys.executable, "-c", UPLOAD, *arguments], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("step", ["half", "written", "synced", "renamed", "kept", "noted"])
def test_upload_goes_on_after_a_kill(tmp_path, step, resumed):
    home = tmp_path / "home"
    upload_until(home, step, resumed=resumed)
    with open_storage(home) as storage:
        registry = Registry(storage)
        state = asyncio.run(registry.upload_state(DIGEST))
        # What no row names is not acknowledged; what one names is there.
        assert state.stored == (step == "noted")
        assert asyncio.run(registry.missing([DIGEST])) == (() if state.stored else (DIGEST,))
        if resumed and step in {"half", "written", "synced"}:
            assert state.offset >= HALF
        if not state.stored:
            with registry.resume_blob(DIGEST, state.offset) as writer:
                writer.write(DATA[state.offset :])
                assert writer.commit() == len(DATA)
        assert asyncio.run(registry.missing([DIGEST])) == ()
        with registry.open_blob(DIGEST) as blob:
            assert blob.read() == DATA
    # Backups are the server's to make.
    assert_doctor_clean(home, besides="backups")


def test_abandoned_parts_are_swept_and_what_is_written_to_stays(tmp_path):
    with open_storage(tmp_path / "home") as storage:
        asyncio.run(send(Registry(storage), {"model.py": b"kept"}))
    folder = tmp_path / "home" / "blobs"
    store = LocalBlobStore(folder, abandoned_s=3600.0)
    with store.resume(DIGEST, 0) as left, store.resume("0" * 64, 0) as busy:
        left.write(DATA)
        left.suspend()
        busy.write(b"x")
        for path in (folder / "incoming").iterdir():
            os.utime(path, (time.time() - 7200,) * 2)
        store.sweep()
        assert (store.offset(DIGEST), store.offset("0" * 64)) == (0, 1)
        busy.suspend()
    store.sweep()
    assert store.size(hashlib.sha256(b"kept").hexdigest()) == 4
