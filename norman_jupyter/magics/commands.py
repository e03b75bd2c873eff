"""What each command does: resolve its words, ask the client, return what is to be shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from norman_jupyter.magics.bindings import (
    Namespace,
    resolve_object,
    resolve_text,
)
from norman_jupyter.magics.cataloguing import CATALOGUE_RUNNERS
from norman_jupyter.magics.configuring import CONFIGURING_RUNNERS
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.invoking import INVOKING_RUNNERS
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.magics.recalling import RECALLING_RUNNERS, find_invocation
from norman_jupyter.magics.upkeep import UPKEEP_RUNNERS
from norman_jupyter.magics.words import Word
from norman_jupyter.previews.listings import FoundModels, ShownModel
from norman_protocol.arrays import name_type
from norman_protocol.errors import BundleInvalid, InputInvalid, NormanError
from norman_protocol.references import parse_reference

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client

__all__ = ["RUNNERS"]


def _upload(arguments: Arguments, context: Context) -> Outcome:
    word = arguments.positionals[0]
    source = _path(word, context.namespace, what="PATH")

    def text(option: str) -> str | None:
        given = arguments.option(option)
        return None if given is None else resolve_text(given, context.namespace, what=option)

    name, label = text("--name"), text("--version-label")
    description, long_description = text("--description"), text("--long-description")
    tags = tuple(
        resolve_text(tag, context.namespace, what="--tag")
        for tag in arguments.options.get("--tag", ())
    )
    origin = context.collect_origin(source)
    display = context.display_upload(str(source))
    try:
        version = context.connection.use(
            lambda client: client.upload(
                source,
                name=name,
                label=label,
                description=description,
                long_description=long_description,
                tags=tags,
                trust="--trust" in arguments.flags,
                activate="--no-activate" not in arguments.flags,
                origin=origin,
                on_progress=display.report,
            )
        )
    except NormanError as error:
        display.abandon("failed")
        if isinstance(error, BundleInvalid) and not source.exists():
            _hint_at_variable(error, word, context.namespace)
        raise
    except KeyboardInterrupt:
        display.abandon("cancelled")
        raise
    display.finish(version)
    return Outcome(value=version, is_shown=True)


def _path(word: Word, namespace: Namespace, *, what: str) -> Path:
    value = resolve_object(word, namespace, what=what)
    if not isinstance(value, (str, os.PathLike)):
        raise InputInvalid(
            f"{what}: {word.raw[:80]} is {name_type(value)}; a path is needed.",
            input=what,
            received=type(value).__qualname__,
        )
    path = Path(value)
    try:
        return path.expanduser()
    except RuntimeError:  # ~someone, who isn't known here: a folder may be called so
        return path


def _hint_at_variable(error: BundleInvalid, word: Word, namespace: Namespace) -> None:
    if isinstance(namespace.variables.get(word.raw), (str, os.PathLike)):
        error.add_note(f"To upload what the variable {word.raw} names, write {{{word.raw}}}.")


def _download(arguments: Arguments, context: Context) -> Outcome:
    reference = _reference(arguments, context)
    words = arguments.positionals[1:]
    folder = _path(words[0], context.namespace, what="FOLDER") if words else None
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
    return _found(search, context)


def _search(arguments: Arguments, context: Context) -> Outcome:
    return _found(resolve_text(arguments.positionals[0], context.namespace, what="TEXT"), context)


def _found(search: str | None, context: Context) -> Outcome:
    page = context.connection.use(lambda client: client.models(search=search))
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
    "upload": _upload,
}
"""The function behind each command of `norman_jupyter.magics.options.COMMANDS`."""
