"""The program itself: words come in, an answer and an exit status go out."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from norman_jupyter.cli.failures import (
    CANCELLED,
    DONE,
    FAILED,
    PIPE_CLOSED,
    UNDECIDED,
    WRONG_USE,
    error_line,
    exit_status,
)
from norman_jupyter.cli.terminal import OutputClosed, OutputFailed, Terminal
from norman_jupyter.magics.manual import command_help, overview
from norman_jupyter.magics.options import HELP_FLAG, SHELL_COMMANDS, find_command
from norman_jupyter.magics.parsing import Arguments, parse
from norman_jupyter.magics.words import Word, plain_word
from norman_protocol.errors import LoadFailed, ModelFailed, NormanError, RequestInvalid

__all__ = ["Execute", "main"]

Execute = Callable[[str, list[str]], object]
"""Replaces this process by a program: its path, and its arguments from the 0th on."""

_PROGRAM: Final = "norman"
_DEBUG: Final = "--debug"
_EARLY: Final = {"--url": True, "--token-env": True, _DEBUG: False}
"""Options that may stand before the command as well, and whether they take a value."""

_HELP: Final = frozenset({HELP_FLAG, "-h", "-?"})
_VERSION: Final = frozenset({"--version", "-V"})
_SERVER: Final = "norman_server"
_AFTER_COMMANDS: Final = """\
norman --version tells the version. Every command that asks a server takes --json, --url,
--token-env and --debug. It exits with 0 where it did what was asked, 1 where that failed,
2 where the line was wrong, 130 after Ctrl-C. Where no server runs, norman serve starts one.
In a notebook, %load_ext norman_jupyter gives the same commands as %norman."""


def main(arguments: Sequence[str] | None = None, execute: Execute = os.execv) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of this process.
    execute
        Replaces this process by a program: its path, and its arguments from the 0th on.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    norman ...
    0
    """
    if "_ARGCOMPLETE" in os.environ:
        from norman_jupyter.cli.completion import complete_line

        complete_line()
    given = _early_options_last(list(sys.argv[1:] if arguments is None else arguments))
    terminal = Terminal.of_process()
    try:
        return _run(given, terminal, execute)
    except NormanError as error:
        _explain(error, terminal, given)
        return exit_status(error)
    except OutputFailed as error:
        terminal.tell(str(error), is_error=True)
        return FAILED
    except OutputClosed:
        terminal.forget_output()
        return PIPE_CLOSED
    except KeyboardInterrupt as interrupt:
        notes: list[str] = getattr(interrupt, "__notes__", [])
        terminal.tell(" ".join(["Cancelled.", *notes]), is_error=True)
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - the border of the program: a line, not a traceback
        if _DEBUG in given:
            traceback.print_exception(error, file=terminal.stderr)
        kind = type(error).__name__
        terminal.tell(
            f"Something went wrong that should not: {kind}: {error}. {_DEBUG} shows where.",
            is_error=True,
        )
        return FAILED


def _run(given: list[str], terminal: Terminal, execute: Execute) -> int:
    if not given:
        terminal.tell(overview(_PROGRAM, SHELL_COMMANDS))
        return WRONG_USE
    if given[0] in _VERSION:
        from importlib.metadata import version

        terminal.write(f"{_PROGRAM} {version('norman-jupyter')}\n")
        return DONE
    if given[0].startswith("-") and given[0] not in _HELP:
        raise _unknown_option(given[0])
    if given[0] == "serve":
        return _become_server(given[1:], terminal, execute)
    project = _project_settings(given)
    arguments = parse(_words(given), commands=SHELL_COMMANDS, program=_PROGRAM, defaults=project)
    command = arguments.command
    if arguments.wants_help or command is None:
        return _help(given, arguments, terminal)
    if command.name == "restore":
        return _become_server(_server_words(arguments), terminal, execute)
    if command.name == "completion":
        from norman_jupyter.cli.completion import completion_script

        terminal.write(completion_script(arguments.positionals[0].text))
        return DONE

    from norman_jupyter.cli.commands import examine, run_command

    if command.name != "doctor":
        return run_command(arguments, terminal, project)
    try:
        status = examine(arguments, terminal, project)
    except NormanError as error:
        _explain(error, terminal, given)
        return UNDECIDED
    if status is None:
        return _become_server(_server_words(arguments), terminal, execute)
    return status


def _project_settings(given: Sequence[str]) -> Mapping[str, str]:
    """Return what the project of this folder says, by the names of settings.

    Raises
    ------
    ConfigurationInvalid
        Its file says what can't be.
    """
    command = find_command(given[0], SHELL_COMMANDS)
    if command is None or not command.asks or _HELP & set(given):
        return {}
    from norman_jupyter.client.settings import read_project

    try:
        project = read_project(Path.cwd()).project
    except FileNotFoundError:  # the folder was deleted under the shell
        return {}
    return {name: str(value) for name, value in project.items()}


def _unknown_option(name: str) -> RequestInvalid:
    known = [*_EARLY, "--version", HELP_FLAG]
    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are {', '.join(known)}."
    return RequestInvalid(f"{_PROGRAM} has no option {name[:60]!r}. {hint}", nearest=nearest)


def _help(given: Sequence[str], arguments: Arguments, terminal: Terminal) -> int:
    if arguments.command is not None:
        terminal.write(command_help(arguments.command, _PROGRAM) + "\n")
        return DONE
    if given[0] == "help" and len(given) > 1 and find_command(given[1], SHELL_COMMANDS) is None:
        parse(_words(given[1:2]), commands=SHELL_COMMANDS, program=_PROGRAM)  # says what there is
    terminal.write(f"{overview(_PROGRAM, SHELL_COMMANDS)}\n{_AFTER_COMMANDS}\n")
    return DONE


def _become_server(given: Sequence[str], terminal: Terminal, execute: Execute) -> int:
    # The server takes this process's place: signals and the exit status are its own.
    terminal.stdout.flush()
    execute(sys.executable, [sys.executable, "-m", _SERVER, *given])
    return DONE


def _server_words(arguments: Arguments) -> list[str]:
    """Return a line for `norman_server.maintenance`: what was given, without what asks a server."""
    if arguments.command is None:
        raise AssertionError("unreachable: there is a command")
    home = arguments.option("--home")
    return [
        arguments.command.name,
        *sorted(arguments.flags - {_DEBUG}),
        *([] if home is None else ["--home", home.text]),
        *(["--", *(word.text for word in arguments.positionals)] if arguments.positionals else []),
    ]


def _explain(error: NormanError, terminal: Terminal, given: Sequence[str]) -> None:
    if _DEBUG in given:
        traceback.print_exception(error, file=terminal.stderr)
        if isinstance(error, (ModelFailed, LoadFailed)) and error.traceback.strip():
            terminal.tell(error.traceback.rstrip())
    terminal.tell(error_line(error), is_error=True)


def _early_options_last(given: list[str]) -> list[str]:
    """Put options that stand before the command behind it, where the table has them.

    Examples
    --------
    >>> _early_options_last(["--url", "http://a", "models", "--json"])
    ['models', '--url', 'http://a', '--json']
    """
    end = 0
    while end < len(given):
        name, equals, _ = given[end].partition("=")
        if name not in _EARLY:
            break
        end += 2 if _EARLY[name] and not equals else 1
    early, rest = given[:end], given[end:]
    return [*rest[:1], *early, *rest[1:]] if rest else given


def _words(given: Sequence[str]) -> tuple[Word, ...]:
    words = []
    column = len(_PROGRAM) + 1
    for text in given:
        words.append(plain_word(text, column))
        column += len(text) + 1
    return tuple(words)
