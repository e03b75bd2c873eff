"""``python -m benchmarks.upload``: a large upload against hashing and copying the same file."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from norman_jupyter import BlockingNorman, Progress
from tools.demo.home import DemoHome, prepare, server_environment
from tools.demo.server import start_server

__all__ = ["Row", "main", "render"]

_MIB = 1 << 20
_MODEL = b"def predict() -> int:\n    return 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of bringing the file there.

    Attributes
    ----------
    stored_s
        Until its bytes were verified and durable.
    ready_s
        Until the version served, laid out for its worker; None where there is no version.
    sent_bytes
        What the client sent, and over a descriptor what the server copied; None for the baseline.
    """

    name: str
    stored_s: float
    ready_s: float | None = None
    sent_bytes: int | None = None


def render(rows: Sequence[Row], size_bytes: int) -> str:
    """Write the rows as a Markdown table, each against the baseline that stands before it.

    Examples
    --------
    >>> rest = Row(name="REST", stored_s=2.0, ready_s=3.0, sent_bytes=1 << 20)
    >>> print(render([Row(name="base", stored_s=1.0), rest], 1 << 20))
    | way | stored, s | MiB/s | of the baseline | ready, s | sent of the file |
    |---|---|---|---|---|---|
    | base | 1.00 | 1 | 1.00 |  |  |
    | REST | 2.00 | 0 | 0.50 | 3.00 | 100.0% |
    """
    lines = [
        "| way | stored, s | MiB/s | of the baseline | ready, s | sent of the file |",
        "|---|---|---|---|---|---|",
    ]
    baseline_s = rows[0].stored_s
    for row in rows:
        rate = size_bytes / _MIB / row.stored_s
        if row.ready_s is None:
            baseline_s = row.stored_s
        ratio = baseline_s / row.stored_s
        ready = "" if row.ready_s is None else f"{row.ready_s:.2f}"
        sent = "" if row.sent_bytes is None else f"{row.sent_bytes / size_bytes:.1%}"
        lines.append(
            f"| {row.name} | {row.stored_s:.2f} | {rate:.0f} | {ratio:.2f} | {ready} | {sent} |"
        )
    return "\n".join(lines)


def _make_folder(folder: Path, size_bytes: int) -> Path:
    folder.mkdir()
    (folder / "model.py").write_bytes(_MODEL)
    with (folder / "weights.bin").open("wb") as file:
        for start in range(0, size_bytes, 16 * _MIB):
            file.write(os.urandom(min(16 * _MIB, size_bytes - start)))
        file.flush()
        os.fsync(file.fileno())
    return folder


def _baseline(folder: Path, root: Path) -> float:
    """Hash, copy and sync the folder's large file, and return the seconds that took."""
    # Kept until the end: a copy in the place of one that was removed costs less than a first one.
    source, target = folder / "weights.bin", root / f"copy-{len(list(root.iterdir()))}"
    os.sync()  # what was written before is not to be waited for again
    begun = time.perf_counter()
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begun
    os.sync()
    return seconds


def _measure_upload(name: str, norman: BlockingNorman, folder: Path, blobs: Path | None) -> Row:
    """Upload a folder; with ``blobs`` count what was copied there, else what was sent."""
    begun = stored = time.perf_counter()
    sent_bytes = 0

    def tell(progress: Progress) -> None:
        nonlocal stored, sent_bytes
        if progress.stage in ("hashing", "sending"):
            stored = time.perf_counter()
        if progress.stage == "sending":
            sent_bytes = max(sent_bytes, progress.done_bytes)

    before = 0 if blobs is None else _disk_bytes(blobs)
    version = norman.upload(folder, name=folder.name, trust=True, on_progress=tell)
    ready = time.perf_counter()
    if version.state != "ready":
        raise RuntimeError(f"{version.reference} is {version.state}")
    return Row(
        name=name,
        stored_s=stored - begun,
        ready_s=ready - begun,
        sent_bytes=sent_bytes if blobs is None else _disk_bytes(blobs) - before,
    )


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _measure(size_bytes: int, root: Path) -> list[Row]:
    """Measure each way between two baselines of its own: a disk is not always equally fast."""
    home = DemoHome(root=root / "home")
    prepare(home, fresh=True)
    here = _make_folder(root / "here", size_bytes)
    there = _make_folder(root / "there", size_bytes)
    rows = []
    with start_server(home) as server:
        os.environ.update(server_environment(home, os.environ))
        ways: tuple[tuple[str, Literal["auto", "rest"], Path], ...] = (
            ("same host", "auto", here),
            ("same host, again", "auto", here),
            ("REST", "rest", there),
            ("REST, again", "rest", there),
        )
        for name, transport, folder in ways:
            with BlockingNorman(server.url, server.token, transport=transport) as norman:
                blobs = home.root / "data" / "norman" / "blobs" if transport == "auto" else None
                before = _baseline(folder, root)
                measured = _measure_upload(name, norman, folder, blobs)
                after = _baseline(folder, root)
                rows.append(Row(name="hash, copy, sync", stored_s=(before + after) / 2))
                rows.append(measured)
    return rows


def main(arguments: Sequence[str] | None = None, write: Callable[[str], object] = print) -> int:
    """Measure and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=2048, help="of the file")
    parser.add_argument("--folder", help="where the disk to be measured is; else the temporary one")
    parsed = parser.parse_args(arguments)
    size_bytes = parsed.size_mib * _MIB
    with tempfile.TemporaryDirectory(prefix="norman-bench-", dir=parsed.folder) as folder:
        write(render(_measure(size_bytes, Path(folder)), size_bytes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
