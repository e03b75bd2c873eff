"""``python -m benchmarks.map_rows``: rows per second of ``map()`` against calls one by one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.tiny_model import INPUT, write_tiny_model
from norman_jupyter import BlockingNorman
from tools.demo.home import DemoHome, prepare, server_environment
from tools.demo.server import start_server

__all__ = ["Sample", "main", "render"]

_ROWS_SEED = 11
_PLAIN = "def predict(x: float) -> float:\n    return 2 * x\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One pass over the rows.

    Attributes
    ----------
    model, way
        What was called, and over what.
    in_flight
        How many calls were under way at once; 0: one by one, with ``invoke``.
    rows_per_s
        Until the last answer was there, in order.
    """

    model: str
    way: str
    in_flight: int
    rows_per_s: float


def render(samples: Sequence[Sample]) -> str:
    """Write the medians as a Markdown table, each beside the calls one by one of the same run.

    Examples
    --------
    >>> pairs = [(0, 500.0), (16, 2000.0), (16, 1000.0)]
    >>> print(render([Sample(model="tiny", way="REST", in_flight=n, rows_per_s=speed)
    ...               for n, speed in pairs]))
    | model | way | calls | rows/s | range | of one by one |
    |---|---|---|--:|---|--:|
    | tiny | REST | one by one | 500 | 500 to 500 | 1.00 |
    | tiny | REST | map, 16 in flight | 1,500 | 1,000 to 2,000 | 3.00 |
    """
    lines = [
        "| model | way | calls | rows/s | range | of one by one |",
        "|---|---|---|--:|---|--:|",
    ]
    for key in dict.fromkeys((one.model, one.way, one.in_flight) for one in samples):
        model, way, in_flight = key
        speeds = _speeds(samples, key)
        single = _speeds(samples, (model, way, 0))
        name = f"map, {in_flight} in flight" if in_flight else "one by one"
        cells = (
            model,
            way,
            name,
            f"{median(speeds):,.0f}",
            f"{min(speeds):,.0f} to {max(speeds):,.0f}",
            f"{median(speeds) / median(single):.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _speeds(samples: Sequence[Sample], key: tuple[str, str, int]) -> list[float]:
    return [one.rows_per_s for one in samples if (one.model, one.way, one.in_flight) == key]


def _timed(norman: BlockingNorman, name: str, column: str, rows: Any, in_flight: int) -> Any:
    """Return the seconds that a pass took, and its outputs."""
    began = time.perf_counter()
    if in_flight:
        frame = norman.map(name, {column: rows}, in_flight=in_flight)
        elapsed_s = time.perf_counter() - began
        if frame["error"].notna().any():
            raise RuntimeError(f"a row failed: {frame['error'].dropna().iloc[0]}")
        (output,) = [one for one in frame.columns if one not in (column, "error")]
        return elapsed_s, np.stack([np.ravel(cell) for cell in frame[output]])
    is_tensor = column == INPUT
    outputs = [
        norman.invoke(name, {column: row[None] if is_tensor else float(row)}).value for row in rows
    ]
    return time.perf_counter() - began, np.stack([np.ravel(cell) for cell in outputs])


@contextmanager
def _clients(root: Path) -> Iterator[dict[str, BlockingNorman]]:
    """Start a server with both models; give a client for each way."""
    home = DemoHome(root=root / "home")
    prepare(home, fresh=True)
    folder = root / "plain"
    folder.mkdir()
    (folder / "model.py").write_text(_PLAIN, encoding="utf-8")
    with start_server(home) as server, ExitStack() as stack:
        os.environ.update(server_environment(home, os.environ))
        local = stack.enter_context(BlockingNorman())
        rest = stack.enter_context(BlockingNorman(server.url, server.token, transport="rest"))
        local.upload(write_tiny_model(root / "tiny.onnx"), name="tiny")
        local.upload(folder, name="plain", trust=True)
        yield {"same host": local, "REST": rest}


def _measure(rows: int, rounds: int, windows: Sequence[int], root: Path) -> list[Sample]:
    """Pass over the rows in each way in turn, so that what disturbs the machine disturbs all."""
    random = np.random.default_rng(_ROWS_SEED)
    columns = {
        "tiny": (INPUT, random.random((rows, 4), np.float32)),
        "plain": ("x", random.random(rows)),
    }
    samples = []
    with _clients(root) as clients:
        for number in range(-1, rounds):  # the first round warms up and isn't counted
            for name, (column, data) in columns.items():
                for way, norman in clients.items():
                    expected = None
                    for in_flight in (0, *windows):
                        elapsed_s, outputs = _timed(norman, name, column, data, in_flight)
                        expected = outputs if expected is None else expected
                        np.testing.assert_allclose(outputs, expected, rtol=1e-5)
                        if number >= 0:
                            sample = Sample(
                                model=name,
                                way=way,
                                in_flight=in_flight,
                                rows_per_s=rows / elapsed_s,
                            )
                            samples.append(sample)
    return samples


def main(arguments: Sequence[str] | None = None, write: Callable[[str], object] = print) -> int:
    """Measure and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.map_rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5, help="the table shows their medians")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[4, 16, 64])
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="norman-bench-") as folder:
        samples = _measure(parsed.rows, parsed.rounds, parsed.in_flight, Path(folder))
    order = {name: place for place, name in enumerate(dict.fromkeys(one.way for one in samples))}
    write(render(sorted(samples, key=lambda one: (one.model, order[one.way], one.in_flight))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
