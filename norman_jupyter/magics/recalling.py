"""What the commands on recorded invocations do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, get_args

from norman_jupyter.magics.bindings import resolve_number, resolve_text
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.moments import parse_moment
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.previews.listings import FoundInvocations
from norman_protocol.errors import InvocationNotFound, RequestInvalid
from norman_protocol.messages import InvocationState
from norman_protocol.rest import InvocationDetail, InvocationPage, InvocationSummary

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client

__all__ = ["RECALLING_RUNNERS", "find_invocation"]

_ID: Final = re.compile(r"[0-9a-f]{32}")
_PAGE: Final = 200
_SHOWN: Final = 20


def find_invocation(text: str, context: Context) -> InvocationDetail | None:
    """Return the invocation of an id; None where the text is no id, or none that is recorded.

    A model may have a name that looks like an id.
    """
    if not _ID.fullmatch(text):
        return None
    try:
        return context.connection.use(lambda client: client.invocation(text))
    except InvocationNotFound:
        return None


def _invocations(arguments: Arguments, context: Context) -> Outcome:
    model = None
    if arguments.positionals:
        model = resolve_text(arguments.positionals[0], context.namespace, what="REF")
    state = _state(arguments, context)
    since = _since(arguments, context)
    wanted = _limit(arguments, context)

    def ask(client: Client) -> InvocationPage:
        items: list[InvocationSummary] = []
        cursor: str | None = None
        while True:
            page = client.invocations(
                model=model,
                state=state,
                since=since,
                limit=min(_PAGE, wanted - len(items)),
                cursor=cursor,
            )
            items.extend(page.items)
            cursor = page.next_cursor
            if cursor is None or len(items) >= wanted:
                found = FoundInvocations if (model or state or since) else InvocationPage
                return found(items=tuple(items), next_cursor=cursor)

    return Outcome(value=context.connection.use(ask))


def _state(arguments: Arguments, context: Context) -> InvocationState | None:
    word = arguments.option("--state")
    if word is None:
        return None
    text = resolve_text(word, context.namespace, what="--state")
    states: tuple[InvocationState, ...] = get_args(InvocationState)
    for state in states:
        if state == text:
            return state
    raise RequestInvalid(
        f"--state is one of {', '.join(get_args(InvocationState))}, not {text[:60]!r}.",
        field="--state",
    )


def _since(arguments: Arguments, context: Context) -> datetime | None:
    word = arguments.option("--since")
    if word is None:
        return None
    text = resolve_text(word, context.namespace, what="--since")
    return parse_moment(text, datetime.now().astimezone(), what="--since")


def _limit(arguments: Arguments, context: Context) -> int:
    word = arguments.option("--limit")
    if word is None:
        return _SHOWN
    number = resolve_number(word, context.namespace, what="--limit")
    if number != int(number):
        raise RequestInvalid(
            f"--limit takes a whole number, not {word.raw[:60]!r}.", field="--limit"
        )
    return int(number)


def _replay(arguments: Arguments, context: Context) -> Outcome:
    invocation_id = resolve_text(arguments.positionals[0], context.namespace, what="ID")
    word = arguments.option("--with")
    reference = None if word is None else resolve_text(word, context.namespace, what="--with")
    result = context.connection.use(lambda client: client.replay(invocation_id, reference))
    context.remember(result)
    return Outcome(value=result)


def _cancel(arguments: Arguments, context: Context) -> Outcome:
    invocation_id = resolve_text(arguments.positionals[0], context.namespace, what="ID")
    return Outcome(value=context.connection.use(lambda client: client.cancel(invocation_id)))


RECALLING_RUNNERS: Mapping[str, Runner] = {
    "cancel": _cancel,
    "invocations": _invocations,
    "replay": _replay,
}
"""The function behind each command on invocations."""
