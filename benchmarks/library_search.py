"""``python -m benchmarks.library_search``: searching and listing a library of 10,000 models."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from norman_protocol.rest import FileEntry, Manifest, ModelPage, Origin
from norman_protocol.signature import Modality, Parameter, Signature
from norman_server.domain.records import Publication
from norman_server.registry.publishing import finish_version, publish_version
from norman_server.registry.service import Registry
from norman_server.storage.db.registry.rows import RegistryRows
from norman_server.storage.opening import open_storage

__all__ = ["SearchTime", "fill_library", "main", "measure_search"]

_WORDS = [
    *("speech", "digits", "faces", "street", "letters", "weather", "prices", "music", "birds"),
    *("leaves", "roads", "rivers", "small", "large", "quick", "exact", "robust", "quantised"),
    *("distilled", "multilingual", "experimental", "reviewed"),
]
_BATCH = 500
_DESCRIPTION_WORDS = 40
_SIGNATURE = Signature(
    inputs=(Parameter(name="image", modality=Modality.TENSOR, dtype="float32", shape=("n", 64)),),
    outputs=(Parameter(name="label", modality=Modality.TENSOR, dtype="int64", shape=("n",)),),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTime:
    """Latencies of one question, in milliseconds."""

    question: str
    found: int
    p50_ms: float
    p95_ms: float


def fill_library(rows: RegistryRows, numbers: range, versions_each: int) -> None:
    """Publish models with words in their labels, descriptions and tags, each version ready."""
    now = datetime(2031, 1, 1, tzinfo=UTC)
    for number in numbers:
        chosen = random.Random(number)
        name = f"{chosen.choice(_WORDS)}-{chosen.choice(_WORDS)}-{number}"
        for version in range(versions_each):
            publication = _publication(name, version, chosen, now + timedelta(seconds=number))
            for entry in publication.manifest.files:
                rows.blobs.add(entry.digest, entry.size_bytes, now)
            record, _ = publish_version(rows, publication)
            finish_version(rows, record.id, _SIGNATURE, 0.1, now + timedelta(seconds=number))


def _publication(name: str, version: int, chosen: random.Random, now: datetime) -> Publication:
    digests = [hashlib.sha256(f"{name} {version} {i}".encode()).hexdigest() for i in range(3)]
    return Publication(
        name=name,
        user="ada",
        published_at=now,
        identity=digests[0],
        bundle_digest=digests[0],
        manifest=Manifest(
            files=tuple(
                FileEntry(path=f"part-{index}.onnx", digest=digest, size_bytes=1000)
                for index, digest in enumerate(digests)
            )
        ),
        runtime="onnx",
        entry="part-0.onnx",
        interpreter=None,
        declaration=None,
        size_bytes=3000,
        label=f"Release {version + 1}",
        description=" ".join(chosen.choices(_WORDS, k=_DESCRIPTION_WORDS)),
        long_description=None,
        tags=tuple(chosen.sample(_WORDS, 3)),
        origin=Origin(notebook=f"{name}.ipynb", cell_source="x = 1\n" * 20),
        trust=None,
        activate=True,
    )


async def measure_search(registry: Registry, rounds: int) -> list[SearchTime]:
    """Ask each question ``rounds`` times, in turn."""
    names = await registry.models(limit=200)
    middle = names.items[-1].name

    def ask(**question: str) -> Callable[[], Awaitable[ModelPage]]:
        return lambda: registry.models(limit=50, **question)

    questions = {
        "first page": ask(),
        "a later page": ask(cursor=names.next_cursor or ""),
        "a name": ask(search=middle),
        "a common word": ask(search="Quantised"),
        "a rare text": ask(search="reviewed speech exact"),
        "nothing": ask(search="no such text anywhere"),
        "one letter": ask(search="q"),
        "other script": ask(search="Übersetzung"),
    }
    durations: dict[str, list[float]] = {question: [] for question in questions}
    found: dict[str, int] = {}
    for _ in range(rounds):
        for question, run in questions.items():
            began = time.perf_counter()
            page = await run()
            durations[question].append((time.perf_counter() - began) * 1000)
            found[question] = len(page.items)
    return [
        SearchTime(
            question=question,
            found=found[question],
            p50_ms=statistics.median(values),
            p95_ms=statistics.quantiles(values, n=20)[-1],
        )
        for question, values in durations.items()
    ]


async def _run(models: int, versions_each: int, rounds: int) -> list[SearchTime]:
    with tempfile.TemporaryDirectory(prefix="norman-search-") as folder:
        storage = await asyncio.to_thread(open_storage, Path(folder) / "home")
        try:
            for start in range(0, models, _BATCH):
                numbers = range(start, min(start + _BATCH, models))
                await storage.registry.write(
                    partial(fill_library, numbers=numbers, versions_each=versions_each)
                )
                sys.stderr.write(f"\r{numbers.stop:,} models")
            sys.stderr.write("\n")
            return await measure_search(Registry(storage), rounds)
        finally:
            await asyncio.to_thread(storage.close)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where a question's p95 is over the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library_search")
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=3, help="of each model")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--limit-ms", type=float, default=100.0, help="of each question's p95")
    parsed = parser.parse_args(arguments)
    times = asyncio.run(_run(parsed.models, parsed.versions, parsed.rounds))
    sys.stdout.write(f"{'question':<14}  {'found':>5}  {'p50 ms':>8}  {'p95 ms':>8}\n")
    for item in times:
        sys.stdout.write(
            f"{item.question:<14}  {item.found:>5}  {item.p50_ms:>8.2f}  {item.p95_ms:>8.2f}\n"
        )
    return int(any(item.p95_ms > parsed.limit_ms for item in times))


if __name__ == "__main__":
    sys.exit(main())
