"""Queries on aliases and their append-only history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from norman_server.domain.records import AliasChange, AliasOutline, AliasTarget
from norman_server.storage.db.registry.tables import alias_changes, aliases, versions

__all__ = ["AliasRows"]


class AliasRows:
    """Queries within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, model_id: str, alias: str) -> AliasTarget | None:
        """Return where an alias leads, None where it isn't set."""
        query = (
            select(aliases.c.version_id, versions.c.number, aliases.c.activation)
            .join(versions, versions.c.id == aliases.c.version_id)
            .where(aliases.c.model_id == model_id, aliases.c.alias == alias)
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        return AliasTarget(version_id=row.version_id, number=row.number, activation=row.activation)

    def numbers(self, model_id: str) -> dict[str, int]:
        """Return alias → number of the model's aliases."""
        query = (
            select(aliases.c.alias, versions.c.number)
            .join(versions, versions.c.id == aliases.c.version_id)
            .where(aliases.c.model_id == model_id)
            .order_by(aliases.c.alias)
        )
        return {row.alias: row.number for row in self._connection.execute(query)}

    def all_numbers(self) -> dict[str, dict[str, int]]:
        """Return model id → alias → number, of every model."""
        query = select(aliases.c.model_id, aliases.c.alias, versions.c.number).join(
            versions, versions.c.id == aliases.c.version_id
        )
        found: dict[str, dict[str, int]] = {}
        for row in self._connection.execute(query):
            found.setdefault(row.model_id, {})[row.alias] = row.number
        return found

    def move(self, model_id: str, target: AliasTarget, change: AliasChange) -> None:
        """Let an alias lead to ``target``, and append the change to its history."""
        values = {"version_id": target.version_id, "activation": target.activation}
        where = (aliases.c.model_id == model_id, aliases.c.alias == change.alias)
        if not self._connection.execute(update(aliases).where(*where).values(values)).rowcount:
            self._connection.execute(
                insert(aliases).values(model_id=model_id, alias=change.alias, **values)
            )
        self._record(model_id, change)

    def remove(self, model_id: str, change: AliasChange) -> None:
        """Let an alias lead nowhere, and append that to its history."""
        self._connection.execute(
            delete(aliases).where(aliases.c.model_id == model_id, aliases.c.alias == change.alias)
        )
        self._record(model_id, change)

    def _record(self, model_id: str, change: AliasChange) -> None:
        self._connection.execute(
            insert(alias_changes).values(
                model_id=model_id,
                alias=change.alias,
                before=change.before,
                after=change.after,
                changed_at=change.changed_at,
                changed_by=change.changed_by,
                reason=change.reason,
                action=change.action,
            )
        )

    def follow(self, model_id: str, alias: str, activation: int) -> None:
        """Note that a later request found the alias where it wanted it."""
        self._connection.execute(
            update(aliases)
            .where(aliases.c.model_id == model_id, aliases.c.alias == alias)
            .values(activation=activation)
        )

    def page(self, model_id: str, *, limit: int, after: str | None) -> list[AliasOutline]:
        """Return a model's aliases by name, each with its last change."""
        changes = alias_changes.alias()
        last = (
            select(func.max(changes.c.id))
            .where(
                changes.c.model_id == aliases.c.model_id,
                changes.c.alias == aliases.c.alias,
            )
            .scalar_subquery()
        )
        query = (
            select(versions.c.number, versions.c.state, alias_changes)
            .select_from(
                aliases.join(versions, versions.c.id == aliases.c.version_id).join(
                    alias_changes, alias_changes.c.id == last
                )
            )
            .where(aliases.c.model_id == model_id)
            .order_by(aliases.c.alias)
            .limit(limit)
        )
        if after is not None:
            query = query.where(aliases.c.alias > after)
        return [
            AliasOutline(alias=row.alias, number=row.number, state=row.state, change=_change(row))
            for row in self._connection.execute(query)
        ]

    def history(
        self, model_id: str, alias: str | None, limit: int | None, *, before: int | None = None
    ) -> tuple[AliasChange, ...]:
        """Return the changes of an alias (None: of every alias), newest first.

        Parameters
        ----------
        before
            Only those that came before the change of this id.
        """
        query = (
            select(alias_changes)
            .where(alias_changes.c.model_id == model_id)
            .order_by(alias_changes.c.id.desc())
            .limit(limit)
        )
        if alias is not None:
            query = query.where(alias_changes.c.alias == alias)
        if before is not None:
            query = query.where(alias_changes.c.id < before)
        return tuple(map(_change, self._connection.execute(query)))


def _change(row: Any) -> AliasChange:
    return AliasChange(
        id=row.id,
        alias=row.alias,
        before=row.before,
        after=row.after,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        reason=row.reason,
        action=row.action,
    )
