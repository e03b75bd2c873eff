"""``%norman upload``: a path, or the files that a configuration names; or only a look at them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from norman_jupyter.magics.bindings import Namespace, resolve_object, resolve_path, resolve_text
from norman_jupyter.magics.context import Context, Outcome
from norman_jupyter.magics.options import find_command
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.magics.words import Word
from norman_protocol.errors import BundleInvalid, NormanError, RequestInvalid

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client
    from norman_protocol.rest import VersionDetail

__all__ = ["run_upload"]


def run_upload(arguments: Arguments, context: Context) -> Outcome:
    """Upload what a line names, or say what that would be."""
    namespace = context.namespace
    words = arguments.positionals
    source = resolve_path(words[0], namespace, what="PATH") if words else None
    config = _config(arguments.option("--config"), namespace)
    if source is None and config is None:
        raise _nothing_named()
    said = _said(arguments, namespace)
    if "--dry-run" in arguments.flags:
        return Outcome(
            value=context.connection.use(
                lambda client: client.inspect(source, config=config, **said)
            )
        )
    place = source if source is not None else _place(config)
    display = context.display_upload(str(place))
    options = {
        **said,
        "trust": "--trust" in arguments.flags,
        "activate": "--no-activate" not in arguments.flags,
        "origin": context.collect_origin(place),
        "on_progress": display.report,
    }

    def upload(client: Client) -> VersionDetail:
        if config is None or source is not None:
            return client.upload(source or place, config=config, **options)
        return client.upload_model(config, **options)

    try:
        version = context.connection.use(upload)
    except NormanError as error:
        display.abandon("failed")
        if isinstance(error, BundleInvalid) and source is not None and not source.exists():
            _hint_at_variable(error, words[0], namespace)
        raise
    except KeyboardInterrupt:
        display.abandon("cancelled")
        raise
    display.finish(version)
    return Outcome(value=version, is_shown=True)


def _config(word: Word | None, namespace: Namespace) -> Mapping[str, Any] | Path | None:
    """Return the configuration that a word names: a file, or the dictionary of an expression."""
    if word is None:
        return None
    if word.expression is not None:
        value = resolve_object(word, namespace, what="--config")
        if isinstance(value, Mapping):
            return value
    return resolve_path(word, namespace, what="--config")


def _place(config: Mapping[str, Any] | Path | None) -> Path:
    """Return where a configuration comes from: its file, or for a dictionary the folder here."""
    return config if isinstance(config, Path) else Path()


def _nothing_named() -> RequestInvalid:
    command = find_command("upload")
    usage = "" if command is None else f" Usage: %norman {command.usage}"
    return RequestInvalid(
        "PATH is missing: a file or folder to upload; or --config FILE, a configuration that "
        f"names the model's files.{usage}",
        field="PATH",
    )


def _said(arguments: Arguments, namespace: Namespace) -> dict[str, Any]:
    def text(option: str) -> str | None:
        given = arguments.option(option)
        return None if given is None else resolve_text(given, namespace, what=option)

    return {
        "name": text("--name"),
        "label": text("--version-label"),
        "description": text("--description"),
        "long_description": text("--long-description"),
        "tags": tuple(
            resolve_text(tag, namespace, what="--tag") for tag in arguments.options.get("--tag", ())
        ),
    }


def _hint_at_variable(error: BundleInvalid, word: Word, namespace: Namespace) -> None:
    if isinstance(namespace.variables.get(word.raw), (str, os.PathLike)):
        error.add_note(f"To upload what the variable {word.raw} names, write {{{word.raw}}}.")
