"""``python -m benchmarks.invocation_list``: lists of recorded calls among a million of them."""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from norman_protocol.identifiers import first_id_at
from norman_protocol.messages import Caller, InvocationState, Timings
from norman_server.domain.records import InvocationEnd, InvocationRecord
from norman_server.invocations.service import InvocationLog
from norman_server.storage.opening import open_storage

if TYPE_CHECKING:
    from norman_server.storage.db.invocations.rows import InvocationRows

__all__ = ["QUESTIONS", "main", "make_records"]

_BATCH: Final = 5000
_MODELS: Final = 200
_FIRST_DAY: Final = datetime(2031, 1, 1, tzinfo=UTC)
_SPAN: Final = timedelta(days=30)
_LIMIT_MS: Final = 200.0
_STATES: Final[tuple[tuple[InvocationState, float], ...]] = (
    ("failed", 0.01),
    ("timed_out", 0.001),
    ("cancelled", 0.001),
    ("interrupted", 0.0001),
)
_LAST_DAY: Final = _FIRST_DAY + _SPAN - timedelta(days=1)

QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "newest": {},
    "a page of 200": {"limit": 200},
    "deep in the list": {"cursor": first_id_at((_FIRST_DAY + timedelta(days=2)).timestamp())},
    "one busy model": {"model": "model-0"},
    "one rare model": {"model": f"model-{_MODELS - 1}"},
    "one version": {"model": "model-0@3"},
    "a version that is not there": {"model": "model-0@99"},
    "failed": {"state": "failed"},
    "interrupted": {"state": "interrupted"},
    "interrupted of a rare model": {"model": f"model-{_MODELS - 1}", "state": "interrupted"},
    "interrupted of one version": {"model": "model-0@3", "state": "interrupted"},
    "since yesterday": {"since": _LAST_DAY},
    "failed since yesterday": {"since": _LAST_DAY, "state": "failed"},
    "since tomorrow": {"since": _FIRST_DAY + _SPAN},
}
"""What is asked, by name: arguments of `InvocationLog.page`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    question: str
    median_ms: float
    p95_ms: float
    items: int


def make_records(count: int, seed: int = 7) -> Iterator[InvocationRecord]:
    """Give so many calls over thirty days; few models get most of them, as in life."""
    chance = random.Random(seed)
    for index in range(count):
        accepted_at = _FIRST_DAY + _SPAN * (index / count)
        state = _state(chance.random())
        model = int(_MODELS * chance.random() ** 4)
        yield InvocationRecord(
            id=f"{first_id_at(accepted_at.timestamp())}7{index:019x}",
            executor_id="benchmark",
            version_id=f"version-{model}",
            reference=f"model-{model}@{chance.randint(1, 5)}",
            caller=Caller(user="ada", kernel_id=None),
            accepted_at=accepted_at,
            input_bytes=1024,
            inputs=None,
            state=state,
            end=_end(state, accepted_at),
        )


def _state(draw: float) -> InvocationState:
    for state, share in _STATES:
        if draw < share:
            return state
        draw -= share
    return "succeeded"


def _end(state: InvocationState, accepted_at: datetime) -> InvocationEnd:
    is_error = state != "succeeded"
    return InvocationEnd(
        state=state,
        ended_at=accepted_at + timedelta(milliseconds=3),
        timings=Timings(queue_s=0.0002, model_s=0.002, total_s=0.003),
        output_bytes=0 if is_error else 64,
        error_code="model_failed" if is_error else None,
        error_message="ValueError: it is said so here" if is_error else None,
        error_details={"traceback": "line\n" * 40} if is_error else {},
        logs="a line that the model printed\n" * 20,
        outputs=None,
    )


async def _measure(home: Path, count: int, rounds: int) -> list[_Row]:
    with open_storage(home) as storage:
        batch: list[InvocationRecord] = []
        started = time.perf_counter()
        for record in make_records(count):
            batch.append(record)
            if len(batch) == _BATCH:
                await storage.invocations.write(partial(_add, batch))
                batch = []
        await storage.invocations.write(partial(_add, batch))
        used_bytes = await storage.invocations.read(lambda rows: rows.used_bytes())
        sys.stderr.write(
            f"{count:,} records, {used_bytes / 1e6:,.0f} MB, "
            f"written in {time.perf_counter() - started:.0f} s\n"
        )
        log = InvocationLog(storage)
        return [await _ask(log, name, query, rounds) for name, query in QUESTIONS.items()]


def _add(records: Sequence[InvocationRecord], rows: InvocationRows) -> None:
    rows.add(records)


async def _ask(log: InvocationLog, name: str, query: dict[str, Any], rounds: int) -> _Row:
    times = []
    items = 0
    for _ in range(rounds):
        started = time.perf_counter()
        # As the route does: what was called just now is in the list.
        await log.import_journal()
        items = len((await log.page(**query)).items)
        times.append((time.perf_counter() - started) * 1e3)
    p95_ms = statistics.quantiles(times, n=20)[-1]
    return _Row(question=name, median_ms=statistics.median(times), p95_ms=p95_ms, items=items)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; return 1 where a list takes too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.invocation_list")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=50)
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="norman-bench-") as folder:
        rows = asyncio.run(_measure(Path(folder) / "home", parsed.records, parsed.rounds))
    sys.stdout.write("| list | items | median | p95 |\n|---|---:|---:|---:|\n")
    for row in rows:
        sys.stdout.write(
            f"| {row.question} | {row.items} | {row.median_ms:.1f} ms | {row.p95_ms:.1f} ms |\n"
        )
    worst = max(row.p95_ms for row in rows)
    verdict = "holds" if worst <= _LIMIT_MS else "is MISSED"
    sys.stdout.write(f"\np95 at most {_LIMIT_MS:g} ms {verdict}: {worst:.1f} ms at worst\n")
    return 0 if worst <= _LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
