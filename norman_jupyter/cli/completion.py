"""What TAB offers in a shell: argcomplete speaks with the shell, the table says what there is."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, get_args

from norman_jupyter.magics.completion import list_paths
from norman_jupyter.magics.options import (
    HELP_FLAG,
    SHELL_COMMANDS,
    Command,
    Content,
    Option,
)
from norman_protocol.errors import RequestInvalid
from norman_protocol.messages import InvocationState

__all__ = ["complete_line", "completion_script"]

_SHELLS: Final = ("bash", "zsh", "fish")
_WAIT_S: Final = 1.0
_WAIT_VARIABLE: Final = "NORMAN_COMPLETION_WAIT_S"
"""Says otherwise how long TAB waits for the server."""

_PASSED_ON: Final = "serve"
_Given: TypeAlias = argparse.Namespace
_Completer: TypeAlias = Callable[..., Iterable[str]]


def completion_script(shell: str) -> str:
    """Return what a shell evaluates to complete ``norman``.

    Raises
    ------
    RequestInvalid
        Nothing is known of that shell.

    Examples
    --------
    >>> "complete" in completion_script("bash")
    True
    """
    if shell not in _SHELLS:
        raise RequestInvalid(
            f"There is completion for {', '.join(_SHELLS)}, not for {shell[:60]!r}.", field="SHELL"
        )
    from argcomplete.shell_integration import shellcode

    script: str = shellcode(["norman"], shell=shell)
    return f"{script.strip()}\n"


def complete_line() -> None:
    """Answer the shell that asks by environment variables, and end this process."""
    import argcomplete
    from argcomplete.completers import SuppressCompleter

    argcomplete.autocomplete(
        _parser(), default_completer=SuppressCompleter(), always_complete_options=False
    )


def _parser() -> argparse.ArgumentParser:
    """Return the table as argparse has it: what argcomplete reads, and nothing else does."""
    parser = argparse.ArgumentParser(prog="norman")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers()
    for command in SHELL_COMMANDS:
        found = commands.add_parser(command.name, help=command.summary, add_help=False)
        if command.name != _PASSED_ON:  # whose options are the server's
            _add_arguments(found, command)
    return parser


def _add_arguments(parser: argparse.ArgumentParser, command: Command) -> None:
    parser.add_argument(HELP_FLAG, action="store_true", help="show this help")
    for option in command.options:
        _add_option(parser, option)
    for index, positional in enumerate(command.positionals):
        count = "*" if positional.repeatable else None if positional.required else "?"
        action = parser.add_argument(f"place{index}", nargs=count, metavar=positional.name)
        _complete_with(action, positional.content)


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    names = [name for name in (option.short, option.name) if name is not None]
    if option.metavar is None:
        parser.add_argument(*names, action="store_true", help=option.help)
        return
    how = "append" if option.repeatable else "store"
    action = parser.add_argument(*names, action=how, metavar=option.metavar, help=option.help)
    _complete_with(action, option.content)


def _complete_with(action: argparse.Action, content: Content) -> None:
    completer = _COMPLETERS.get(content)
    if completer is not None:
        # The attribute by which argcomplete finds it.
        action.completer = completer  # type: ignore[attr-defined]


class _Facts:
    """What the server knows, asked by this one TAB."""

    def __init__(self, given: _Given) -> None:
        from norman_jupyter.magics.connection import Client, ClientHolder
        from norman_jupyter.magics.facts import ServerFacts

        def connect() -> Client:
            from norman_jupyter.client.blocking import BlockingNorman

            variable = getattr(given, "token_env", None)
            token = os.environ.get(variable) if variable else None
            return BlockingNorman(getattr(given, "url", None), token)

        self.server = ServerFacts(
            ClientHolder(connect), wait_s=_wait_s(os.environ.get(_WAIT_VARIABLE, ""))
        )


def _wait_s(text: str) -> float:
    """Return how long to wait; TAB is no place to say that a text is no number.

    Examples
    --------
    >>> _wait_s("2.5"), _wait_s(""), _wait_s("-1"), _wait_s("nan")
    (2.5, 1.0, 1.0, 1.0)
    """
    try:
        given = float(text)
    except ValueError:
        return _WAIT_S
    return given if 0 < given < threading.TIMEOUT_MAX else _WAIT_S


def _models(prefix: str, parsed_args: _Given, **_: Any) -> Iterable[str]:
    return _Facts(parsed_args).server.model_names(prefix)


def _references(
    prefix: str, parsed_args: _Given, *, can_serve: bool = False, **_: Any
) -> Iterable[str]:
    server = _Facts(parsed_args).server
    name, at, _selector = prefix.partition("@")
    if at:
        return [f"{name}@{each}" for each in server.selectors(name, can_serve=can_serve)]
    return server.model_names(prefix, can_serve=can_serve)


def _servable(prefix: str, parsed_args: _Given, **_: Any) -> Iterable[str]:
    return _references(prefix, parsed_args, can_serve=True)


def _aliases(prefix: str, parsed_args: _Given, **_: Any) -> Iterable[str]:  # noqa: ARG001 - argcomplete's names
    model = (getattr(parsed_args, "place0", None) or "").partition("@")[0]
    return _Facts(parsed_args).server.aliases(model) if model else ()


def _invocations(prefix: str, parsed_args: _Given, **_: Any) -> Iterable[str]:  # noqa: ARG001
    return _Facts(parsed_args).server.invocation_ids()


def _paths(prefix: str, **_: Any) -> Iterable[str]:
    """Complete a path, also behind ``NAME=``."""
    name, equals, path = prefix.rpartition("=")
    return [f"{name}{equals}{found}" for found in list_paths(path)]


def _inputs(prefix: str, parsed_args: _Given, **_: Any) -> Iterable[str]:
    name, equals, value = prefix.partition("=")
    if equals:
        at = "@" if value.startswith("@") else ""
        return [f"{name}={at}{path}" for path in list_paths(value.removeprefix("@"))]
    reference = getattr(parsed_args, "place0", None)
    if not reference:
        return ()
    return [f"{name}=" for name in _Facts(parsed_args).server.input_names(reference)]


_COMPLETERS: Final[dict[Content, _Completer]] = {
    "path": _paths,
    "model": _models,
    "reference": _references,
    "servable": _servable,
    "bindings": _inputs,
    "alias": _aliases,
    "invocation": _invocations,
    "environment": lambda **_: sorted(os.environ),
    "state": lambda **_: get_args(InvocationState),
    "shell": lambda **_: _SHELLS,
}
