"""Measurements as a Markdown table, and its place in the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.load_time import LoadTime
from benchmarks.measure import Measurement
from benchmarks.rows import FAST_PATH, FASTAPI_ROWS, REST, TUNED_ROW

__all__ = ["Report", "describe_machine", "render", "replace_section", "verdicts"]

_BEGIN, _END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
_REST_FACTOR = 3.0
_LOAD_LIMIT_MS = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that one run measured."""

    machine: str
    measurements: Sequence[Measurement]
    load_time: LoadTime


def describe_machine() -> str:
    """Say on what the numbers were taken."""
    packages = ("onnxruntime", "fastapi", "uvicorn", "jupyter_server")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; {python}, {versions}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _reference(measurements: Sequence[Measurement]) -> Measurement:
    """Return the reference service through the faster of its clients."""
    return min(
        (row for row in measurements if row.name in FASTAPI_ROWS), key=lambda row: row.p50_ms
    )


def _tuned(measurements: Sequence[Measurement]) -> Measurement:
    return next(row for row in measurements if row.name == TUNED_ROW)


def render(report: Report) -> str:
    """Return the table and what belongs to it, in Markdown."""
    reference, tuned = _reference(report.measurements), _tuned(report.measurements)
    lines = [
        "| way to the model | p50 | p95 | p99 | calls/s | p50 to FastAPI's | to tuned FastAPI's |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.name} | {row.p50_ms:.3f} ms | {row.p95_ms:.3f} ms | {row.p99_ms:.3f} ms "
        f"| {row.calls_per_s:,.0f} | {row.p50_ms / reference.p50_ms:.2f} "
        f"| {row.p50_ms / tuned.p50_ms:.2f} |"
        for row in report.measurements
    ]
    load = report.load_time
    lines.append(
        f"\n`%load_ext norman_jupyter` adds {load.difference_ms:.0f} ms to the "
        f"{load.bare_ms:.0f} ms that bare IPython takes to start and end (medians of {load.runs} "
        "interleaved runs)."
    )
    lines.append(
        f"\n{report.machine}. {report.measurements[0].calls:,} calls per row, in interleaved "
        "rounds from one client process."
    )
    return "\n".join(lines) + "\n"


def verdicts(report: Report) -> list[str]:
    """Compare with what the project means to reach; one line per aim."""
    p50_ms = {row.name: row.p50_ms for row in report.measurements}
    reference_ms = _reference(report.measurements).p50_ms
    tuned_ms = _tuned(report.measurements).p50_ms
    aims = (
        ("same host faster than FastAPI", p50_ms[FAST_PATH] < reference_ms),
        ("same host faster than tuned FastAPI", p50_ms[FAST_PATH] < tuned_ms),
        ("REST at most 3 times FastAPI", p50_ms[REST] <= _REST_FACTOR * reference_ms),
        ("REST at most 3 times tuned FastAPI", p50_ms[REST] <= _REST_FACTOR * tuned_ms),
        ("%load_ext under 150 ms", report.load_time.difference_ms < _LOAD_LIMIT_MS),
    )
    return [f"{'reached' if reached else 'MISSED '}  {aim}" for aim, reached in aims]


def replace_section(text: str, table: str) -> str:
    """Return a document with the table between its markers.

    Raises
    ------
    ValueError
        The markers aren't there once each, in order.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end or _BEGIN in after or _END in after:
        raise ValueError(f"The document needs {_BEGIN} and then {_END}, once each.")
    return f"{before}{_BEGIN}\n{table}{_END}{after}"
