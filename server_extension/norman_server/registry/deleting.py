"""Deleting versions and models: what is refused, and what is forgotten, within one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from norman_protocol.errors import Conflict
from norman_protocol.references import Reference
from norman_protocol.rest import Deletion
from norman_server.domain.records import AliasChange, VersionRecord
from norman_server.registry.selecting import find_model, select_version

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["check_deletable", "delete_model", "delete_version"]


def check_deletable(version: VersionRecord) -> None:
    """Refuse to delete a version that something leads to, or that is being loaded.

    Raises
    ------
    Conflict
        The message says what names it, and what to do.
    """
    if version.state == "loading":
        raise Conflict(
            f"{version.reference} is being loaded. Delete it when it is ready or has failed: "
            f"%norman show {version.reference}",
            name=version.reference,
        )
    if not version.aliases:
        return
    named = ", ".join(version.aliases)
    one = len(version.aliases) == 1
    raise Conflict(
        f"{version.reference} can't be deleted: the {'alias' if one else 'aliases'} {named} "
        f"{'leads' if one else 'lead'} to it. First let {'it' if one else 'them'} lead elsewhere "
        f"(%norman alias {version.name}@N {version.aliases[0]}) or take "
        f"{'it' if one else 'them'} away (%norman alias {version.name} {version.aliases[0]} "
        f"--delete); or delete the whole model: %norman rm {version.name} --all",
        name=version.reference,
    )


def delete_version(
    rows: RegistryRows, reference: Reference, *, user: str, now: datetime
) -> tuple[VersionRecord, Deletion]:
    """Forget a version; its number is never given again.

    Raises
    ------
    ModelNotFound, VersionNotFound, NotReady
        The reference leads to no version.
    Conflict
        An alias leads to it, or it is being loaded.
    """
    version = select_version(rows, reference)
    check_deletable(version)
    model = find_model(rows, version.name)
    freed = rows.versions.unshared_bytes(version.id)
    rows.versions.delete(version, now=now, user=user)
    rows.models.touch(model.name, now)
    deletion = Deletion(
        name=model.name,
        versions=(version.reference,),
        whole=not rows.versions.numbers(model.id),
        freed_later_bytes=freed,
    )
    return version, deletion


def delete_model(
    rows: RegistryRows, name: str, *, user: str, now: datetime
) -> tuple[tuple[VersionRecord, ...], Deletion]:
    """Forget every version and alias of a model; numbers go on where they were, should it return.

    Raises
    ------
    ModelNotFound
        There is none of that name.
    Conflict
        A version of it is being loaded.
    """
    model = find_model(rows, name)
    found = [rows.versions.by_number(model.id, one) for one in rows.versions.numbers(model.id)]
    versions = tuple(version for version in found if version is not None)
    for version in versions:
        if version.state == "loading":
            check_deletable(version)
    aliases = rows.aliases.numbers(model.id)
    for alias, number in aliases.items():
        change = AliasChange(
            alias=alias,
            before=number,
            after=None,
            changed_at=now,
            changed_by=user,
            reason="the model was deleted",
            action="delete",
        )
        rows.aliases.remove(model.id, change)
    freed = 0
    for version in versions:
        freed += rows.versions.unshared_bytes(version.id)
        rows.versions.delete(version, now=now, user=user)
    rows.models.touch(model.name, now)
    return versions, Deletion(
        name=model.name,
        versions=tuple(version.reference for version in versions),
        aliases=tuple(aliases),
        whole=True,
        freed_later_bytes=freed,
    )
