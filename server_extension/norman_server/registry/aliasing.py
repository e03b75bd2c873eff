"""Moving aliases, taking them away, and where a rollback leads; each within one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from norman_protocol.errors import Conflict
from norman_protocol.references import ACTIVE, version_not_found
from norman_server.domain.records import AliasChange, AliasTarget, ModelRecord, VersionRecord
from norman_server.registry.selecting import find_model

if TYPE_CHECKING:
    from norman_protocol.rest import AliasAction
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = [
    "AliasMove",
    "RollbackPlan",
    "delete_alias",
    "earlier_version",
    "move_alias",
    "plan_rollback",
]

_UNSET = 0
"""Stands for no version where a number is compared; numbers start at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """A request to let an alias lead to a version.

    Attributes
    ----------
    expected
        The number where it must lead until now, 0 for one that isn't set; None: anywhere.
    """

    name: str
    alias: str
    number: int
    user: str
    why: str
    action: AliasAction
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """Where a rollback leads from and to; ``before`` is 0 where the alias isn't set."""

    name: str
    before: int
    target: int


def move_alias(rows: RegistryRows, move: AliasMove, now: datetime) -> tuple[str, AliasChange]:
    """Let an alias lead to a version, where it leads as expected until now.

    Returns
    -------
    tuple
        The model's name as it is spelt, and the change. One that changes nothing isn't recorded.

    Raises
    ------
    ModelNotFound, VersionNotFound
        There is no such model, or no version of that number.
    Conflict
        The alias leads elsewhere than expected.
    """
    model = find_model(rows, move.name)
    target = _target(rows, model, move.number)
    current = rows.aliases.find(model.id, move.alias)
    before = _UNSET if current is None else current.number
    if move.expected is not None and move.expected != before:
        raise _changed_meanwhile(model.name, move.alias, before)
    # Later than every request until now: an upload that was begun before doesn't undo this.
    order = rows.models.take_activation(model.id) if move.alias == ACTIVE else 0
    change = AliasChange(
        alias=move.alias,
        before=before or None,
        after=target.number,
        changed_at=now,
        changed_by=move.user,
        reason=move.why,
        action=move.action,
    )
    if before == target.number:
        rows.aliases.follow(model.id, move.alias, order)
        return model.name, change
    leads = AliasTarget(version_id=target.id, number=target.number, activation=order)
    rows.aliases.move(model.id, leads, change)
    rows.models.touch(model.name, now)
    return model.name, change


def delete_alias(
    rows: RegistryRows, name: str, alias: str, *, user: str, why: str, now: datetime
) -> tuple[str, AliasChange]:
    """Take an alias away; its history stays.

    Raises
    ------
    ModelNotFound, VersionNotFound
        There is no such model or alias.
    """
    model = find_model(rows, name)
    current = rows.aliases.find(model.id, alias)
    if current is None:
        raise version_not_found(
            model.name, alias, rows.versions.numbers(model.id), rows.aliases.numbers(model.id)
        )
    change = AliasChange(
        alias=alias,
        before=current.number,
        after=None,
        changed_at=now,
        changed_by=user,
        reason=why,
        action="delete",
    )
    rows.aliases.remove(model.id, change)
    if alias == ACTIVE:
        # Uploads that are still loading asked to be active before this: the last word counts.
        rows.versions.withdraw_activations(model.id)
    rows.models.touch(model.name, now)
    return model.name, change


def plan_rollback(rows: RegistryRows, name: str, alias: str, to: int | None) -> RollbackPlan:
    """Find where a rollback leads.

    Parameters
    ----------
    to
        The version's number; None for the one before in the alias's history.

    Raises
    ------
    ModelNotFound, VersionNotFound
        There is no such model, alias, or version.
    Conflict
        There is nothing before.
    """
    model = find_model(rows, name)
    current = rows.aliases.find(model.id, alias)
    before = _UNSET if current is None else current.number
    changes = rows.aliases.history(model.id, alias, None)
    targets = rows.versions.targets(model.id)
    if not changes:
        raise version_not_found(model.name, alias, list(targets), rows.aliases.numbers(model.id))
    if to is not None:
        return RollbackPlan(name=model.name, before=before, target=_target(rows, model, to).number)
    ready = {number for number, (_, state) in targets.items() if state == "ready"}
    target = earlier_version(reversed(changes), ready)
    if target is None:
        raise Conflict(
            f"{model.name}@{alias} led to no other version before. Choose one: "
            f"%norman alias {model.name}@N {alias}",
            name=f"{model.name}@{alias}",
        )
    return RollbackPlan(name=model.name, before=before, target=target)


def earlier_version(changes: Iterable[AliasChange], usable: Collection[int]) -> int | None:
    """Return the version that an alias led to before, None where there is none.

    The history is read as steps forward and steps back, so that rolling back again and again walks
    further back instead of to and fro. A version set by hand begins a new walk from there.

    Parameters
    ----------
    changes
        Of one alias, oldest first.
    usable
        Numbers of the versions that an alias may lead to.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> def change(after, action="set"):
    ...     return AliasChange(alias="active", before=None, after=after, action=action,
    ...                        changed_at=datetime.now(UTC), changed_by="ada", reason="")
    >>> history = [change(1), change(2), change(3), change(2, "rollback")]
    >>> earlier_version(history, {1, 2, 3})
    1
    """
    walked: list[int | None] = []
    for change in changes:
        if change.action == "rollback" and change.after in walked:
            while walked[-1] != change.after:
                walked.pop()
        else:
            walked.append(change.after)
    if not walked:
        return None
    current = walked.pop()
    while walked:
        candidate = walked.pop()
        if candidate is not None and candidate != current and candidate in usable:
            return candidate
    return None


def _target(rows: RegistryRows, model: ModelRecord, number: int) -> VersionRecord:
    numbers = rows.versions.numbers(model.id)
    record = rows.versions.by_number(model.id, number) if number in numbers else None
    if record is None:
        raise version_not_found(model.name, number, numbers, rows.aliases.numbers(model.id))
    return record


def _changed_meanwhile(name: str, alias: str, number: int) -> Conflict:
    leads = f"leads to {name}@{number}" if number else "isn't set"
    return Conflict(
        f"{name}@{alias} {leads} now, not where it was expected to: somebody changed it meanwhile. "
        f"Look at it again: %norman history {name}",
        name=f"{name}@{alias}",
    )
