"""Messages between processes: typed values to frames and back.

Five channels use them. *Data* (kernel or server → executor): Hello, Welcome, Invoke, Cancel,
Result, Failure. *Control* (server → executor, over an inherited socket pair whose end-of-file ends
the executor): Configure, Deploy, Start, Stop, Route, Forget, GetStatus and their answers. *Worker*
(executor → worker, over an inherited socket pair): Load, Loaded, Predict, Prediction, Failure.
*Codec* (executor → codec worker, likewise): Decode, Decoded, Encode, Encoded, Failure.
*Transfer* (client →
server, a Unix socket): Hello, Welcome, Offer with a file's descriptor, Copying, Kept, Failure.
The journal holds Accepted and Ended as frames in a file.

A request carries an ``id`` chosen by who asks, unique on its connection; the answer echoes it.
"""

from __future__ import annotations

from norman_protocol.messages.base import Caller, InvocationState, Message, Timings, VersionState
from norman_protocol.messages.codec import decode_message, encode_message, failure_from_error
from norman_protocol.messages.control import (
    CancelInvocation,
    Configure,
    Configured,
    Deploy,
    DeploymentStatus,
    DeviceStatus,
    Done,
    ExecutorLimits,
    Forget,
    GetRunning,
    GetStatus,
    ReplicaChanged,
    Route,
    RouteTarget,
    Running,
    Start,
    Started,
    Status,
    Stop,
)
from norman_protocol.messages.data import Cancel, Failure, Hello, Invoke, Result, Welcome
from norman_protocol.messages.journal import Accepted, Ended
from norman_protocol.messages.media import Decode, Decoded, Encode, Encoded
from norman_protocol.messages.transfer import Copying, Kept, Offer
from norman_protocol.messages.worker import Load, Loaded, Predict, Prediction

__all__ = [
    "Accepted",
    "Caller",
    "Cancel",
    "CancelInvocation",
    "Configure",
    "Configured",
    "Copying",
    "Decode",
    "Decoded",
    "Deploy",
    "DeploymentStatus",
    "DeviceStatus",
    "Done",
    "Encode",
    "Encoded",
    "Ended",
    "ExecutorLimits",
    "Failure",
    "Forget",
    "GetRunning",
    "GetStatus",
    "Hello",
    "InvocationState",
    "Invoke",
    "Kept",
    "Load",
    "Loaded",
    "Message",
    "Offer",
    "Predict",
    "Prediction",
    "ReplicaChanged",
    "Result",
    "Route",
    "RouteTarget",
    "Running",
    "Start",
    "Started",
    "Status",
    "Stop",
    "Timings",
    "VersionState",
    "Welcome",
    "decode_message",
    "encode_message",
    "failure_from_error",
]
