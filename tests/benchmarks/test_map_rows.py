"""The benchmark of maps runs, and gives a row for each way beside the calls one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_small_run_gives_every_row(tmp_path):
    # A process of its own, as for a person: the benchmark sets its environment.
    command = [sys.executable, "-m", "benchmarks.map_rows"]
    ran = subprocess.run(
        [*command, "--rows", "20", "--rounds", "1", "--in-flight", "4"],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    lines = [line.strip("| ").split(" | ") for line in ran.stdout.splitlines()[2:]]
    assert [tuple(line[:3]) for line in lines] == [
        (model, way, calls)
        for model in ("plain", "tiny")
        for way in ("same host", "REST")
        for calls in ("one by one", "map, 4 in flight")
    ]
    assert [line[-1] for line in lines[::2]] == ["1.00"] * 4
