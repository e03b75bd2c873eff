"""The magic itself: a line comes in, an object or one clear error goes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.displaypub import DisplayPublisher
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from norman_jupyter.magics.connection import Client, ClientHolder, connect_blocking
from norman_jupyter.magics.displays import register_displays, unregister_displays
from norman_jupyter.magics.facts import ServerFacts
from norman_jupyter.magics.notebook import LAST_NAME, Notebook, NotebookSettings
from norman_protocol.errors import NormanError, RequestInvalid

if TYPE_CHECKING:
    from IPython.core.completer import SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from norman_jupyter.magics.bindings import Namespace
    from norman_jupyter.magics.completion import Completion
    from norman_jupyter.magics.context import Context
    from norman_jupyter.magics.live import Surface, UploadDisplay
    from norman_jupyter.magics.rows import RowsDisplay
    from norman_jupyter.magics.words import Word
    from norman_protocol.rest import Origin

__all__ = ["NormanMagics"]

_MAGIC = "norman"
_SET_THEMSELVES = frozenset({"config", "connect", "help"})
"""Commands that set what holds, or need nothing of it."""

_INTERACTIVE_NAMES = frozenset({"In", "Out", "exit", "get_ipython", "open", "quit"})
"""Names that IPython itself puts among a notebook's variables."""


@magics_class
class NormanMagics(Magics):
    """``%norman`` in one shell.

    Parameters
    ----------
    shell
        Where it is installed.
    connect
        Makes the client, at the first use; given a URL and a token where a server was chosen.
    completion_wait_s
        How long TAB may wait for the server.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        connect: Callable[..., Client] = connect_blocking,
        completion_wait_s: float = 0.5,
    ) -> None:
        super().__init__(shell)
        self._shell = shell
        self._settings = NotebookSettings()
        self._connection = ClientHolder(connect, place=self._settings.place)
        self._facts = ServerFacts(self._connection, wait_s=completion_wait_s)
        self._shown: tuple[int, Any] = (-1, None)
        self._last: list[Any] = []

    @classmethod
    def installed_in(cls, shell: InteractiveShell) -> NormanMagics | None:
        """Return what is installed in a shell."""
        found = shell.magics_manager.registry.get(cls.__name__)
        return found if isinstance(found, cls) else None

    def install(self) -> None:
        """Register the magic, its completions and its displays, in place of earlier ones."""
        earlier = self.installed_in(self._shell)
        if earlier is not None:
            earlier.uninstall()
        self._shell.register_magics(self)
        self._shell.Completer.custom_matchers.append(self.matcher)
        register_displays(self._shell, self._is_shown)

    def uninstall(self) -> None:
        """Undo `install` and close the connection."""
        manager = self._shell.magics_manager
        manager.registry.pop(type(self).__name__, None)
        for kind in ("line", "cell"):
            manager.magics[kind].pop(_MAGIC, None)
        matchers = self._shell.Completer.custom_matchers
        matchers[:] = [matcher for matcher in matchers if matcher != self.matcher]
        unregister_displays(self._shell)
        self._connection.close()

    @needs_local_scope
    @no_var_expand
    @line_cell_magic
    def norman(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Upload, invoke and look at models: ``%norman --help`` lists the commands.

        ``%%norman invoke REF`` takes the inputs from the body of the cell.
        """
        from norman_jupyter.magics.failures import describe_error, show_as

        try:
            return self._run(line, cell, local_ns or {})
        except NormanError as error:
            show_as(error, describe_error(error))
            raise
        except KeyboardInterrupt as interrupt:
            notes: list[str] = getattr(interrupt, "__notes__", [])
            show_as(interrupt, [" ".join(["Cancelled.", *notes])])
            raise

    @context_matcher(identifier="norman")  # type: ignore[untyped-decorator]
    def matcher(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete ``%norman`` lines; IPython calls this at TAB."""
        found = self._complete(context)
        if found is None:
            return {"completions": [], "matched_fragment": ""}
        return {
            "completions": [
                SimpleCompletion(text=candidate.text, type=candidate.kind)
                for candidate in found.candidates
            ],
            "matched_fragment": found.fragment,
            "suppress": bool(found.candidates),
            "ordered": True,
        }

    def _complete(self, context: CompletionContext) -> Completion | None:
        """Return what TAB offers; None where the text is none of ours."""
        from norman_jupyter.magics.completion import (
            complete,
            complete_body,
            list_paths,
            norman_line,
        )

        if context.cursor_line > 0 and context.full_text.lstrip().startswith(f"%%{_MAGIC}"):
            lines = context.full_text.split("\n")[: context.cursor_line]
            text = "\n".join([*lines, context.text_until_cursor])
            return complete_body(text, facts=self._facts, default_model=self._default_model())
        line = norman_line(context.text_until_cursor)
        if line is None:
            return None
        return complete(
            line,
            facts=self._facts,
            variables=self._namespace({}).variables,
            paths=list_paths,
            default_model=self._default_model(),
            environment=os.environ,
        )

    def _default_model(self) -> str | None:
        try:
            model = self._settings.current().get("model")
        except NormanError:  # the next command says what is wrong with the project's file
            return None
        return None if model is None else str(model)

    def _run(self, line: str, body: str | None, local_variables: dict[str, Any]) -> Any:
        from norman_jupyter.magics.commands import RUNNERS
        from norman_jupyter.magics.documents import json_document
        from norman_jupyter.magics.manual import command_help, overview
        from norman_jupyter.magics.options import JSON_FLAG
        from norman_jupyter.magics.parsing import parse
        from norman_jupyter.magics.words import split_words

        # As elsewhere in a notebook, a semicolon at the end asks for silence.
        text = line.rstrip()
        is_silent = text.endswith(";")
        words = split_words(text[:-1] if is_silent else text)
        arguments = parse(words, defaults=self._defaults(words))
        if arguments.wants_help or arguments.command is None:
            command = arguments.command
            sys.stdout.write((command_help(command) if command else overview()) + "\n")
            return None
        if body is not None and body.strip() and not arguments.command.body:
            raise RequestInvalid(
                f"%%norman {arguments.command.name} takes no body below it. Write %norman "
                f"{arguments.command.name}, with one %, on a line of its own.",
                field="body",
            )
        context = self._context(local_variables, body)
        outcome = RUNNERS[arguments.command.name](arguments, context)
        if arguments.command.changes:
            self._facts.forget()
        is_printed = JSON_FLAG in arguments.flags and not is_silent
        if is_printed:
            sys.stdout.write(json_document(outcome.value) + "\n")
        if is_silent or is_printed or outcome.is_shown:
            self._shown = (self._shell.execution_count, outcome.value)
        return outcome.value

    def _is_shown(self, value: Any) -> bool:
        execution_count, shown = self._shown
        return shown is value and execution_count == self._shell.execution_count

    def _defaults(self, words: Sequence[Word]) -> Mapping[str, str]:
        """Return what was set, as it would be typed; what mends it must work without."""
        from norman_jupyter.magics.parsing import HELP_FLAGS

        texts = {word.text for word in words}
        if not words or words[0].text in _SET_THEMSELVES or texts & HELP_FLAGS:
            return {}
        settings = self._settings.current()
        found = {name: settings.get(name) for name in ("model", "timeout", "in_flight")}
        return {name: str(value) for name, value in found.items() if value is not None}

    def _remember(self, value: Any) -> None:
        self._last = [value]
        self._shell.user_ns[LAST_NAME] = value

    def _recall(self) -> Any:
        if not self._last:
            raise RequestInvalid(
                "Nothing was invoked in this notebook yet. %norman invoke REF KEY=VALUE does."
            )
        return self._last[0]

    def _assign(self, name: str, value: Any) -> None:
        self._shell.user_ns[name] = value

    def _context(self, local_variables: dict[str, Any], body: str | None) -> Context:
        from norman_jupyter.magics.context import Context

        return Context(
            connection=self._connection,
            namespace=self._namespace(local_variables),
            display_upload=self._display_upload,
            collect_origin=self._collect_origin,
            confirm=_confirm,
            notebook=Notebook(
                assign=self._assign,
                remember=self._remember,
                recall=self._recall,
                display_rows=self._display_rows,
                settings=self._settings,
                body=body,
            ),
        )

    def _namespace(self, local_variables: dict[str, Any]) -> Namespace:
        from norman_jupyter.magics.bindings import Namespace

        hidden = self._shell.user_ns_hidden
        variables = {
            name: value
            for name, value in {**self._shell.user_ns, **local_variables}.items()
            if name not in _INTERACTIVE_NAMES or value is not hidden.get(name)
        }
        return Namespace.of(variables)

    def _collect_origin(self, source: Path) -> Origin:
        from norman_jupyter.packaging.origin import collect_origin

        return collect_origin(source, shell=self._shell)

    def _display_upload(self, subject: str) -> UploadDisplay:
        from norman_jupyter.magics.live import UploadDisplay

        return UploadDisplay(self._surface(), subject)

    def _display_rows(self, subject: str) -> RowsDisplay:
        from norman_jupyter.magics.rows import RowsDisplay

        return RowsDisplay(self._surface(), subject)

    def _surface(self) -> Surface:
        from norman_jupyter.magics.live import NotebookSurface, TerminalSurface

        publisher = self._shell.display_pub
        # The base class prints: only its subclasses have a frontend that updates outputs.
        if type(publisher) is DisplayPublisher:
            return TerminalSurface(sys.stdout)
        return NotebookSurface(publisher)


def _confirm(question: str) -> bool | None:
    from IPython.core.error import StdinNotImplementedError

    try:
        answer = input(f"{question} [y/N] ")
    except (StdinNotImplementedError, EOFError):  # papermill, say, or a script
        return None
    return answer.strip().lower() in ("y", "yes")
