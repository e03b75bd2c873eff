"""What the commands on the notebook's server and its defaults do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from norman_jupyter.client.discovery import split_url
from norman_jupyter.client.settings import SettingValue, find_setting, parse_setting
from norman_jupyter.magics.bindings import resolve_object, resolve_text
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.notebook import Notebook
from norman_jupyter.magics.parsing import Arguments
from norman_jupyter.previews.settings import Connected
from norman_protocol.errors import RequestInvalid, Unauthenticated

if TYPE_CHECKING:
    from norman_jupyter.magics.words import Word

__all__ = ["CONFIGURING_RUNNERS"]

_IN_CELL = "The token stands in this cell; --token-env NAME keeps it out of the notebook."


def _connect(arguments: Arguments, context: Context) -> Outcome:
    notebook = _notebook(context)
    variable = arguments.option("--token-env")
    name = None if variable is None else resolve_text(variable, context.namespace, what="NAME")
    changes: dict[str, SettingValue | None] = {"url": None, "token_env": None}
    token = None
    if arguments.positionals:
        text = resolve_text(arguments.positionals[0], context.namespace, what="URL")
        changes["url"], token = split_url(text)
    if name is not None:
        changes["token_env"] = parse_setting("token_env", name, where="--token-env")
    restore = notebook.settings.change(changes, token=None if name is not None else token)
    try:
        status = context.connection.use(lambda client: client.status())
    except BaseException as error:
        restore()  # where it went until now is better than nowhere
        if isinstance(error, Unauthenticated) and name is None:
            error.add_note("In a notebook: %norman connect URL --token-env NAME")
        raise
    url, layer = notebook.settings.current().source("url")
    return Outcome(
        value=Connected(
            url=None if url is None else str(url),
            set_by=layer,
            server_id=status.server_id,
            version=status.version,
            model_count=status.model_count,
            hint=_IN_CELL if token is not None else "",
        )
    )


def _config(arguments: Arguments, context: Context) -> Outcome:
    notebook = _notebook(context)
    changes: dict[str, SettingValue | None] = {}
    for word in arguments.positionals:
        name, value = _assignment(word)
        if name in changes:
            raise RequestInvalid(f"{name} is given twice.", field=name)
        if not value.raw:
            changes[find_setting(name, where="%norman config").name] = None
        else:
            read = resolve_object(value, context.namespace, what=name)
            changes[name] = parse_setting(name, read, where="%norman config")
    notebook.settings.change(changes)
    return Outcome(value=notebook.settings.current())


def _assignment(word: Word) -> tuple[str, Word]:
    parts = word.partition("=")
    if parts is None or not parts[0]:
        raise RequestInvalid(
            f"{word.raw[:60]!r} is no KEY=VALUE. %norman config timeout=30 sets a default, "
            "timeout= unsets it, %norman config shows them all.",
            field="KEY=VALUE",
        )
    return parts


def _notebook(context: Context) -> Notebook:
    if context.notebook is None:
        raise RequestInvalid("This command is for notebooks.")
    return context.notebook


CONFIGURING_RUNNERS: Mapping[str, Runner] = {"config": _config, "connect": _connect}
"""The function behind each command on the server and the defaults of a notebook."""
