"""Commands that ask a server: those of the magics, with a shell's inputs, outputs and questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from norman_jupyter.cli.answers import show_answer
from norman_jupyter.cli.failures import DONE, FAILED
from norman_jupyter.cli.following import follow_log
from norman_jupyter.cli.inputs import read_inputs, text_inputs
from norman_jupyter.cli.outputs import Targets, deliver, read_targets
from norman_jupyter.cli.progress import TransferProgress
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.magics.bindings import Namespace, resolve_number
from norman_jupyter.magics.commands import RUNNERS
from norman_jupyter.magics.connection import Client, ClientHolder
from norman_jupyter.magics.context import Context
from norman_jupyter.magics.options import JSON_FLAG
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.packaging.origin import collect_origin
from norman_protocol.errors import (
    ExecutorUnavailable,
    InputInvalid,
    RequestInvalid,
    ServerNotFound,
)
from norman_protocol.rest import VersionDetail

if TYPE_CHECKING:
    from pathlib import Path

    from norman_jupyter.cli.terminal import Terminal
    from norman_protocol.rest import Origin

__all__ = ["examine", "run_command"]

_CANCELLED_CALL: Final = "The call was taken back."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shell:
    """What the commands of a shell work with."""

    arguments: Arguments
    context: Context
    terminal: Terminal

    @property
    def as_json(self) -> bool:
        return JSON_FLAG in self.arguments.flags


def run_command(arguments: Arguments, terminal: Terminal, project: Mapping[str, str]) -> int:
    """Run a command, write its answer and return the exit status.

    Parameters
    ----------
    project
        What the project of the current folder says, by the names of settings.

    Raises
    ------
    NormanError
        It failed.
    OutputClosed, OutputFailed
        Its answer can't be written.
    """
    if arguments.command is None:
        raise AssertionError("unreachable: there is a command")
    context = _context(arguments, terminal, project)
    shell = _Shell(arguments=arguments, context=context, terminal=terminal)
    try:
        return _RUNNERS.get(arguments.command.name, _ask)(shell)
    finally:
        context.connection.close()


def examine(arguments: Arguments, terminal: Terminal, project: Mapping[str, str]) -> int | None:
    """Have the running server examine its home; None where it is to be done without a server.

    Returns the exit status.

    Raises
    ------
    NormanError
        There is a server, and it couldn't.
    """
    if "--home" in arguments.options:
        return None
    context = _context(arguments, terminal, project)
    try:
        report = RUNNERS["doctor"](arguments, context).value
    except (ServerNotFound, ExecutorUnavailable):
        if "--url" in arguments.options:
            raise
        return None
    finally:
        context.connection.close()
    show_answer(report, terminal, as_json=JSON_FLAG in arguments.flags)
    return FAILED if report.needs_care else DONE


def _ask(shell: _Shell) -> int:
    """Run a command as the magic does, and show its answer."""
    if shell.arguments.command is None:
        raise AssertionError("unreachable: there is a command")
    outcome = RUNNERS[shell.arguments.command.name](shell.arguments, shell.context)
    show_answer(outcome.value, shell.terminal, as_json=shell.as_json)
    return DONE


def _upload(shell: _Shell) -> int:
    found = RUNNERS["upload"](shell.arguments, shell.context).value
    is_piped = not (shell.as_json or shell.terminal.is_interactive)
    if is_piped and isinstance(found, VersionDetail):  # what a script goes on with
        shell.terminal.write(f"{found.reference}\n")
    else:
        show_answer(found, shell.terminal, as_json=shell.as_json)
    return DONE


def _rm(shell: _Shell) -> int:
    deletion = RUNNERS["rm"](shell.arguments, shell.context).value
    if deletion is None:
        shell.terminal.tell("Nothing was deleted.")
        return FAILED
    show_answer(deletion, shell.terminal, as_json=shell.as_json)
    return DONE


def _logs(shell: _Shell) -> int:
    if "--follow" not in shell.arguments.flags:
        return _ask(shell)
    if shell.as_json:
        raise RequestInvalid(
            "--json gives one document, and --follow never ends: leave one out.", field=JSON_FLAG
        )
    follow_log(shell.arguments.positionals[0].text, shell.context.connection, shell.terminal)
    return DONE


def _invoke(shell: _Shell) -> int:
    arguments, terminal, use = shell.arguments, shell.terminal, shell.context.connection.use
    reference_word, *words = arguments.positionals
    reference = reference_word.text
    timeout = arguments.option("--timeout")
    timeout_s = (
        None
        if timeout is None
        else resolve_number(timeout, shell.context.namespace, what="--timeout")
    )
    signature = use(lambda client: client.version(reference)).signature
    names = None if signature is None else [output.name for output in signature.outputs]
    targets = _targets(arguments, names)
    inputs = read_inputs(words, signature, terminal.stdin)
    try:
        result = use(lambda client: client.invoke(reference, inputs, timeout_s=timeout_s))
    except InputInvalid as error:
        # Without an expectation the value isn't what is wrong, but its name.
        if error.expected and error.input in text_inputs(words, inputs):
            error.add_note(
                f"The value was read as text: it is no JSON. {error.input}=@PATH sends a file."
            )
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(_CANCELLED_CALL)
        raise
    deliver(result, targets, terminal, as_json=shell.as_json)
    return DONE


def _replay(shell: _Shell) -> int:
    targets = _targets(shell.arguments, None)
    result: InvokeResult = RUNNERS["replay"](shell.arguments, shell.context).value
    deliver(result, targets, shell.terminal, as_json=shell.as_json)
    return DONE


_RUNNERS: Final[Mapping[str, Callable[[_Shell], int]]] = {
    "invoke": _invoke,
    "logs": _logs,
    "replay": _replay,
    "rm": _rm,
    "upload": _upload,
}
"""Commands that are more in a shell than the answer of the magic."""


def _targets(arguments: Arguments, names: list[str] | None) -> Targets:
    return read_targets([word.text for word in arguments.options.get("--output", ())], names)


def _context(arguments: Arguments, terminal: Terminal, project: Mapping[str, str]) -> Context:
    token = _token(arguments, terminal)
    given = arguments.option("--url")
    url = None if given is None else given.text
    if url is None and not terminal.environ.get("NORMAN_URL"):
        url = project.get("url")
        if url is not None and token is not None:
            # A project's file may be somebody else's: it names no place for a person's token.
            raise RequestInvalid(
                f"The project's pyproject.toml names the server {url}, and a token goes only to "
                "one that you named yourself: --url URL --token-env NAME",
                field="url",
            )

    def connect() -> Client:
        from norman_jupyter.client.blocking import BlockingNorman

        return BlockingNorman(url, token)

    def display(subject: str) -> TransferProgress:
        return TransferProgress(terminal, subject)

    def origin(source: Path) -> Origin:
        return collect_origin(source)

    return Context(
        connection=ClientHolder(connect),
        namespace=Namespace(variables={}, evaluate=_evaluate),
        display_upload=display,
        collect_origin=origin,
        confirm=terminal.ask,
    )


def _token(arguments: Arguments, terminal: Terminal) -> str | None:
    word = arguments.option("--token-env")
    if word is None:
        return None
    token = terminal.environ.get(word.text)
    if not token:
        raise RequestInvalid(
            f"--token-env: the environment variable {word.text[:60]!r} is not set. It must hold "
            "the token itself.",
            field="--token-env",
        )
    return token


def _evaluate(source: str) -> Any:
    raise RequestInvalid(f"{{{source[:60]}}}: there are no variables in a shell.")
