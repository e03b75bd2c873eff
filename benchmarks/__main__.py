"""``python -m benchmarks``: measure every row in one run, and write benchmarks/results/."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from benchmarks.load_time import measure_load_time
from benchmarks.measure import Measurement, Plan, measure
from benchmarks.rows import Setting, rows, start_fastapi
from benchmarks.table import Report, describe_machine, render, replace_section, verdicts
from benchmarks.tiny_model import INPUT, SAMPLE, write_tiny_model
from norman_jupyter import BlockingNorman
from tools.demo.home import DemoHome, prepare
from tools.demo.server import start_server

_FOLDER = Path(__file__).resolve().parent
_README = _FOLDER.parent / "README.md"
_MODEL_NAME = "tiny"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _measure_calls(plan: Plan) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="norman-bench-") as folder:
        model_path = write_tiny_model(Path(folder) / f"{_MODEL_NAME}.onnx")
        session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
        (expected,) = session.run(None, {INPUT: SAMPLE})
        home = DemoHome(root=Path(folder) / "home")
        prepare(home, fresh=True)
        with start_server(home) as server, start_fastapi(model_path) as fastapi_url:
            with BlockingNorman(server.url, server.token) as norman:
                norman.upload(model_path, name=_MODEL_NAME)
            setting = Setting(
                model_path=model_path,
                model_name=_MODEL_NAME,
                norman=server,
                fastapi_url=fastapi_url,
            )
            return measure(rows(setting), plan, expected=expected, announce=_progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--calls", type=int, default=Plan().calls_per_round, help="per round")
    parser.add_argument("--starts", type=int, default=15, help="of IPython, with and without")
    parser.add_argument("--update-readme", action="store_true", help="put the table there")
    parsed = parser.parse_args(arguments)
    plan = Plan(rounds=parsed.rounds, calls_per_round=parsed.calls)
    report = Report(
        machine=describe_machine(),
        measurements=_measure_calls(plan),
        load_time=measure_load_time(parsed.starts, announce=_progress),
    )
    _progress("")
    table = render(report)
    results = _FOLDER / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.md").write_text(table, encoding="utf-8")
    facts = json.dumps(dataclasses.asdict(report), indent=2)
    (results / "latest.json").write_text(facts + "\n", encoding="utf-8")
    if parsed.update_readme:
        text = _README.read_text(encoding="utf-8")
        _README.write_text(replace_section(text, table), encoding="utf-8")
    sys.stdout.write(table + "\n" + "\n".join(verdicts(report)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
