"""``norman`` in a process of its own, beside a real server that it has to find."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from norman_protocol.identifiers import new_id

ANSWER = """\
import time
from typing import NamedTuple

import numpy as np


class Answers(NamedTuple):
    text: str
    count: int
    scores: np.ndarray
    raw: bytes


def predict(text: str, times: int = 1, loud: bool = False, note: bytes = b"") -> Answers:
    print("asked:", text)
    if text == "raise":
        raise ValueError("no answer to this")
    if text == "sleep":
        print("sleeping", flush=True)
        time.sleep(300)
    answer = text * times
    scores = np.array([[0.5, float("nan")]], np.float32)
    return Answers(answer.upper() if loud else answer, times, scores, note)
"""
ECHO = """\
def predict(text: str) -> str:
    print("echoing", text, flush=True)
    return text
"""
REVERSE = """\
import numpy as np


def predict(x: np.ndarray) -> np.ndarray:
    return x[::-1]
"""
COPY = """\
def predict(file: bytes) -> bytes:
    return file
"""
SOURCES = {"answer": ANSWER, "echo": ECHO, "reverse": REVERSE, "copy": COPY}

_COMMAND = (sys.executable, "-m", "norman_jupyter.cli")
_TIMEOUT_S = 60


class Program:
    """Runs ``norman``; what it is told by its environment may be changed."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        # TAB waits for the answer here, however busy the machine is.
        patience = {"NORMAN_COMPLETION_WAIT_S": str(_TIMEOUT_S)}
        self.environment = {**environment, "NO_COLOR": "", **patience}
        self.folder = folder
        self.command = _COMMAND

    def __call__(
        self, *arguments: str, stdin: bytes | None = None, **changes: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*_COMMAND, *arguments],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
            cwd=self.folder,
            env={**self.environment, **changes},
            check=False,
        )

    def succeed(self, *arguments: str, stdin: bytes | None = None, **changes: str) -> str:
        """Run it; it must succeed. Returns what it wrote to standard output."""
        done = self(*arguments, stdin=stdin, **changes)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def fail(
        self, *arguments: str, status: int = 1, stdin: bytes | None = None, **changes: str
    ) -> str:
        """Run it; it must fail with one line, which is returned."""
        done = self(*arguments, stdin=stdin, **changes)
        text = done.stderr.decode()
        assert done.returncode == status, text
        assert done.stdout == b""
        (line,) = [line for line in text.splitlines() if line.startswith("norman: ")]
        assert text.endswith(f"{line}\n")
        assert "Traceback" not in text
        return line.removeprefix("norman: ")


@pytest.fixture
def norman(norman_server, tmp_path) -> Program:
    # What the tests themselves run in must not say which server it is.
    unwanted = ("NORMAN_", "JUPYTER_SERVER_URL", "_ARGCOMPLETE", "COLUMNS")
    environment = {
        name: value
        for name, value in {**os.environ, **norman_server.environment}.items()
        if not name.startswith(unwanted)
    }
    return Program(environment, tmp_path)


@pytest.fixture
def upload(norman):
    """Return what uploads one of `SOURCES` under a name of its own, and returns that."""

    def run(source: str, *options: str) -> str:
        name = f"{source}-{new_id()[-12:]}"
        folder = norman.folder / source
        folder.mkdir(exist_ok=True)
        (folder / "model.py").write_text(SOURCES[source])
        norman.succeed("upload", str(folder), "--trust", "--name", name, *options)
        return name

    return run
