"""The benchmark of uploads runs, and says what was sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_small_run_gives_every_row(tmp_path):
    # A process of its own, as for a person: the benchmark sets its environment.
    command = [sys.executable, "-m", "benchmarks.upload", "--size-mib", "16", "--rounds", "2"]
    ran = subprocess.run(
        [*command, "--folder", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
    rows = [line.strip("| ").split(" | ") for line in lines[1:]]
    assert [row[0] for row in rows] == ["same host", "same host, again", "REST", "REST, again"]
    sent = [row[-1] for row in rows]
    assert sent[0].startswith("100")
    assert sent[2].startswith("100")
    assert (sent[1], sent[3]) == ("0.0%", "0.0%")
