"""``%load_ext norman_jupyter`` stays light: what it imports is counted, not how long it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_SCRIPT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell(config=config)
before = set(sys.modules)
for line in sys.argv[1:]:
    assert shell.run_cell(line).success
print(json.dumps(sorted(set(sys.modules) - before)))
"""
_HEAVY = {
    "httpx",
    "httpcore",
    "anyio",
    "numpy",
    "psutil",
    "PIL",
    "onnx",
    "onnxruntime",
    "torch",
    "jupyter_client",
    "jupyter_server",
    "tornado",
    "sqlalchemy",
    "zmq",
    "ml_dtypes",
    "pandas",
}


def imported_by(tmp_path, *lines: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *lines],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_loading_the_extension_imports_nothing_heavy(tmp_path):
    modules = imported_by(tmp_path, "%load_ext norman_jupyter")
    assert "norman_jupyter.magics.extension" in modules
    assert not {name.partition(".")[0] for name in modules} & _HEAVY
    # What only some command needs waits for that command.
    assert not {name for name in modules if name.startswith("norman_jupyter.client")}
    assert not {name for name in modules if name.startswith("norman_jupyter.previews")}
    assert len(modules) < 25, sorted(modules)


@pytest.mark.parametrize("line", ["%norman --help", "%norman upload --help"])
def test_help_imports_nothing_heavy(line, tmp_path):
    modules = imported_by(tmp_path, "%load_ext norman_jupyter", line)
    assert not {name.partition(".")[0] for name in modules} & _HEAVY
