"""Switching aliases: the target is loaded and warm first, then the alias moves, then calls do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from norman_protocol.errors import ExecutorUnavailable, Interrupted, NotReady
from norman_protocol.references import Reference, name_key, parse_alias, parse_name
from norman_protocol.rest import AliasChange, AliasRequest, RollbackRequest
from norman_server.deployments.turns import Turns
from norman_server.domain.records import VersionRecord
from norman_server.registry.aliasing import AliasMove
from norman_server.registry.checks import check_why
from norman_server.registry.service import Registry

__all__ = ["Switches"]

_log = logging.getLogger(__name__)


class Switches:
    """Sets, takes away and rolls back aliases, one switch at a time per model.

    Uploads that are loading don't hold a switch up: going back is wanted most when something new
    is in trouble.

    Parameters
    ----------
    warm
        Has the executor start a replica of a version, and returns when it serves.
    route
        Tells the executor where the references to a model lead now.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        warm: Callable[[VersionRecord], Awaitable[None]],
        route: Callable[[str], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._warm = warm
        self._route = route
        self._turns = Turns()

    async def set(self, name: str, alias: str, request: AliasRequest, *, user: str) -> AliasChange:
        """Let an alias lead to a version, once that one is warm.

        Raises
        ------
        NameInvalid, RequestInvalid
            The name or the alias is none, or the reason isn't text of bounded length.
        ModelNotFound, VersionNotFound
            There is no such model or version.
        NotReady
            The version is loading, or failed.
        Conflict
            The alias leads elsewhere than expected.
        NormanError
            The version can't be started now; the alias leads where it did.
        """
        move = AliasMove(
            name=parse_name(name),
            alias=parse_alias(alias),
            number=request.version,
            user=user,
            why=check_why(request.why),
            action="set",
            expected=request.expected,
        )
        async with self._turns.turn(name_key(move.name)):
            return await self._switch(move)

    async def roll_back(
        self, name: str, alias: str, request: RollbackRequest, *, user: str
    ) -> AliasChange:
        """Let an alias lead where it led before, once that version is warm.

        Raises
        ------
        ModelNotFound, VersionNotFound
            There is no such model, alias or version.
        Conflict
            There is nothing before, or the alias was moved meanwhile.
        NormanError
            As for `set`.
        """
        name, alias, why = parse_name(name), parse_alias(alias), check_why(request.why)
        async with self._turns.turn(name_key(name)):
            plan = await self._registry.plan_rollback(name, alias, request.to)
            return await self._switch(
                AliasMove(
                    name=plan.name,
                    alias=alias,
                    number=plan.target,
                    user=user,
                    why=why,
                    action="rollback",
                    # An upload may become active while the target warms up.
                    expected=plan.before,
                )
            )

    async def delete(self, name: str, alias: str, why: str | None, *, user: str) -> AliasChange:
        """Take an alias away; its history stays.

        Raises
        ------
        ModelNotFound, VersionNotFound
            There is no such model or alias.
        NameInvalid, RequestInvalid
            A name is none, or the reason isn't text of bounded length.
        """
        name, alias, reason = parse_name(name), parse_alias(alias), check_why(why)
        async with self._turns.turn(name_key(name)):
            change = await self._registry.delete_alias(name, alias, user=user, why=reason)
            await self._tell(change.name)
            return change

    async def _switch(self, move: AliasMove) -> AliasChange:
        record = await self._registry.version(Reference(name=move.name, selector=move.number))
        _require_ready(record, move.alias)
        await self._warm(record)
        change = await self._registry.move_alias(move)
        await self._tell(change.name)
        return change

    async def _tell(self, name: str) -> None:
        try:
            await self._route(name)
        except (ExecutorUnavailable, Interrupted):
            _log.info("The executor is away; its successor learns the routing of %s.", name)


def _require_ready(record: VersionRecord, alias: str) -> None:
    if record.state == "ready":
        return
    if record.state == "loading":
        why = f"it is still loading. Wait until it is ready: %norman show {record.reference}"
    else:
        reason = record.error.message.rstrip() if record.error else "no reason was recorded."
        why = f"it failed to load: {reason}"
    raise NotReady(
        f"{alias} can't lead to {record.reference}: {why}",
        reference=record.reference,
        state=record.state,
    )
