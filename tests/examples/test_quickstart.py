"""The notebook that everybody sees first runs as `make demo` runs it, and fails when it lies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

_REPOSITORY = Path(__file__).parents[2]
_QUICKSTART = _REPOSITORY / "examples" / "quickstart.ipynb"


def _run_demo(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.demo", "run", "--home", str(home), *options]
    return subprocess.run(
        command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=170, check=False
    )


def _processes_of(home: Path) -> list[str]:
    """Every process that was told of the home: by a word, its environment or its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(str(home) in text for text in told):
            found.append(f"{process.pid} {process.cmdline()}")
    return found


def test_notebook_is_valid():
    notebook = nbformat.read(_QUICKSTART, as_version=4)

    nbformat.validate(notebook)


@pytest.mark.timeout(200)
def test_quickstart_does_what_it_claims(tmp_path):
    home = tmp_path / "demo"

    finished = _run_demo(home)

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "digits@2" in finished.stdout
    assert "make lab" in finished.stdout
    executed = nbformat.read(home / "notebooks" / "quickstart.ipynb", as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    assert any("digits@2" in str(output) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
    assert len(nbformat.writes(executed)) < 300_000
    assert _processes_of(home) == []


@pytest.mark.timeout(200)
def test_a_claim_that_does_not_hold_fails_the_demo_and_leaves_no_process(tmp_path):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("%load_ext norman_jupyter", id="a"),
        nbformat.v4.new_code_cell("assert 1 + 1 == 3, 'arithmetic'", id="b"),
        nbformat.v4.new_code_cell("print('never')", id="c"),
    ]
    path = tmp_path / "wrong.ipynb"
    nbformat.write(notebook, path)

    finished = _run_demo(tmp_path / "demo", "--notebook", str(path))

    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "Cell 2 of 3 failed" in finished.stderr
    assert "arithmetic" in finished.stderr
    assert _processes_of(tmp_path / "demo") == []
