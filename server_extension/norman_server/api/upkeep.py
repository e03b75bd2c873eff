"""Looking after the home: what takes the disk, and clean-up."""

from __future__ import annotations

from norman_protocol.rest import (
    DiskUsage,
    DoctorReport,
    DoctorRequest,
    GarbageReport,
    GarbageRequest,
)
from norman_server.api.base import Handler
from norman_server.api.operations import Operation, QueryParameter, Route

__all__ = ["UPKEEP_ROUTES", "DiskHandler", "DoctorHandler", "GarbageHandler"]


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


class DoctorHandler(Handler):
    """The doctor."""

    async def get(self) -> None:
        """Answer with what isn't as it should be."""
        await self.answer(await self.services.examine(deep=self.flag("deep"), repair=False))

    async def post(self) -> None:
        """Mend what is safe to mend, and answer with what was found."""
        self.query()
        request = self.decode_body(DoctorRequest)
        await self.answer(await self.services.examine(deep=request.deep, repair=True))


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
        path="doctor",
        handler=DoctorHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="What of the home isn't as it should be",
                query=(
                    QueryParameter(name="deep", kind=int, description="1: read every stored byte"),
                ),
                answers={200: DoctorReport},
            ),
            Operation(
                verb="POST",
                action="write",
                summary="Mend what is safe to mend",
                request=DoctorRequest,
                body="json",
                answers={200: DoctorReport},
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
