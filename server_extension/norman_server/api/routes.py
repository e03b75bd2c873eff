"""The table of routes, from which the handlers and the OpenAPI document are made."""

from __future__ import annotations

import re
from typing import Any

from norman_protocol.rest import (
    API_PATH,
    UPLOAD_LENGTH,
    UPLOAD_OFFSET,
    BlobStored,
    BlobUpload,
    Deletion,
    EditRequest,
    FetchRequest,
    InvocationDetail,
    InvocationPage,
    InvocationSummary,
    InvokeAnswer,
    InvokeRequest,
    LogText,
    MissingAnswer,
    MissingRequest,
    ModelDetail,
    ModelPage,
    PackStored,
    PublishRequest,
    ReplayRequest,
    ServerStatus,
    VersionDetail,
    VersionPage,
)
from norman_server.api.alias_routes import ALIAS_ROUTES
from norman_server.api.base import Handler
from norman_server.api.blobs import BlobHandler, BlobUploadHandler, MissingHandler
from norman_server.api.invocations import (
    InvocationHandler,
    InvocationReplayHandler,
    InvocationResultHandler,
    InvocationsHandler,
)
from norman_server.api.models import (
    MAX_WAIT_S,
    ModelHandler,
    ModelsHandler,
    VersionHandler,
    VersionLogsHandler,
    VersionsHandler,
)
from norman_server.api.openapi import build_document
from norman_server.api.operations import Operation, QueryParameter, Route
from norman_server.api.outputs import InvocationOutputHandler
from norman_server.api.packs import FetchHandler, PackHandler
from norman_server.api.paging import CURSOR, LIMIT
from norman_server.api.services import ServiceSlot
from norman_server.api.status import NoRouteHandler, OpenApiHandler, StatusHandler
from norman_server.api.upkeep import UPKEEP_ROUTES

__all__ = ["ROUTES", "build_handlers", "path_pattern"]


_PREFER = QueryParameter(
    name="Prefer",
    kind=str,
    description="respond-async: keep the call, answer 202 with its Location",
)
_IDEMPOTENCY_KEY = QueryParameter(
    name="Idempotency-Key",
    kind=str,
    description="At most 200 printable characters: the same call, however often it is sent",
)
_ENDED_WAIT = QueryParameter(
    name="wait_s",
    kind=float,
    description=f"Answer when it has ended, or after so many seconds (at most {MAX_WAIT_S:g})",
)

ROUTES: tuple[Route, ...] = (
    Route(
        path="status",
        handler=StatusHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The server at a glance",
                answers={200: ServerStatus},
            ),
        ),
    ),
    Route(
        path="openapi.json",
        handler=OpenApiHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The description of this API",
                answers={200: None},
            ),
        ),
    ),
    Route(
        path="blobs/missing",
        handler=MissingHandler,
        operations=(
            Operation(
                verb="POST",
                action="write",
                summary="Which of these blobs are not stored",
                request=MissingRequest,
                body="json",
                answers={200: MissingAnswer},
            ),
        ),
    ),
    Route(
        path="blobs/pack",
        handler=PackHandler,
        operations=(
            Operation(
                verb="POST",
                action="write",
                summary="Store many small blobs in one request",
                body="pack",
                answers={200: PackStored},
            ),
        ),
    ),
    Route(
        path="blobs/fetch",
        handler=FetchHandler,
        operations=(
            Operation(
                verb="POST",
                action="read",
                summary="The bytes of many small blobs, in one pack",
                request=FetchRequest,
                body="json",
                gives="bytes",
                answers={200: None},
            ),
        ),
    ),
    Route(
        path="blobs/{digest}",
        handler=BlobHandler,
        operations=(
            Operation(
                verb="PUT",
                action="write",
                summary="Store the bytes whose SHA-256 is the digest",
                body="blob",
                headers=(
                    QueryParameter(
                        name=UPLOAD_OFFSET,
                        kind=int,
                        description=(
                            "The body is a part of the blob that begins here: where the last one "
                            "ended, else 416 with the right offset"
                        ),
                    ),
                    QueryParameter(
                        name=UPLOAD_LENGTH,
                        kind=int,
                        description="Size of the whole blob; goes with Upload-Offset",
                    ),
                ),
                answers={200: BlobStored, 201: BlobStored, 202: BlobUpload},
            ),
            Operation(
                verb="GET",
                action="read",
                summary="The bytes of a blob, always whole",
                gives="bytes",
                answers={200: None},
            ),
            Operation(
                verb="HEAD",
                action="read",
                summary="Whether a blob is stored, and its size",
                gives="bytes",
                answers={200: None},
            ),
        ),
    ),
    Route(
        path="blobs/{digest}/upload",
        handler=BlobUploadHandler,
        operations=(
            Operation(
                verb="GET",
                action="write",
                summary="Where the upload of a blob goes on",
                answers={200: BlobUpload},
            ),
        ),
    ),
    Route(
        path="models",
        handler=ModelsHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="All models, by name",
                query=(
                    LIMIT,
                    CURSOR,
                    QueryParameter(
                        name="search",
                        kind=str,
                        description="Only those with this text in their name, or in a label, "
                        "description or tag of a version",
                    ),
                ),
                answers={200: ModelPage},
            ),
        ),
    ),
    Route(
        path="models/{name}",
        handler=ModelHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="A model and its latest versions",
                answers={200: ModelDetail},
            ),
            Operation(
                verb="DELETE",
                action="write",
                summary="Delete a model with its versions and aliases",
                answers={200: Deletion},
            ),
        ),
    ),
    Route(
        path="models/{name}/versions",
        handler=VersionsHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The versions of a model, newest first",
                query=(LIMIT, CURSOR),
                answers={200: VersionPage},
            ),
            Operation(
                verb="POST",
                action="write",
                summary="Make a version of stored blobs and begin to load it",
                request=PublishRequest,
                body="json",
                answers={200: VersionDetail, 202: VersionDetail},
            ),
        ),
    ),
    Route(
        path="models/{name}/versions/{selector}",
        handler=VersionHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="A version by number, alias, active or latest",
                query=(
                    QueryParameter(
                        name="wait_s",
                        kind=float,
                        description=(
                            "Answer when the version is no longer loading, or after so many "
                            f"seconds (at most {MAX_WAIT_S:g})"
                        ),
                    ),
                ),
                answers={200: VersionDetail},
            ),
            Operation(
                verb="PATCH",
                action="write",
                summary="Change label, descriptions and tags of a version",
                request=EditRequest,
                body="json",
                answers={200: VersionDetail},
            ),
            Operation(
                verb="DELETE",
                action="write",
                summary="Delete a version that no alias leads to and no replica serves",
                query=(
                    QueryParameter(
                        name="stop",
                        kind=int,
                        description="1: stop a replica that has nothing to do",
                    ),
                ),
                answers={200: Deletion},
            ),
        ),
    ),
    *ALIAS_ROUTES,
    *UPKEEP_ROUTES,
    Route(
        path="models/{name}/versions/{selector}/logs",
        handler=VersionLogsHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="The end of what a version's worker wrote, or what it wrote since",
                answers={200: LogText},
                query=(
                    QueryParameter(
                        name="after",
                        kind=int,
                        description="Only the whole lines from this offset on: the end of the "
                        "answer before",
                    ),
                ),
            ),
        ),
    ),
    Route(
        path="invocations",
        handler=InvocationsHandler,
        operations=(
            Operation(
                verb="POST",
                action="execute",
                summary="Call a version",
                request=InvokeRequest,
                body="frame",
                headers=(_PREFER, _IDEMPOTENCY_KEY),
                answers={200: InvokeAnswer, 202: InvocationSummary},
            ),
            Operation(
                verb="GET",
                action="read",
                summary="Calls, newest first",
                query=(
                    LIMIT,
                    CURSOR,
                    QueryParameter(name="model", kind=str, description="Calls of this model only"),
                    QueryParameter(name="state", kind=str, description="Calls in this state only"),
                    QueryParameter(
                        name="since", kind=str, description="Calls from this time on (RFC 3339)"
                    ),
                ),
                answers={200: InvocationPage},
            ),
        ),
    ),
    Route(
        path="invocations/{invocation_id}",
        handler=InvocationHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="One call with what was captured of it",
                query=(_ENDED_WAIT,),
                answers={200: InvocationDetail},
            ),
            Operation(
                verb="DELETE",
                action="execute",
                summary="Cancel a call",
                answers={200: InvocationDetail},
            ),
        ),
    ),
    Route(
        path="invocations/{invocation_id}/result",
        handler=InvocationResultHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="What a call answered, or its error; 202 where it goes on",
                query=(_ENDED_WAIT,),
                answers={200: InvokeAnswer, 202: InvocationSummary},
            ),
        ),
    ),
    Route(
        path="invocations/{invocation_id}/output",
        handler=InvocationOutputHandler,
        operations=(
            Operation(
                verb="GET",
                action="read",
                summary="One kept output of a call itself: an image as an image, JSON as JSON",
                gives="bytes",
                query=(
                    QueryParameter(name="name", kind=str, description="Which output; required"),
                ),
                answers={200: None},
            ),
        ),
    ),
    Route(
        path="invocations/{invocation_id}/replay",
        handler=InvocationReplayHandler,
        operations=(
            Operation(
                verb="POST",
                action="execute",
                summary="Run the kept inputs of a call again",
                request=ReplayRequest,
                body="json",
                headers=(_PREFER, _IDEMPOTENCY_KEY),
                answers={200: InvokeAnswer, 202: InvocationSummary},
            ),
        ),
    ),
)
"""Every route; an earlier one wins."""

_NO_ROUTE = Route(path="", handler=NoRouteHandler, operations=())


def path_pattern(path: str) -> str:
    """Return the regular expression of a route's path below the server's base URL.

    Examples
    --------
    >>> path_pattern("models/{name}")
    '/norman/api/v1/models/([^/]+)'
    """
    parts = re.split(r"\{\w+\}", path)
    return f"/{API_PATH}/" + "([^/]+)".join(map(re.escape, parts))


def build_handlers(
    slot: ServiceSlot, version: str
) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the handlers for tornado, in the order in which they are tried."""
    handlers: list[tuple[str, type[Handler], dict[str, Any]]] = []
    for route in ROUTES:
        arguments: dict[str, Any] = {"slot": slot, "route": route}
        if route.handler is OpenApiHandler:
            arguments["document"] = build_document(ROUTES, version)
        handlers.append((path_pattern(route.path), route.handler, arguments))
    fallback = {"slot": slot, "route": _NO_ROUTE}
    return [*handlers, (r"/norman/api(?:/.*)?", NoRouteHandler, fallback)]
