"""``norman`` in a shell."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from norman_jupyter.cli import main


class Program:
    def __init__(self) -> None:
        self.started: list[tuple[str, list[str]]] = []

    def __call__(self, path: str, arguments: list[str]) -> None:
        self.started.append((path, arguments))


def test_serve_becomes_the_server_with_the_options_as_they_are():
    program = Program()
    assert main(["serve", "--port=0", "--no-browser"], execute=program) == 0
    assert program.started == [
        (sys.executable, [sys.executable, "-m", "norman_server", "--port=0", "--no-browser"])
    ]


def test_serve_help_is_the_server_s_own():
    program = Program()
    main(["serve", "--help"], execute=program)
    assert program.started[0][1][-1] == "--help"


@pytest.mark.parametrize("arguments", [["--version"], ["-V"]])
def test_version(arguments, capsys):
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"norman {version('norman-jupyter')}\n"


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["-h"], 0), (["help"], 0), ([], 2)]
)
def test_help(arguments, status, capsys):
    assert main(arguments) == status
    out = capsys.readouterr().out
    assert out.startswith("usage: norman")
    assert "serve" in out


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        ("sevre", "Did you mean serve?"),
        ("--verson", "Did you mean --version?"),
        ("xyzzy", "norman --help lists the commands."),
    ],
)
def test_unknown_command_names_the_nearest(verb, hint, capsys):
    program = Program()
    assert main([verb], execute=program) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"norman: there is no command {verb!r}. {hint}\n"
    assert not program.started


def test_installed_command_runs():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from norman_jupyter.cli import main; sys.exit(main())",
            "--version",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("norman ")
