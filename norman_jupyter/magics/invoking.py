"""What the commands that call a model do: with a line, a cell's body, or over rows."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from norman_jupyter.client.inputs import DEFAULT_IN_FLIGHT
from norman_jupyter.magics.bindings import (
    Binding,
    explain_input_error,
    resolve_bindings,
    resolve_number,
    resolve_text,
    resolve_value,
)
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.options import JSON_FLAG
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.previews.text import format_count
from norman_protocol.errors import InputInvalid, NormanError, RequestInvalid
from norman_protocol.signature import Signature

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client

__all__ = ["INVOKING_RUNNERS"]

_CANCELLED_CALL = (
    "If the model is still at work on the call, its worker is stopped; the next call starts one."
)


def _invoke(arguments: Arguments, context: Context) -> Outcome:
    reference_word, *value_words = arguments.positionals
    reference = resolve_text(reference_word, context.namespace, what="REF")
    timeout_word = arguments.option("--timeout")
    timeout_s = (
        None
        if timeout_word is None
        else resolve_number(timeout_word, context.namespace, what="--timeout")
    )
    into = _into(arguments, context)
    bindings = resolve_bindings(value_words, context.namespace)
    if arguments.option("--over") is not None:
        return _over(arguments, context, reference, bindings, timeout_s, into)
    body = context.body

    def call(client: Client) -> Any:
        inputs = {name: binding.value for name, binding in bindings.items()}
        if body is not None and body.strip():
            inputs |= _body_inputs(client, reference, body, bindings)
        return client.invoke(reference, inputs, timeout_s=timeout_s)

    try:
        result = context.connection.use(call)
    except InputInvalid as error:
        hint = explain_input_error(error, bindings, context.namespace)
        if hint is not None:
            error.add_note(hint)
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(_CANCELLED_CALL)
        raise
    _keep(context, result, into)
    return Outcome(value=result)


def _body_inputs(
    client: Client, reference: str, body: str, bindings: Mapping[str, Binding]
) -> dict[str, Any]:
    from norman_jupyter.magics.bodies import read_body

    signature = client.version(reference).signature
    return read_body(body, signature or Signature(), bindings)


def _over(
    arguments: Arguments,
    context: Context,
    reference: str,
    bindings: Mapping[str, Binding],
    timeout_s: float | None,
    into: str | None,
) -> Outcome:
    from norman_jupyter.client.mapping import MapInterrupted
    from norman_jupyter.magics.rows import NoDisplay

    notebook = context.notebook
    word = arguments.option("--over")
    if notebook is None or word is None:
        raise RequestInvalid("--over is for notebooks.", field="--over")
    if context.body is not None and context.body.strip():
        raise RequestInvalid(
            "With --over the inputs come from the data; write what is the same for every row as "
            "KEY=VALUE on the line, and leave the cell's body empty.",
            field="--over",
        )
    data = resolve_value("--over", word, context.namespace)
    constants = {name: binding.value for name, binding in bindings.items()}
    in_flight = _in_flight(arguments, context)
    # A document on standard output is to be nothing but the document.
    display = NoDisplay() if JSON_FLAG in arguments.flags else notebook.display_rows(reference)
    try:
        answers = context.connection.use(
            lambda client: client.map(
                reference,
                data.value,
                constants,
                in_flight=in_flight,
                timeout_s=timeout_s,
                on_progress=display.report,
            )
        )
    except MapInterrupted as stop:
        display.abandon("interrupted")
        _keep(context, stop.result, into)
        where = f"{into} and %norman last give" if into is not None else "%norman last gives"
        stop.add_note(
            f"What is done is kept ({format_count(stop.done, 'row')}): {where} it, with the others "
            "marked in the column error."
        )
        raise
    except BaseException as error:
        display.abandon("failed" if isinstance(error, NormanError) else "cancelled")
        if isinstance(error, InputInvalid):
            hint = explain_input_error(error, bindings, context.namespace)
            hint = hint or _misread(data, error, context)
            if hint is not None:
                error.add_note(hint)
        raise
    facts = getattr(answers, "attrs", {}).get("norman", {})
    display.finish(facts.get("version"), tuple(facts.get("not_sent", ())))
    _keep(context, answers, into)
    return Outcome(value=answers)


def _misread(data: Binding, error: InputInvalid, context: Context) -> str | None:
    """Say that the data was read as text, where the text is no pattern of files."""
    if data.source != "text" or error.input:
        return None
    names = [name for name in context.namespace.variables if not name.startswith("_")]
    nearest = get_close_matches(data.raw, names, n=1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"No variable is called {data.raw[:60]}.{hint}"


def _in_flight(arguments: Arguments, context: Context) -> int:
    word = arguments.option("--in-flight")
    if word is None:
        return DEFAULT_IN_FLIGHT
    number = resolve_number(word, context.namespace, what="--in-flight")
    return int(number) if number == int(number) else 0  # which the client refuses


def _into(arguments: Arguments, context: Context) -> str | None:
    word = arguments.option("--into")
    if word is None:
        return None
    name = resolve_text(word, context.namespace, what="--into")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RequestInvalid(
            f"--into takes the name of a variable, not {name[:60]!r}.", field="--into"
        )
    return name


def _keep(context: Context, value: Any, into: str | None) -> None:
    context.remember(value)
    if context.notebook is not None and into is not None:
        context.notebook.assign(into, value)


def _last(_: Arguments, context: Context) -> Outcome:
    if context.notebook is None:
        raise RequestInvalid("There is no last result outside a notebook.", field="last")
    return Outcome(value=context.notebook.recall())


INVOKING_RUNNERS: Mapping[str, Runner] = {"invoke": _invoke, "last": _last}
"""The function behind each command that calls a model."""
