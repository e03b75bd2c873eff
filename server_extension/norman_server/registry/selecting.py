"""From a reference to a version, with errors that say what there is instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from norman_protocol.errors import ModelNotFound, NotReady, VersionNotFound
from norman_protocol.references import ACTIVE, LATEST, Reference, model_not_found, version_not_found
from norman_server.domain.records import ModelRecord, VersionRecord, format_time

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["deleted_version", "find_model", "inactive", "select_version"]

_CANDIDATES: Final = 2000
_SHOWN: Final = 20


def find_model(rows: RegistryRows, name: str) -> ModelRecord:
    """Return the model of that name.

    Raises
    ------
    ModelNotFound
        There is none; ``nearest`` holds the most similar names.
    """
    model = rows.models.find(name)
    if model is None:
        gone = rows.models.find_any(name)
        if gone is not None:
            raise ModelNotFound(
                f"{gone.name} was deleted. Upload it again: %norman upload PATH --name {gone.name}",
                name=gone.name,
            )
        raise model_not_found(name, rows.models.names(_CANDIDATES))
    return model


def select_version(rows: RegistryRows, reference: Reference) -> VersionRecord:
    """Return the version that a reference means now, in whatever state it is.

    Raises
    ------
    ModelNotFound, VersionNotFound
        Nothing has that name, number or alias.
    NotReady
        The active version is meant, and the model has none; the message says why.
    """
    model = find_model(rows, reference.name)
    numbers = rows.versions.numbers(model.id)
    aliases = rows.aliases.numbers(model.id)
    number = _number(reference, numbers, aliases)
    record = rows.versions.by_number(model.id, number) if number in numbers else None
    if record is not None:
        return record
    gone = None if number is None else rows.versions.deletion(model.id, number)
    if gone is not None:
        raise deleted_version(model.name, number or 0, numbers, *gone)
    latest = rows.versions.by_number(model.id, numbers[-1]) if numbers else None
    if reference.selector == ACTIVE and latest is not None:
        raise inactive(latest)
    raise version_not_found(model.name, reference.selector, numbers, aliases)


def _number(reference: Reference, numbers: Sequence[int], aliases: Mapping[str, int]) -> int | None:
    if isinstance(reference.selector, int):
        return reference.selector
    if reference.selector == LATEST:
        return numbers[-1] if numbers else None
    return aliases.get(reference.selector)


def deleted_version(
    name: str, number: int, numbers: Sequence[int], deleted_at: datetime, deleted_by: str
) -> VersionNotFound:
    """Say of a version that it was deleted, when and by whom."""
    left = ", ".join(str(one) for one in numbers[-_SHOWN:])
    return VersionNotFound(
        f"{name}@{number} was deleted on {format_time(deleted_at)[:16].replace('T', ' at ')} UTC "
        f"by {deleted_by}. Of {name} there {'is' if len(numbers) == 1 else 'are'} {left}.",
        reference=f"{name}@{number}",
        versions=list(numbers[-_SHOWN:]),
    )


def inactive(latest: VersionRecord) -> NotReady:
    """Say why a model without an active version has none, from its latest version."""
    if latest.state == "loading":
        why = f"{latest.reference} is still loading. Try again when it is ready."
    elif latest.state == "failed":
        told = latest.error.message if latest.error else "no reason was recorded."
        reason = " ".join(told.split())
        why = f"{latest.reference} failed: {reason} Upload it again once that is mended."
    else:
        why = (
            f"{latest.reference} is ready, but isn't the active one. Call it as "
            f"{latest.reference}, or make it active: %norman alias {latest.reference} active"
        )
    return NotReady(
        f"{latest.name} has no active version: {why}",
        reference=latest.reference,
        state=latest.state,
    )
