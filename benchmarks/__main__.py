"""``python -m benchmarks``: measure every row in one run, and write benchmarks/results/."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.client import announce
from benchmarks.load_time import measure_load_time
from benchmarks.measure import Measurement, Plan
from benchmarks.rows import start_fastapi
from benchmarks.table import Report, describe_machine, render, replace_section, verdicts
from benchmarks.tiny_model import write_tiny_model
from norman_jupyter import BlockingNorman
from norman_protocol.decoding import decode, parse_json
from tools.demo.home import DemoHome, prepare, server_environment
from tools.demo.server import start_server

_FOLDER = Path(__file__).resolve().parent
_README = _FOLDER.parent / "README.md"
_MODEL_NAME = "tiny"


def _measure_calls(plan: Plan) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="norman-bench-") as folder:
        model_path = write_tiny_model(Path(folder) / f"{_MODEL_NAME}.onnx")
        home = DemoHome(root=Path(folder) / "home")
        prepare(home, fresh=True)
        with (
            start_server(home) as server,
            start_fastapi(model_path, tuned=False) as fastapi_url,
            start_fastapi(model_path, tuned=True) as tuned_url,
        ):
            with BlockingNorman(server.url, server.token) as norman:
                norman.upload(model_path, name=_MODEL_NAME)
            command = [sys.executable, "-m", "benchmarks.client", str(home.root), str(model_path)]
            command += [_MODEL_NAME, fastapi_url, tuned_url]
            command += [str(plan.rounds), str(plan.calls_per_round)]
            # A process of its own, since the way on the same host is found by the environment.
            answer = subprocess.run(
                command,
                env=server_environment(home, os.environ),
                stdout=subprocess.PIPE,
                check=True,
            )
    return [decode(Measurement, item) for item in parse_json(answer.stdout)]


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
        load_time=measure_load_time(parsed.starts, announce=announce),
    )
    announce("")
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
