"""What the commands on versions and aliases do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from norman_jupyter.magics.bindings import resolve_text
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.paging import PAGE, collect_pages, whole_number
from norman_jupyter.magics.parsing import Arguments
from norman_protocol.errors import RequestInvalid
from norman_protocol.references import ACTIVE, parse_reference

if TYPE_CHECKING:
    from norman_jupyter.magics.connection import Client

__all__ = ["CATALOGUE_RUNNERS"]

_SHOWN = 20


def _alias(arguments: Arguments, context: Context) -> Outcome:
    text = _place(arguments, context, 0, "REF")
    reference = parse_reference(text)
    if len(arguments.positionals) == 1:
        if "@" in text or "--delete" in arguments.flags or "--why" in arguments.options:
            raise RequestInvalid(
                f"ALIAS is missing: %norman alias {text} production", field="ALIAS"
            )
        return _ask(context, lambda client: client.aliases(reference.name, limit=PAGE))
    alias = _place(arguments, context, 1, "ALIAS")
    why = _option(arguments, context, "--why")
    if "--delete" in arguments.flags:
        if "@" in text:
            raise RequestInvalid(
                "An alias is taken from the model: "
                f"%norman alias {reference.name} {alias} --delete",
                field="REF",
            )
        return _ask(context, lambda client: client.delete_alias(reference.name, alias, why))

    def switch(client: Client) -> object:
        selector = reference.selector
        number = selector if isinstance(selector, int) else client.version(text).number
        return client.set_alias(reference.name, alias, number, why)

    return _ask(context, switch)


def _rollback(arguments: Arguments, context: Context) -> Outcome:
    name = _name(arguments, context)
    to = whole_number(arguments, context, "--to")
    alias = _option(arguments, context, "--alias") or ACTIVE
    why = _option(arguments, context, "--why")
    return _ask(context, lambda client: client.rollback(name, to, alias, why))


def _versions(arguments: Arguments, context: Context) -> Outcome:
    name, limit = _name(arguments, context), _limit(arguments, context)
    return _ask(
        context,
        lambda client: collect_pages(
            lambda some, cursor: client.versions(name, limit=some, cursor=cursor), limit
        ),
    )


def _history(arguments: Arguments, context: Context) -> Outcome:
    name, limit = _name(arguments, context), _limit(arguments, context)
    alias = _option(arguments, context, "--alias")
    return _ask(
        context,
        lambda client: collect_pages(
            lambda some, cursor: client.history(name, alias, limit=some, cursor=cursor), limit
        ),
    )


def _diff(arguments: Arguments, context: Context) -> Outcome:
    before = _place(arguments, context, 0, "REF")
    after = _place(arguments, context, 1, "OTHER")
    return _ask(context, lambda client: client.diff(before, after))


def _edit(arguments: Arguments, context: Context) -> Outcome:
    reference = _place(arguments, context, 0, "REF")
    label = _option(arguments, context, "--version-label")
    description = _option(arguments, context, "--description")
    long_description = _option(arguments, context, "--long-description")
    tags: tuple[str, ...] | None = tuple(
        resolve_text(tag, context.namespace, what="--tag")
        for tag in arguments.options.get("--tag", ())
    )
    if tags and "--no-tags" in arguments.flags:
        raise RequestInvalid("--tag and --no-tags contradict each other.", field="--no-tags")
    if not tags and "--no-tags" not in arguments.flags:
        tags = None
    if (label, description, long_description, tags) == (None, None, None, None):
        raise RequestInvalid(
            "Nothing is to be changed. %norman edit --help lists what can be.", field="REF"
        )
    return _ask(
        context,
        lambda client: client.edit(
            reference,
            label=label,
            description=description,
            long_description=long_description,
            tags=tags,
        ),
    )


def _ask(context: Context, question: Callable[[Client], object]) -> Outcome:
    return Outcome(value=context.connection.use(question))


def _place(arguments: Arguments, context: Context, index: int, what: str) -> str:
    return resolve_text(arguments.positionals[index], context.namespace, what=what)


def _name(arguments: Arguments, context: Context) -> str:
    text = _place(arguments, context, 0, "MODEL")
    if "@" in text:
        name = parse_reference(text).name
        raise RequestInvalid(
            f"%norman {arguments.command.name if arguments.command else ''} takes a model's name: "
            f"{name}, not {text}.",
            field="MODEL",
        )
    return text


def _option(arguments: Arguments, context: Context, name: str) -> str | None:
    word = arguments.option(name)
    return None if word is None else resolve_text(word, context.namespace, what=name)


def _limit(arguments: Arguments, context: Context) -> int:
    return whole_number(arguments, context, "--limit") or _SHOWN


CATALOGUE_RUNNERS: Mapping[str, Runner] = {
    "alias": _alias,
    "diff": _diff,
    "edit": _edit,
    "history": _history,
    "rollback": _rollback,
    "versions": _versions,
}
"""The function behind each command on versions and aliases."""
