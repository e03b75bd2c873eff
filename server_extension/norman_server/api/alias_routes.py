"""Routes of aliases, of their history, and of what is different between versions."""

from __future__ import annotations

from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    AliasRequest,
    RollbackRequest,
    VersionDiff,
)
from norman_server.api.aliases import (
    AliasesHandler,
    AliasHandler,
    AliasHistoryHandler,
    AliasRollbackHandler,
    ModelHistoryHandler,
)
from norman_server.api.models import VersionDiffHandler
from norman_server.api.operations import Operation, QueryParameter, Route
from norman_server.api.paging import CURSOR, LIMIT

__all__ = ["ALIAS_ROUTES"]

ALIAS_ROUTES: tuple[Route, ...] = (
    Route(
        path="models/{name}/versions/{selector}/diff/{other}",
        handler=VersionDiffHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="What is different from one version to another",
                answers={200: VersionDiff},
            ),
        ),
    ),
    Route(
        path="models/{name}/aliases",
        handler=AliasesHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The aliases of a model, by name",
                query=(LIMIT, CURSOR),
                answers={200: AliasPage},
            ),
        ),
    ),
    Route(
        path="models/{name}/aliases/{alias}",
        handler=AliasHandler,
        operations=(
            Operation(
                verb="PUT",
                action="write",
                summary="Let an alias lead to a version, once that one is loaded and warm",
                request=AliasRequest,
                body="json",
                answers={200: AliasChange},
            ),
            Operation(
                verb="DELETE",
                action="write",
                summary="Take an alias away; its history stays",
                query=(
                    QueryParameter(name="why", kind=str, description="The reason, for its history"),
                ),
                answers={200: AliasChange},
            ),
        ),
    ),
    Route(
        path="models/{name}/aliases/{alias}/rollback",
        handler=AliasRollbackHandler,
        operations=(
            Operation(
                verb="POST",
                action="write",
                summary="Let an alias lead where it led before; again goes further back",
                request=RollbackRequest,
                body="json",
                answers={200: AliasChange},
            ),
        ),
    ),
    Route(
        path="models/{name}/aliases/{alias}/history",
        handler=AliasHistoryHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The changes of an alias, newest first",
                query=(LIMIT, CURSOR),
                answers={200: AliasHistory},
            ),
        ),
    ),
    Route(
        path="models/{name}/history",
        handler=ModelHistoryHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The changes of every alias of a model, newest first",
                query=(LIMIT, CURSOR),
                answers={200: AliasHistory},
            ),
        ),
    ),
)
"""They follow those of versions."""
