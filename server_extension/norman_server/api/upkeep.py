"""Looking after the home: what takes the disk, and clean-up."""

from __future__ import annotations

from norman_protocol.rest import DiskUsage, GarbageReport, GarbageRequest
from norman_server.api.base import Handler
from norman_server.api.operations import Operation, QueryParameter, Route

__all__ = ["UPKEEP_ROUTES", "DiskHandler", "GarbageHandler"]


class DiskHandler(Handler):
    """What takes the disk."""

    async def get(self) -> None:
        """Answer with the sizes of versions and of everything else."""
        name = self.query()["model"]
        await self.answer(await self.services.disk_usage(name))


class GarbageHandler(Handler):
    """Clean-up."""

    async def post(self) -> None:
        """Remove what nothing needs any more, or say what that is."""
        self.query()
        request = self.decode_body(GarbageRequest)
        await self.answer(await self.services.collector.collect(dry_run=request.dry_run))


UPKEEP_ROUTES: tuple[Route, ...] = (
    Route(
        path="disk",
        handler=DiskHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="What takes the disk",
                query=(
                    QueryParameter(
                        name="model", kind=str, description="List the versions of this model only"
                    ),
                ),
                answers={200: DiskUsage},
            ),
        ),
    ),
    Route(
        path="garbage",
        handler=GarbageHandler,
        operations=(
            Operation(
                verb="POST",
                action="write",
                summary="Remove what no version needs any more",
                request=GarbageRequest,
                body="json",
                answers={200: GarbageReport},
            ),
        ),
    ),
)
"""Of the home as a whole, not of one model."""
