"""The server at a glance, the description of the API, and what stands under no route."""

from __future__ import annotations

import os

from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.decoding import JsonValue, dump_json
from norman_protocol.rest import RelayStatus, ServerStatus
from norman_server.api.base import Handler
from norman_server.api.operations import Route
from norman_server.api.services import ServiceSlot

__all__ = ["NoRouteHandler", "OpenApiHandler", "StatusHandler"]


class StatusHandler(Handler):
    """The server at a glance."""

    async def get(self) -> None:
        """Answer with the state of the server, the executor and what it serves."""
        self.query()
        services = self.services
        executor, report = await services.supervisor.status()
        status = ServerStatus(
            server_id=services.server_id,
            version=services.version,
            protocol=PROTOCOL_VERSIONS[1],
            model_count=await services.registry.model_count(),
            executor=executor,
            devices=() if report is None else report.devices,
            relay=self._relay_status(),
        )
        await self.answer(status)

    def _relay_status(self) -> RelayStatus | None:
        through = self.relayed_by
        if through is None or not through.isdecimal():
            return None
        return RelayStatus(relaying_pid=int(through[:10]), holding_pid=os.getpid())


class OpenApiHandler(Handler):
    """The description of this API."""

    def initialize(
        self, slot: ServiceSlot, route: Route, document: JsonValue | None = None
    ) -> None:
        """Take the document, which the table of routes was turned into."""
        super().initialize(slot, route)
        self._document = document

    async def get(self) -> None:
        """Answer with the OpenAPI document."""
        self.query()
        await self.finish(dump_json(self._document))


class NoRouteHandler(Handler):
    """Whatever else is asked for below the API's path."""
