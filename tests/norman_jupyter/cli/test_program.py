"""``norman`` in a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

from norman_jupyter.cli import main
from norman_jupyter.magics.options import COMMANDS, SHELL_COMMANDS
from norman_jupyter.magics.parsing import parse
from norman_jupyter.magics.words import plain_word


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
    written = capsys.readouterr()
    # Who asked for it may pipe it on; who forgot the command is told so.
    shown, nothing = (written.out, written.err) if status == 0 else (written.err, written.out)
    assert shown.startswith("usage: norman")
    assert "serve" in shown
    assert nothing == ""


@pytest.mark.parametrize("command", SHELL_COMMANDS, ids=lambda command: command.name)
def test_help_of_each_command_is_that_of_the_table(command, capsys):
    program = Program()
    if command.name == "serve":  # the server's own, see above
        return
    assert main([command.name, "--help"], execute=program) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: norman {command.name}")
    for part in (*command.positionals, *command.options):
        assert part.name in shown
        assert part.help in shown
    assert "%norman" not in shown
    assert not program.started


def test_shell_has_the_commands_of_the_notebook_with_their_options():
    shell = {command.name: command for command in SHELL_COMMANDS}
    for command in COMMANDS:
        if command.place == "notebook":
            assert command.name not in shell
            continue
        own = {option for option in command.options if option.place != "notebook"}
        assert own <= set(shell[command.name].options)
        assert shell[command.name].positionals == command.positionals


@pytest.mark.parametrize("command", SHELL_COMMANDS, ids=lambda command: command.name)
def test_examples_of_the_help_are_right_lines(command):
    for example in command.examples:
        words = shlex.split(example.partition(" | ")[0], comments=False)
        assert words[0] == "norman"
        if command.name != "serve":
            read = parse([plain_word(word) for word in words[1:]], commands=SHELL_COMMANDS)
            assert read.command is command


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["restore", "--list", "--home", "h", "--debug"], ["restore", "--list", "--home", "h"]),
        (["restore", "--home=h", "b.db"], ["restore", "--home", "h", "--", "b.db"]),
        (
            ["doctor", "--deep", "--json", "--repair", "--home", "h"],
            ["doctor", "--deep", "--json", "--repair", "--home", "h"],
        ),
    ],
)
def test_what_needs_no_server_is_done_by_the_server_s_own_program(given, passed):
    program = Program()
    assert main(given, execute=program) == 0
    assert program.started[0][1][3:] == passed


@pytest.mark.parametrize("line", [["restore", "--lsit"], ["doctor", "--depp"]])
def test_misspelt_option_is_told_before_anything_is_started(line, capsys):
    program = Program()
    assert main(line, execute=program) == 2
    assert "Did you mean --" in capsys.readouterr().err
    assert not program.started


def test_what_goes_wrong_inside_is_one_line(capsys):
    def execute(path: str, arguments: list[str]) -> None:
        raise OSError("no such program")

    assert main(["serve"], execute=execute) == 1
    assert capsys.readouterr().err == (
        "norman: Something went wrong that should not: OSError: no such program. --debug shows "
        "where.\n"
    )


_LOADED = """
import sys
from norman_jupyter.cli import main
status = main(sys.argv[1:])
sys.stderr.write(" ".join(sorted(sys.modules)))
sys.exit(status)
"""


@pytest.mark.parametrize("line", [["--help"], ["invoke", "--help"], ["--version"]])
def test_help_imports_next_to_nothing(line):
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *line],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {
        "IPython",
        "argcomplete",
        "argparse",
        "asyncio",
        "httpx",
        "numpy",
        "psutil",
        "ssl",
        "traitlets",
    }
    assert not {name for name in done.stderr.split() if name.startswith("norman_jupyter.client")}


@pytest.mark.parametrize(
    ("verb", "kind", "hint"),
    [
        ("sevre", "command", "Did you mean serve?"),
        ("--verson", "option", "Did you mean --version?"),
        ("xyzzy", "command", "There are upload, "),
    ],
)
def test_unknown_command_names_the_nearest(verb, kind, hint, capsys):
    program = Program()
    assert main([verb], execute=program) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"norman: norman has no {kind} {verb!r}. {hint}")
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
