"""What the commands on deleting and on the disk do."""

from __future__ import annotations

from collections.abc import Mapping

from norman_jupyter.magics.bindings import resolve_text
from norman_jupyter.magics.context import Context, Outcome, Runner
from norman_jupyter.magics.parsing import Arguments
from norman_protocol.errors import RequestInvalid
from norman_protocol.references import parse_reference

__all__ = ["UPKEEP_RUNNERS"]


def _rm(arguments: Arguments, context: Context) -> Outcome:
    text = resolve_text(arguments.positionals[0], context.namespace, what="REF")
    reference = parse_reference(text)
    if "--all" in arguments.flags:
        if "@" in text:
            raise RequestInvalid(
                f"--all deletes the whole model: %norman rm {reference.name} --all. To delete "
                f"this version alone, leave --all out.",
                field="--all",
            )
        return _rm_model(reference.name, context, is_sure="--yes" in arguments.flags)
    if "@" not in text:
        raise RequestInvalid(
            f"Which version? %norman rm {text}@1 deletes one, %norman rm {text} --all the whole "
            f"model; %norman versions {text} lists them.",
            field="REF",
        )
    stop = "--stop" in arguments.flags
    return Outcome(value=context.connection.use(lambda client: client.delete(text, stop=stop)))


def _rm_model(name: str, context: Context, *, is_sure: bool) -> Outcome:
    detail = context.connection.use(lambda client: client.model(name))
    count = detail.model.version_count
    what = f"{detail.model.name} with its {count} version{'s' if count != 1 else ''}"
    if not is_sure:
        answer = context.confirm(f"Delete {what} and every alias for good?")
        if answer is None:
            raise RequestInvalid(
                f"Nobody can be asked here whether to delete {what}. If you are sure: "
                f"%norman rm {detail.model.name} --all --yes",
                field="--yes",
            )
        if not answer:
            return Outcome(value=None)
    return Outcome(
        value=context.connection.use(lambda client: client.delete_model(detail.model.name))
    )


def _gc(arguments: Arguments, context: Context) -> Outcome:
    dry_run = "--dry-run" in arguments.flags
    return Outcome(
        value=context.connection.use(lambda client: client.collect_garbage(dry_run=dry_run))
    )


def _du(arguments: Arguments, context: Context) -> Outcome:
    name = None
    if arguments.positionals:
        text = resolve_text(arguments.positionals[0], context.namespace, what="MODEL")
        name = parse_reference(text).name
        if "@" in text:
            raise RequestInvalid(
                f"%norman du takes a model's name: {name}, not {text}. It lists every version.",
                field="MODEL",
            )
    return Outcome(value=context.connection.use(lambda client: client.disk(name)))


def _doctor(arguments: Arguments, context: Context) -> Outcome:
    repair, deep = "--repair" in arguments.flags, "--deep" in arguments.flags
    return Outcome(
        value=context.connection.use(lambda client: client.doctor(repair=repair, deep=deep))
    )


UPKEEP_RUNNERS: Mapping[str, Runner] = {"doctor": _doctor, "du": _du, "gc": _gc, "rm": _rm}
"""The function behind each command on deleting and on the disk."""
