"""Folders as they come, at their largest: many files and a long one, in little memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from serving import RunningServer, serve

from norman_jupyter import BlockingNorman

_MODEL = "def predict() -> int:\n    return 1\n"
_GROWTH_BYTES = 64 << 20


def peak_growth(processes: list[psutil.Process], work: Callable[[], Any]) -> list[int]:
    """Return by how many bytes each process grew at most while ``work`` ran."""
    before = [process.memory_info().rss for process in processes]
    peaks = list(before)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for index, process in enumerate(processes):
                peaks[index] = max(peaks[index], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return [peak - start for peak, start in zip(peaks, before, strict=True)]


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("transport", ["auto", "rest"])
def test_file_of_2_gib_goes_there_and_back_in_little_memory(
    fresh_server, tmp_path: Path, monkeypatch, transport
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(fresh_server.root / "runtime"))
    folder = tmp_path / "long"
    folder.mkdir()
    (folder / "model.py").write_text(_MODEL)
    block = os.urandom(1 << 20)
    with (folder / "weights.bin").open("wb") as file:
        for number in range(2048):
            file.write(number.to_bytes(8, "big") + block[8:])
    processes = [psutil.Process(fresh_server.process.pid), psutil.Process()]
    with BlockingNorman(fresh_server.url, fresh_server.token, transport=transport) as norman:
        norman.status()
        growth = peak_growth(processes, lambda: norman.upload(folder, trust=True))
        assert max(growth) < _GROWTH_BYTES, growth
        growth = peak_growth(processes, lambda: norman.download("long", tmp_path / "back"))
        assert max(growth) < _GROWTH_BYTES, growth
    assert (tmp_path / "back" / "weights.bin").stat().st_size == 2 << 30


_SLOW_LOOP = """
import asyncio, logging

class Watched(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        loop = super().new_event_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.05
        return loop

asyncio.set_event_loop_policy(Watched())
logging.getLogger("asyncio").addHandler(logging.FileHandler({path!r}))
"""


@pytest.fixture
def watched_server(tmp_path: Path):
    """A server whose loop notes each step that held it for more than 50 ms."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(
        _SLOW_LOOP.format(path=str(tmp_path / "slow.log"))
    )
    with serve(tmp_path) as server:
        yield server


def slow_steps(server: RunningServer) -> list[str]:
    """Return what held the loop; what the debug mode itself costs at the start is passed over."""
    path = server.root / "slow.log"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_20000_files_go_there_and_back_in_little_memory(watched_server, tmp_path: Path) -> None:
    folder, small = tmp_path / "many", tmp_path / "small"
    for number in range(40):
        (folder / f"part-{number}").mkdir(parents=True)
        for place in range(500):
            (folder / f"part-{number}" / f"{place}.txt").write_text(f"{number} {place}")
    (folder / "model.py").write_text(_MODEL)
    small.mkdir()
    (small / "model.py").write_text(_MODEL)
    processes = [psutil.Process(watched_server.process.pid), psutil.Process()]
    with BlockingNorman(watched_server.url, watched_server.token) as norman:
        norman.upload(small, trust=True)  # what any upload needs is there before
        before = len(slow_steps(watched_server))
        growth = peak_growth(processes, lambda: norman.upload(folder, trust=True))
        assert max(growth) < _GROWTH_BYTES, growth
        version = norman.version("many@1")
        assert len(version.manifest.files) == 20_001
        growth = peak_growth(processes, lambda: norman.download("many", tmp_path / "back"))
        assert max(growth) < _GROWTH_BYTES, growth
    assert slow_steps(watched_server)[before:] == []
    for path in folder.rglob("*.txt"):
        back = tmp_path / "back" / path.relative_to(folder)
        assert back.read_bytes() == path.read_bytes()
