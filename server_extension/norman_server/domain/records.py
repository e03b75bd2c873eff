"""What the server knows of versions, aliases and invocations, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from norman_protocol.declaration import Declaration
from norman_protocol.messages import Caller, InvocationState, Timings, VersionState
from norman_protocol.rest import AliasAction, ErrorBody, Manifest, Origin, TrustRecord
from norman_protocol.signature import Signature
from norman_protocol.values import Value

__all__ = [
    "NO_EXECUTOR",
    "ActivationRequest",
    "AliasChange",
    "AliasOutline",
    "AliasTarget",
    "CallKey",
    "InvocationEnd",
    "InvocationRecord",
    "ModelOverview",
    "ModelRecord",
    "ModelRouting",
    "Publication",
    "SegmentPosition",
    "VersionOutline",
    "VersionRecord",
    "VersionTarget",
    "format_time",
]


NO_EXECUTOR: Final = ""
"""In place of an executor's id, while a call waits for one in the database."""


def format_time(moment: datetime) -> str:
    """Write an aware time as RFC 3339 text in UTC.

    Examples
    --------
    >>> format_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000Z'
    """
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model, without its versions."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOutline:
    """A version without its manifest, signature and origin: enough for lists."""

    id: str
    name: str
    number: int
    state: VersionState
    label: str | None
    description: str | None
    tags: tuple[str, ...]
    runtime: str
    size_bytes: int
    created_at: datetime
    created_by: str
    active: bool
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Name and number, as ``digits@2``."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverview:
    """A model in a list.

    Attributes
    ----------
    active
        Number of the active version, None where there is none.
    shown
        The active version, or the latest where none is.
    """

    model: ModelRecord
    active: int | None
    latest: int
    version_count: int
    shown: VersionOutline


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version with all that is known of it.

    Attributes
    ----------
    activate
        Whether it becomes the active one when it is ready.
    active
        Whether it is the active one.
    error
        Why it failed; None in the other states.
    load_s
        Seconds that describing, loading and warming up took; None until it was ready.
    """

    id: str
    name: str
    number: int
    state: VersionState
    label: str | None
    description: str | None
    tags: tuple[str, ...]
    runtime: str
    entry: str
    interpreter: str | None
    signature: Signature | None
    manifest: Manifest
    bundle_digest: str
    size_bytes: int
    load_s: float | None
    created_at: datetime
    created_by: str
    origin: Origin
    trust: TrustRecord | None
    error: ErrorBody | None
    activate: bool
    active: bool
    declaration: Declaration | None = None
    missing_blobs: tuple[str, ...] = ()
    long_description: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Name and number, as ``digits@2``."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTarget:
    """A version as routing sees it."""

    model_id: str
    name: str
    number: int
    version_id: str
    state: VersionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A checked request to make a version: what the transaction writes.

    Attributes
    ----------
    identity
        Digest of the bundle and all settings: the same identity is the same version.
    """

    name: str
    user: str
    published_at: datetime
    identity: str
    bundle_digest: str
    manifest: Manifest
    runtime: str
    entry: str
    interpreter: str | None
    declaration: Declaration | None
    size_bytes: int
    label: str | None
    description: str | None
    long_description: str | None
    tags: tuple[str, ...]
    origin: Origin
    trust: TrustRecord | None
    activate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRouting:
    """Where the references to one model lead.

    Attributes
    ----------
    versions
        Number → (version id, state).
    aliases
        Name → number; ``active`` is among them where it is set.
    """

    name: str
    versions: dict[int, tuple[str, VersionState]]
    aliases: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationRequest:
    """The wish that a version be active once it is ready.

    Attributes
    ----------
    order
        Its place among all such requests of the model: the last one wins, whichever loads first.
    """

    model_id: str
    version_id: str
    number: int
    order: int
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasTarget:
    """Where an alias leads, and by which request it came there."""

    version_id: str
    number: int
    activation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChange:
    """One entry of an alias's history; numbers are versions, None is unset.

    Attributes
    ----------
    reason
        Why, in the words of who asked; empty where nothing was said.
    id
        Its place among all changes; None until it is recorded.
    """

    alias: str
    before: int | None
    after: int | None
    changed_at: datetime
    changed_by: str
    reason: str
    action: AliasAction = "set"
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasOutline:
    """An alias in a list; ``change`` is the one that brought it where it is."""

    alias: str
    number: int
    state: VersionState
    change: AliasChange


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationEnd:
    """How an invocation ended.

    Attributes
    ----------
    outputs
        What it answered where that was captured, else None.
    """

    state: InvocationState
    ended_at: datetime
    timings: Timings
    output_bytes: int
    error_code: str | None
    error_message: str | None
    error_details: Mapping[str, Any]
    logs: str
    outputs: Mapping[str, Value] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRecord:
    """One call of a version.

    Attributes
    ----------
    executor_id
        Which one took it; empty while it waits for one in the database.
    inputs
        What it was called with where that was captured, else None.
    timeout_s
        The deadline that was asked for, where the call waited in the database.
    replay_of
        The invocation whose inputs it runs again.
    end
        None while it is queued or running.
    """

    id: str
    executor_id: str
    version_id: str
    reference: str
    caller: Caller
    accepted_at: datetime
    input_bytes: int
    inputs: Mapping[str, Value] | None
    state: InvocationState = "queued"
    end: InvocationEnd | None = None
    timeout_s: float | None = None
    replay_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """A key by which a caller means one call, however often it is sent.

    Attributes
    ----------
    fingerprint
        Digest of what is called with what: the same key with another one is a mistake.
    """

    user: str
    key: str
    fingerprint: str
    invocation_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPosition:
    """How far a segment of the journal is imported."""

    name: str
    executor_id: str
    offset_bytes: int
    corrupt: bool
