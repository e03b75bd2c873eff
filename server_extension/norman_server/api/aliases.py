"""Aliases of a model: listed, set, taken away, rolled back, and their history."""

from __future__ import annotations

from norman_protocol.rest import AliasRequest, RollbackRequest
from norman_server.api.base import Handler
from norman_server.api.models import page_limit

__all__ = [
    "AliasHandler",
    "AliasHistoryHandler",
    "AliasRollbackHandler",
    "AliasesHandler",
    "ModelHistoryHandler",
]


class AliasesHandler(Handler):
    """The aliases of a model."""

    async def get(self, name: str) -> None:
        """Answer with a page of them by name."""
        query = self.query()
        await self.answer(
            await self.services.registry.aliases(
                name, limit=page_limit(query["limit"]), cursor=query["cursor"]
            )
        )


class AliasHandler(Handler):
    """One alias."""

    async def put(self, name: str, alias: str) -> None:
        """Let it lead to a version, and answer when calls go there."""
        self.query()
        request = self.decode_body(AliasRequest)
        switches = self.services.deployments.switches
        await self.answer(await switches.set(name, alias, request, user=self.user))

    async def delete(self, name: str, alias: str) -> None:
        """Take it away."""
        why = self.query()["why"]
        switches = self.services.deployments.switches
        await self.answer(await switches.delete(name, alias, why, user=self.user))


class AliasRollbackHandler(Handler):
    """Going back."""

    async def post(self, name: str, alias: str) -> None:
        """Let the alias lead where it led before, and answer when calls go there."""
        self.query()
        request = self.decode_body(RollbackRequest)
        switches = self.services.deployments.switches
        await self.answer(await switches.roll_back(name, alias, request, user=self.user))


class AliasHistoryHandler(Handler):
    """The changes of one alias."""

    async def get(self, name: str, alias: str) -> None:
        """Answer with a page of them, newest first."""
        await _answer_history(self, name, alias)


class ModelHistoryHandler(Handler):
    """The changes of every alias of a model."""

    async def get(self, name: str) -> None:
        """Answer with a page of them, newest first."""
        await _answer_history(self, name, None)


async def _answer_history(handler: Handler, name: str, alias: str | None) -> None:
    query = handler.query()
    await handler.answer(
        await handler.services.registry.alias_history(
            name, alias, limit=page_limit(query["limit"]), cursor=query["cursor"]
        )
    )
