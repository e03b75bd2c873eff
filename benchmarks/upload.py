"""``python -m benchmarks.upload``: a large upload against hashing and copying the same file."""

from __future__ import annotations

import argparse
import hashlib
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

from norman_jupyter import BlockingNorman, Progress
from tools.demo.home import DemoHome, prepare, server_environment
from tools.demo.server import start_server

__all__ = ["Sample", "main", "render"]

Connect: TypeAlias = Callable[[], BlockingNorman]

_MIB = 1 << 20
_MODEL = b"def predict() -> int:\n    return 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One upload, beside the baseline of the same round.

    Attributes
    ----------
    baseline_s
        For hashing, copying and syncing the file, right before or right after.
    stored_s
        Until the file's bytes were verified and durable.
    ready_s
        Until the version served, laid out for its worker.
    sent_bytes
        What the client sent, and over a descriptor what the server copied.
    """

    way: str
    baseline_s: float
    stored_s: float
    ready_s: float
    sent_bytes: int

    @property
    def ratio(self) -> float:
        """The upload's speed, of the baseline's."""
        return self.baseline_s / self.stored_s


def render(samples: Sequence[Sample], size_bytes: int) -> str:
    """Write the medians of each way as a Markdown table, the ratios with their range.

    Examples
    --------
    >>> times = dict(stored_s=2.0, ready_s=3.0, sent_bytes=1 << 20)
    >>> rest = [Sample(way="REST", baseline_s=base, **times) for base in (1.0, 1.5, 1.8)]
    >>> print(render(rest, 1 << 20))
    | way | hash, copy, sync, s | stored, s | of the baseline | ready, s | sent of the file |
    |---|---|---|---|---|---|
    | REST | 1.50 | 2.00 | 0.75 (0.50 to 0.90) | 3.00 | 100.0% |
    """
    lines = [
        "| way | hash, copy, sync, s | stored, s | of the baseline | ready, s | sent of the file |",
        "|---|---|---|---|---|---|",
    ]
    for way in dict.fromkeys(sample.way for sample in samples):
        found = [sample for sample in samples if sample.way == way]
        ratios = [sample.ratio for sample in found]
        cells = (
            way,
            f"{median(sample.baseline_s for sample in found):.2f}",
            f"{median(sample.stored_s for sample in found):.2f}",
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{median(sample.ready_s for sample in found):.2f}",
            f"{max(sample.sent_bytes for sample in found) / size_bytes:.1%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
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


def _settle(size_bytes: int) -> None:
    """Give each measurement the same machine: nothing left to write, and memory that is there.

    A virtual machine gives free memory back to its host. The first touch of such a page costs more
    than copying it, and whoever comes first would pay for all.
    """
    os.sync()
    with mmap.mmap(-1, 2 * size_bytes) as memory:
        step = bytes(range(256)) * (_MIB // 256)
        for start in range(0, len(memory) - _MIB + 1, _MIB):
            memory[start : start + _MIB] = step


def _baseline(folder: Path, root: Path) -> float:
    """Hash, copy and sync the folder's large file, and return the seconds that took."""
    # Kept until the end: a copy in the place of one that was removed costs less than a first one.
    source, target = folder / "weights.bin", root / f"copy-of-{folder.name}"
    _settle(source.stat().st_size)
    begun = time.perf_counter()
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - begun


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    stored_s: float
    ready_s: float
    sent_bytes: int


def _upload(norman: BlockingNorman, folder: Path, blobs: Path | None) -> _Upload:
    """Upload a folder; with ``blobs`` count what was copied there, else what was sent."""
    _settle((folder / "weights.bin").stat().st_size)
    begun = stored = time.perf_counter()
    hashed_bytes = sent_bytes = 0

    def tell(progress: Progress) -> None:
        nonlocal stored, hashed_bytes, sent_bytes
        if progress.stage in ("hashing", "sending"):
            stored = time.perf_counter()
        if progress.stage == "hashing":  # over a descriptor the server hashes what is large
            hashed_bytes = max(hashed_bytes, progress.done_bytes)
        if progress.stage == "sending":
            sent_bytes = max(sent_bytes, progress.done_bytes)

    before = 0 if blobs is None else _disk_bytes(blobs)
    version = norman.upload(folder, name=folder.name, trust=True, on_progress=tell)
    ready = time.perf_counter()
    if version.state != "ready":
        raise RuntimeError(f"{version.reference} is {version.state}")
    if (blobs is None) != (hashed_bytes > _MIB) and sent_bytes:
        raise RuntimeError("the upload didn't take the way that is measured")
    return _Upload(
        stored_s=stored - begun,
        ready_s=ready - begun,
        sent_bytes=sent_bytes if blobs is None else _disk_bytes(blobs) - before,
    )


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _measure(size_bytes: int, rounds: int, root: Path) -> list[Sample]:
    """Measure each way in turn, each beside a baseline: a disk is not always equally fast."""
    home = DemoHome(root=root / "home")
    prepare(home, fresh=True)
    blobs = home.root / "data" / "norman" / "blobs"
    samples = []
    with start_server(home) as server:
        os.environ.update(server_environment(home, os.environ))
        for number in range(rounds):
            ways: tuple[tuple[str, Connect, Path | None], ...] = (
                ("same host", BlockingNorman, blobs),  # finds the server by its record
                ("REST", partial(BlockingNorman, server.url, server.token), None),
            )
            for way, connect, counted in ways:
                folder = _make_folder(root / f"{way.split()[0].lower()}-{number}", size_bytes)
                with connect() as norman:
                    upload = partial(_upload, norman, folder, counted)
                    if number % 2:  # neither is always the one that comes first
                        found, baseline_s = upload(), _baseline(folder, root)
                    else:
                        baseline_s, found = _baseline(folder, root), upload()
                    for name, one in ((way, found), (f"{way}, again", upload())):
                        samples.append(Sample(way=name, baseline_s=baseline_s, **asdict(one)))
                shutil.rmtree(folder)
    return samples


def main(arguments: Sequence[str] | None = None, write: Callable[[str], object] = print) -> int:
    """Measure and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=2048, help="of the file")
    parser.add_argument("--rounds", type=int, default=3, help="the table shows their medians")
    parser.add_argument("--folder", help="where the disk to be measured is; else the temporary one")
    parsed = parser.parse_args(arguments)
    size_bytes = parsed.size_mib * _MIB
    with tempfile.TemporaryDirectory(prefix="norman-bench-", dir=parsed.folder) as folder:
        write(render(_measure(size_bytes, parsed.rounds, Path(folder)), size_bytes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
