"""From a notebook cell to a versioned, isolated, monitored model service.

``%load_ext norman_jupyter`` gives ``%norman``; from Python there are `Norman` (for ``await``) and
`BlockingNorman`. Everything is imported on first use: importing this package costs next to
nothing.

Examples
--------
>>> import norman_jupyter
>>> issubclass(norman_jupyter.ModelNotFound, norman_jupyter.NormanError)
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from norman_jupyter.client.asynchronous import Norman
    from norman_jupyter.client.blocking import BlockingNorman
    from norman_jupyter.client.frames import MappedRow
    from norman_jupyter.client.inspection import Inspection
    from norman_jupyter.client.loaded import LoadedModel
    from norman_jupyter.client.mapping import MapInterrupted, MapProgress, MapRun
    from norman_jupyter.client.media import Media
    from norman_jupyter.client.progress import Progress
    from norman_jupyter.client.results import InvokeResult
    from norman_jupyter.client.submissions import BlockingSubmission, Submission
    from norman_jupyter.client.web import WebLimits
    from norman_jupyter.magics import load_ipython_extension, unload_ipython_extension
    from norman_protocol.errors import (
        BlobNotFound,
        BundleInvalid,
        Cancelled,
        ConfigurationInvalid,
        Conflict,
        ExecutorUnavailable,
        Forbidden,
        IdempotencyConflict,
        InputInvalid,
        InternalError,
        InterpreterRefused,
        Interrupted,
        InvocationNotFound,
        LoadFailed,
        ModelFailed,
        ModelNotFound,
        NameInvalid,
        NormanError,
        NotReady,
        OutputInvalid,
        PayloadTooLarge,
        ProtocolViolation,
        QueueFull,
        RangeInvalid,
        ReplicaDied,
        RequestInvalid,
        RouteNotFound,
        RuntimeMissing,
        ServerNotFound,
        StorageFull,
        TimedOut,
        TrustRequired,
        Unauthenticated,
        VersionNotFound,
    )

    __version__: str

__all__ = [
    "BlobNotFound",
    "BlockingNorman",
    "BlockingSubmission",
    "BundleInvalid",
    "Cancelled",
    "ConfigurationInvalid",
    "Conflict",
    "ExecutorUnavailable",
    "Forbidden",
    "IdempotencyConflict",
    "InputInvalid",
    "Inspection",
    "InternalError",
    "InterpreterRefused",
    "Interrupted",
    "InvocationNotFound",
    "InvokeResult",
    "LoadFailed",
    "LoadedModel",
    "MapInterrupted",
    "MapProgress",
    "MapRun",
    "MappedRow",
    "Media",
    "ModelFailed",
    "ModelNotFound",
    "NameInvalid",
    "Norman",
    "NormanError",
    "NotReady",
    "OutputInvalid",
    "PayloadTooLarge",
    "Progress",
    "ProtocolViolation",
    "QueueFull",
    "RangeInvalid",
    "ReplicaDied",
    "RequestInvalid",
    "RouteNotFound",
    "RuntimeMissing",
    "ServerNotFound",
    "StorageFull",
    "Submission",
    "TimedOut",
    "TrustRequired",
    "Unauthenticated",
    "VersionNotFound",
    "WebLimits",
    "__version__",
    "load_ipython_extension",
    "unload_ipython_extension",
]

_HOMES = {
    "BlockingNorman": "norman_jupyter.client.blocking",
    "Inspection": "norman_jupyter.client.inspection",
    "InvokeResult": "norman_jupyter.client.results",
    "Media": "norman_jupyter.client.media",
    "LoadedModel": "norman_jupyter.client.loaded",
    "MapInterrupted": "norman_jupyter.client.mapping",
    "MapProgress": "norman_jupyter.client.mapping",
    "MapRun": "norman_jupyter.client.mapping",
    "MappedRow": "norman_jupyter.client.frames",
    "Norman": "norman_jupyter.client.asynchronous",
    "Progress": "norman_jupyter.client.progress",
    "BlockingSubmission": "norman_jupyter.client.submissions",
    "Submission": "norman_jupyter.client.submissions",
    "WebLimits": "norman_jupyter.client.web",
    "load_ipython_extension": "norman_jupyter.magics",
    "unload_ipython_extension": "norman_jupyter.magics",
}
_ERRORS = "norman_protocol.errors"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("norman-jupyter")
    elif name in __all__:
        found = getattr(importlib.import_module(_HOMES.get(name, _ERRORS)), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
