"""The control channel: the server tells the executor what to serve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from norman_protocol.declaration import Declaration
from norman_protocol.messages.base import Message, VersionState
from norman_protocol.signature import Signature

__all__ = [
    "CancelInvocation",
    "Configure",
    "Configured",
    "Deploy",
    "DeploymentStatus",
    "DeviceStatus",
    "Done",
    "ExecutorLimits",
    "Forget",
    "GetRunning",
    "GetStatus",
    "ReplicaChanged",
    "Route",
    "RouteTarget",
    "Running",
    "Start",
    "Started",
    "Status",
    "Stop",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorLimits:
    """Bounds and defaults of an executor."""

    queue_limit: int = 256
    connection_limit: int = 512
    default_timeout_s: float = 60.0
    max_timeout_s: float = 3600.0
    load_timeout_s: float = 300.0
    replica_idle_timeout_s: float = 900.0
    cancel_grace_s: float = 2.0
    capture_limit_bytes: int = 1 << 20
    body_limit_bytes: int = 2 << 30
    log_limit_bytes: int = 64 * 1024
    codec_workers: int = 2
    media_pixels: int = 64_000_000
    media_seconds: float = 600.0
    media_decoded_bytes: int = 1 << 30


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

    ``signature`` is None until a replica has described it; then it is what the model and its
    ``declaration`` say together. Answered by Done.
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
    declaration: Declaration | None = None
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
    """Stop a version's replica and forget its deployment. Answered by Done.

    With ``only_idle`` it is refused, by the Failure `Conflict`, while calls run or wait.
    """

    TYPE: ClassVar[str] = "stop"
    id: str
    version_id: str
    only_idle: bool = False


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
class GetRunning(Message):
    """Ask which invocations a model is at work on; the other open ones wait. Answered by Running.

    Asked when somebody looks: to record it of each call would cost every call.
    """

    TYPE: ClassVar[str] = "get_running"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Message):
    """The invocations that run right now."""

    TYPE: ClassVar[str] = "running"
    id: str
    invocation_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelInvocation(Message):
    """End a call as if its caller had taken it back.

    Answered by Done, or by the Failure `InvocationNotFound` where it has ended or never came here.
    """

    TYPE: ClassVar[str] = "cancel_invocation"
    id: str
    invocation_id: str


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
