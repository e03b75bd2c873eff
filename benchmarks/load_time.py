"""What `%load_ext norman_jupyter` adds to the start of IPython."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LoadTime", "measure_load_time"]

_BARE = "pass"
_LOADED = "get_ipython().run_line_magic('load_ext', 'norman_jupyter')"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTime:
    """Medians over interleaved starts of IPython, from process start to process end."""

    runs: int
    bare_ms: float
    loaded_ms: float
    difference_ms: float


def measure_load_time(runs: int, *, announce: Callable[[str], None]) -> LoadTime:
    """Start IPython with and without the extension in turn; the difference is pairwise.

    Raises
    ------
    subprocess.CalledProcessError
        IPython, or the extension in it, failed.
    """
    pairs = []
    with tempfile.TemporaryDirectory() as ipython_folder:
        environment = {**os.environ, "IPYTHONDIR": ipython_folder}
        for code in (_BARE, _LOADED):  # writes the profile and the byte code
            _start_ms(code, environment)
        for run in range(runs):
            announce(f"start {run + 1} of {runs}")
            pairs.append((_start_ms(_BARE, environment), _start_ms(_LOADED, environment)))
    return LoadTime(
        runs=runs,
        bare_ms=statistics.median(bare for bare, _ in pairs),
        loaded_ms=statistics.median(loaded for _, loaded in pairs),
        difference_ms=statistics.median(loaded - bare for bare, loaded in pairs),
    )


def _start_ms(code: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code]
    began = time.perf_counter()
    finished = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    duration_ms = (time.perf_counter() - began) * 1000
    if b"Traceback" in finished.stdout + finished.stderr:  # IPython's status stays 0 then
        raise RuntimeError(f"IPython failed:\n{(finished.stdout + finished.stderr).decode()}")
    return duration_ms
