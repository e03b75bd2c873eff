"""The benchmark of uploads runs, and says what was sent."""

from __future__ import annotations

from benchmarks.upload import main


def test_small_run_gives_every_row(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, "unused")  # what the benchmark sets is undone with these
    written: list[str] = []
    assert main(["--size-mib", "16", "--folder", str(tmp_path)], written.append) == 0
    rows = [line.strip("| ").split(" | ") for line in written[0].splitlines()[2:]]
    assert [row[0] for row in rows] == [
        "hash, copy, sync",
        "same host",
        "same host, again",
        "REST",
        "REST, again",
    ]
    sent = [row[-1] for row in rows[1:]]
    assert sent[0].startswith("100")
    assert sent[2].startswith("100")
    assert (sent[1], sent[3]) == ("0.0%", "0.0%")
