"""What each command does: resolve its words, ask the client, return what is to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from norman_jupyter.magics.bindings import (
    resolve_path,
    resolve_text,
)
from norman_jupyter.magics.cataloguing import CATALOGUE_RUNNERS
from norman_jupyter.magics.configuring import CONFIGURING_RUNNERS
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.invoking import INVOKING_RUNNERS
from norman_jupyter.magics.paging import collect_pages, whole_number
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.magics.recalling import RECALLING_RUNNERS, find_invocation
from norman_jupyter.magics.upkeep import UPKEEP_RUNNERS
from norman_jupyter.magics.uploading import run_upload
from norman_jupyter.previews.listings import FoundModels, ShownModel
from norman_protocol.errors import NormanError
from norman_protocol.references import parse_reference

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client

__all__ = ["RUNNERS"]

_SHOWN_MODELS = 50


def _download(arguments: Arguments, context: Context) -> Outcome:
    reference = _reference(arguments, context)
    words = arguments.positionals[1:]
    folder = resolve_path(words[0], context.namespace, what="FOLDER") if words else None
    display = context.display_upload(reference)
    try:
        placed = context.connection.use(
            lambda client: client.download(reference, folder, on_progress=display.report)
        )
    except NormanError:
        display.abandon("failed")
        raise
    except KeyboardInterrupt:
        display.abandon("cancelled")
        raise
    display.end(f"{reference} is in {placed}")
    return Outcome(value=placed, is_shown=True)


def _models(arguments: Arguments, context: Context) -> Outcome:
    word = arguments.option("--search")
    search = None if word is None else resolve_text(word, context.namespace, what="--search")
    return _found(search, arguments, context)


def _search(arguments: Arguments, context: Context) -> Outcome:
    text = resolve_text(arguments.positionals[0], context.namespace, what="TEXT")
    return _found(text, arguments, context)


def _found(search: str | None, arguments: Arguments, context: Context) -> Outcome:
    limit = whole_number(arguments, context, "--limit") or _SHOWN_MODELS
    page = context.connection.use(
        lambda client: collect_pages(
            lambda some, cursor: client.models(search=search, limit=some, cursor=cursor), limit
        )
    )
    if not search:
        return Outcome(value=page)
    found = FoundModels(items=page.items, next_cursor=page.next_cursor, search=search)
    return Outcome(value=found)


def _show(arguments: Arguments, context: Context) -> Outcome:
    text = _reference(arguments, context)
    invocation = find_invocation(text, context)
    if invocation is not None:
        return Outcome(value=invocation)
    reference = parse_reference(text)
    if "@" in text:
        return Outcome(value=context.connection.use(lambda client: client.version(text)))
    return Outcome(value=context.connection.use(lambda client: _overview(client, reference.name)))


def _overview(client: Client, name: str) -> ShownModel:
    detail = client.model(name)
    number = detail.model.latest if detail.model.active is None else detail.model.active
    return ShownModel(model=detail, version=client.version(f"{detail.model.name}@{number}"))


def _logs(arguments: Arguments, context: Context) -> Outcome:
    text = _reference(arguments, context)
    return Outcome(value=context.connection.use(lambda client: client.logs(text)))


def _status(_: Arguments, context: Context) -> Outcome:
    return Outcome(value=context.connection.use(lambda client: client.status()))


def _reference(arguments: Arguments, context: Context) -> str:
    return resolve_text(arguments.positionals[0], context.namespace, what="REF")


RUNNERS: Mapping[str, Runner] = {
    **CATALOGUE_RUNNERS,
    **CONFIGURING_RUNNERS,
    **INVOKING_RUNNERS,
    **RECALLING_RUNNERS,
    **UPKEEP_RUNNERS,
    "download": _download,
    "logs": _logs,
    "models": _models,
    "search": _search,
    "show": _show,
    "status": _status,
    "upload": run_upload,
}
"""The function behind each command of `norman_jupyter.magics.options.COMMANDS`."""
