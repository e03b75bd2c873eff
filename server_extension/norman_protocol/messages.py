"""Messages between processes: typed values to frames and back.

Three channels use them. *Data* (kernel or server → executor): Hello, Welcome, Invoke, Cancel,
Result, Failure. *Control* (server → executor, over an inherited socket pair whose end-of-file ends
the executor): Configure, Deploy, Start, Stop, Route, Forget, GetStatus and their answers. *Worker*
(executor → worker, over an inherited socket pair): Load, Loaded, Predict, Prediction, Failure.
The journal holds Accepted and Ended as frames in a file.

A request carries an ``id`` chosen by who asks, unique on its connection; the answer echoes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from norman_protocol.decoding import decode, encode
from norman_protocol.errors import NormanError, ProtocolViolation, RequestInvalid, error_from_wire
from norman_protocol.frames import Buffer, Frame, encode_frame
from norman_protocol.signature import Signature
from norman_protocol.values import Value, join_values, split_values

__all__ = [
    "Accepted",
    "Caller",
    "Cancel",
    "Configure",
    "Configured",
    "Deploy",
    "DeploymentStatus",
    "DeviceStatus",
    "Done",
    "Ended",
    "ExecutorLimits",
    "Failure",
    "Forget",
    "GetStatus",
    "Hello",
    "InvocationState",
    "Invoke",
    "Load",
    "Loaded",
    "Message",
    "Predict",
    "Prediction",
    "ReplicaChanged",
    "Result",
    "Route",
    "RouteTarget",
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

InvocationState: TypeAlias = Literal[
    "queued", "running", "succeeded", "failed", "cancelled", "timed_out", "interrupted"
]
VersionState: TypeAlias = Literal["loading", "ready", "failed"]

_NO_VALUES: dict[str, Value] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a user, and the kernel they ask from where there is one."""

    user: str
    kernel_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of one call on the executor's monotonic clock, in seconds."""

    queue_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0


class Message:
    """A typed message; ``TYPE`` is its name in a frame's header."""

    __slots__ = ()
    TYPE: ClassVar[str] = ""


# --- data channel ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """First frame of a data connection; anything else before it ends the connection.

    ``token`` is the extension's token (role ``kernel``), or the relay's own (role ``relay``),
    which alone lets each `Invoke` name its caller.
    """

    TYPE: ClassVar[str] = "hello"
    oldest_protocol: int
    newest_protocol: int
    token: str
    role: Literal["kernel", "relay"] = "kernel"
    kernel_id: str | None = None
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """The answer to Hello: the protocol version chosen, and who serves."""

    TYPE: ClassVar[str] = "welcome"
    protocol: int
    server_id: str
    executor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke(Message):
    """Call a version. One deadline of ``timeout_s`` covers queue and execution."""

    TYPE: ClassVar[str] = "invoke"
    id: str
    reference: str
    timeout_s: float | None = None
    caller: Caller | None = None
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Take back the call with this id on this connection; it is answered by one Failure."""

    TYPE: ClassVar[str] = "cancel"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Message):
    """What the model answered."""

    TYPE: ClassVar[str] = "result"
    id: str
    invocation_id: str
    reference: str
    timings: Timings
    logs: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Message):
    """An error in answer to the request ``id`` (empty: the connection itself)."""

    TYPE: ClassVar[str] = "failure"
    id: str
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_error(self) -> NormanError:
        """Rebuild the error."""
        return error_from_wire(self.code, self.message, self.details)


# --- worker channel -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Message):
    """Describe and load the version in ``files``. Answered by Loaded or Failure."""

    TYPE: ClassVar[str] = "load"
    id: str
    reference: str
    runtime: str
    files: str
    entry: str
    device: str = "cpu"
    threads: int = 0
    log_limit_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Message):
    """The version stands ready in this worker."""

    TYPE: ClassVar[str] = "loaded"
    id: str
    signature: Signature
    load_s: float
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict(Message):
    """Run the loaded version once. Answered by Prediction or Failure."""

    TYPE: ClassVar[str] = "predict"
    id: str
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Message):
    """The outputs, the time inside the model, and what it printed and logged meanwhile."""

    TYPE: ClassVar[str] = "prediction"
    id: str
    model_s: float
    logs: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


# --- control channel ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorLimits:
    """Bounds and defaults of an executor."""

    queue_limit: int = 256
    connection_limit: int = 512
    default_timeout_s: float = 60.0
    max_timeout_s: float = 3600.0
    load_timeout_s: float = 300.0
    replica_idle_timeout_s: float = 900.0
    capture_limit_bytes: int = 1 << 20
    body_limit_bytes: int = 2 << 30
    log_limit_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure(Message):
    """First frame on the control channel: where everything is, and the secrets."""

    TYPE: ClassVar[str] = "configure"
    id: str
    server_id: str
    token: str
    relay_token: str
    socket_path: str
    journal_folder: str
    run_folder: str
    limits: ExecutorLimits = field(default_factory=ExecutorLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured(Message):
    """The data socket listens."""

    TYPE: ClassVar[str] = "configured"
    id: str
    executor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy(Message):
    """Make a version known, so that it can be started; the same version again replaces it.

    ``signature`` is None until a replica has described it. Answered by Done.
    """

    TYPE: ClassVar[str] = "deploy"
    id: str
    version_id: str
    reference: str
    runtime: str
    interpreter: str
    files: str
    entry: str
    log_path: str
    signature: Signature | None = None
    device: str = "cpu"
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Message):
    """Start a replica of a deployed version now. Answered by Started or Failure."""

    TYPE: ClassVar[str] = "start"
    id: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Message):
    """A replica is described, loaded and serving."""

    TYPE: ClassVar[str] = "started"
    id: str
    signature: Signature
    load_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Message):
    """Stop a version's replica and forget its deployment. Answered by Done."""

    TYPE: ClassVar[str] = "stop"
    id: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """A version behind a number, with its state."""

    version_id: str
    state: VersionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Message):
    """The whole routing of one model, replacing what was known. Answered by Done.

    ``versions`` maps a number (as text) to its version, ``aliases`` a name to a number;
    ``active`` is among the aliases where it is set.
    """

    TYPE: ClassVar[str] = "route"
    id: str
    name: str
    versions: dict[str, RouteTarget]
    aliases: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(Message):
    """Drop the routing of one model. Answered by Done."""

    TYPE: ClassVar[str] = "forget"
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Message):
    """The request is carried out; there is nothing more to say."""

    TYPE: ClassVar[str] = "done"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetStatus(Message):
    """Ask what runs. Answered by Status."""

    TYPE: ClassVar[str] = "get_status"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStatus:
    """One version being served."""

    reference: str
    version_id: str
    state: Literal["stopped", "starting", "ready", "failed"]
    pid: int | None = None
    queued: int = 0
    running: int = 0
    calls: int = 0
    failures: int = 0
    restarts: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """A CPU (the whole machine's) or one GPU, with its memory."""

    name: str
    kind: Literal["cpu", "gpu"]
    description: str = ""
    cores: int = 0
    memory_total_bytes: int = 0
    memory_used_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Message):
    """What runs in the executor. Deployments that were never started are left out."""

    TYPE: ClassVar[str] = "status"
    id: str
    executor_id: str
    uptime_s: float
    connections: int
    deployments: tuple[DeploymentStatus, ...] = ()
    devices: tuple[DeviceStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaChanged(Message):
    """Event, unasked: a worker process began or ended.

    The server keeps the process group and its start time, so that it can end what an executor
    that was killed left behind.
    """

    TYPE: ClassVar[str] = "replica_changed"
    version_id: str
    pid: int
    started_at: float
    alive: bool


# --- journal --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Message):
    """A call was taken into the queue. Written before anything is done for it.

    ``values`` holds the inputs where all of them fit the capture limit; else it is empty and
    ``captured`` false. ``input_bytes`` counts the buffers either way.
    """

    TYPE: ClassVar[str] = "accepted"
    invocation_id: str
    version_id: str
    reference: str
    caller: Caller
    accepted_at: float
    input_bytes: int
    captured: bool
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Message):
    """A call reached its one terminal state. Written before the answer is sent."""

    TYPE: ClassVar[str] = "ended"
    invocation_id: str
    state: InvocationState
    ended_at: float
    timings: Timings
    output_bytes: int = 0
    captured: bool = False
    error_code: str | None = None
    error_message: str | None = None
    error_details: dict[str, Any] = field(default_factory=dict)
    logs: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)


_CLASSES: dict[str, type[Message]] = {cls.TYPE: cls for cls in Message.__subclasses__()}
_NESTED = (Caller, Timings, Signature, ExecutorLimits, tuple, dict, list)
_MISSING = dataclasses.MISSING
_FIELDS: dict[type[Message], tuple[tuple[str, Any], ...]] = {}
for _cls in _CLASSES.values():
    _FIELDS[_cls] = tuple(
        (item.name, item.default)
        for item in dataclasses.fields(_cls)  # type: ignore[arg-type]  # all are dataclasses
        if item.name != "values"
    )
_CARRIES_VALUES = frozenset(
    cls
    for cls in _CLASSES.values()
    if any(item.name == "values" for item in dataclasses.fields(cls))  # type: ignore[arg-type]
)


def encode_message(message: Message) -> list[Buffer]:
    """Encode a message as pieces for a gathering write; buffers of values are not copied.

    Raises
    ------
    RequestInvalid
        A detail of it can't be written as JSON.
    PayloadTooLarge
        It has more values than a peer takes.

    Examples
    --------
    >>> from norman_protocol.frames import decode_frame
    >>> decode_message(decode_frame(b"".join(encode_message(Cancel(id="7")))))
    Cancel(id='7')
    """
    cls = type(message)
    header: dict[str, Any] = {"type": cls.TYPE}
    for name, default in _FIELDS[cls]:
        value = getattr(message, name)
        if value is default:
            continue
        header[name] = encode(value) if isinstance(value, _NESTED) else value
    if cls not in _CARRIES_VALUES:
        return encode_frame(header)
    descriptors, buffers = join_values(message.values)  # type: ignore[attr-defined]
    header["values"] = descriptors
    return encode_frame(header, buffers)


def decode_message(frame: Frame) -> Message:
    """Decode a frame into its message; keys of a newer peer are passed over.

    Raises
    ------
    ProtocolViolation
        The type is unknown, a field is missing or of the wrong type, or values don't match.
    """
    header = dict(frame.header)
    name = header.pop("type", None)
    cls = _CLASSES.get(name) if type(name) is str else None
    if cls is None:
        shown = repr(name[:60]) if type(name) is str else f"a {type(name).__name__}"
        raise ProtocolViolation(f"There is no message of this type: {shown}.")
    if cls not in _CARRIES_VALUES:
        if frame.buffers:
            raise ProtocolViolation(f"A {cls.TYPE} message carries no buffers.")
        return _build(cls, header)
    values = split_values(header.pop("values", _NO_VALUES), frame.buffers)
    return _build(cls, header, values=values)


def _build(cls: type[Message], header: dict[str, Any], **extra: Any) -> Message:
    try:
        return decode(cls, header, tolerant=True, **extra)
    except RequestInvalid as error:
        raise ProtocolViolation(f"A {cls.TYPE} message: {error.message}") from None


def failure_from_error(request_id: str, error: NormanError) -> Failure:
    """Turn an error into the message that reports it."""
    return Failure(id=request_id, code=error.code, message=error.message, details=error.details)
