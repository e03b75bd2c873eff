"""The client process: calls every row, and prints the measurements as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from benchmarks.measure import Plan, measure
from benchmarks.rows import Setting, rows
from benchmarks.tiny_model import INPUT, SAMPLE
from tools.demo.home import DemoHome, live_servers

__all__ = ["announce", "main"]


def announce(text: str) -> None:
    """Show how far things are, where a person watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Measure what `benchmarks.__main__` has started."""
    home, model_path, model_name, fastapi_url, tuned_url, rounds, calls = arguments
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {INPUT: SAMPLE})
    (record,) = live_servers(DemoHome(root=Path(home)))
    setting = Setting(
        model_path=Path(model_path),
        model_name=model_name,
        norman=record,
        fastapi_url=fastapi_url,
        tuned_url=tuned_url,
    )
    plan = Plan(rounds=int(rounds), calls_per_round=int(calls))
    measured = measure(rows(setting), plan, expected=expected, announce=announce)
    json.dump([dataclasses.asdict(measurement) for measurement in measured], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
