"""Bodies of the REST API, ``/norman/api/v1/…``: what both ends read and write as JSON.

Requests are decoded strictly (an unknown key is an error), answers tolerantly. Times are RFC 3339
text in UTC, sizes bytes, durations seconds. The OpenAPI document is generated from these classes.

Routes
------
``GET  status``                                      → `ServerStatus`
``GET  openapi.json``                                → the OpenAPI document
``POST blobs/missing`` `MissingRequest`              → `MissingAnswer`
``PUT  blobs/{digest}`` raw bytes                    → 201 (stored), 200 (was there) `BlobStored`
                                                       With ``Upload-Offset`` and ``Upload-Length``
                                                       a part: 202 `BlobUpload` until it is whole
``GET  blobs/{digest}/upload``                       → `BlobUpload`: where to go on
``POST blobs/pack`` a pack (`norman_protocol.packs`) → `PackStored`
``POST blobs/fetch`` `FetchRequest`                  → a pack of these blobs
``GET  blobs/{digest}``                              → the raw bytes, always whole; HEAD: their size
``GET  models?limit&cursor&search``                  → `ModelPage`
``GET  models/{name}``                               → `ModelDetail`
``GET  models/{name}/versions?limit&cursor``         → `VersionPage`
``POST models/{name}/versions`` `PublishRequest`     → `VersionDetail`; 202 (loading), 200 (there)
``GET  models/{name}/versions/{selector}?wait_s``    → `VersionDetail`; with ``wait_s`` answers when
                                                       the state is no longer loading, or then
``PATCH models/{name}/versions/{selector}`` `EditRequest` → `VersionDetail`
``DELETE models/{name}/versions/{selector}?stop``    → `Deletion`
``DELETE models/{name}``                             → `Deletion` of every version and alias
``GET  disk?model``                                  → `DiskUsage`
``POST garbage`` `GarbageRequest`                    → `GarbageReport`
``GET  doctor?deep``                                 → `DoctorReport`
``POST doctor`` `DoctorRequest`                      → `DoctorReport`, what is safe mended
``GET  models/{name}/versions/{selector}/logs?after`` → `LogText`
``GET  models/{name}/versions/{selector}/diff/{other}`` → `VersionDiff`
``GET  models/{name}/aliases?limit&cursor``          → `AliasPage`
``PUT  models/{name}/aliases/{alias}`` `AliasRequest` → `AliasChange`, once the version is warm
``DELETE models/{name}/aliases/{alias}?why``         → `AliasChange`
``POST models/{name}/aliases/{alias}/rollback`` `RollbackRequest` → `AliasChange`
``GET  models/{name}/aliases/{alias}/history?limit&cursor`` → `AliasHistory`
``GET  models/{name}/history?limit&cursor``          → `AliasHistory` of every alias
``POST invocations`` `InvokeRequest` (JSON), or one frame holding an Invoke message
                                                     → `InvokeAnswer`, or one frame holding Result
                                                       With ``Prefer: respond-async`` → 202
                                                       `InvocationSummary`, kept, and Location
                                                       With ``Idempotency-Key`` once, however
                                                       often it is sent
``GET  invocations?limit&cursor&model&state&since``  → `InvocationPage`
``GET  invocations/{id}?wait_s``                     → `InvocationDetail`; with ``wait_s`` answers
                                                       when it has ended, or then
``DELETE invocations/{id}``                          → `InvocationDetail`, cancelled
``GET  invocations/{id}/result?wait_s``              → as ``POST invocations``; 202
                                                       `InvocationSummary` where it goes on
``GET  invocations/{id}/output?name``                → the raw bytes of a kept output: a medium as
                                                       such, text as text, all else as JSON
``POST invocations/{id}/replay`` `ReplayRequest`     → as ``POST invocations``
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from norman_protocol.declaration import Declaration
from norman_protocol.decoding import JsonValue
from norman_protocol.messages import (
    Caller,
    DeploymentStatus,
    DeviceStatus,
    InvocationState,
    Timings,
    VersionState,
)
from norman_protocol.signature import Signature

__all__ = [
    "API_PATH",
    "FRAME_MEDIA_TYPE",
    "UPLOAD_LENGTH",
    "UPLOAD_OFFSET",
    "AliasChange",
    "AliasHistory",
    "AliasPage",
    "AliasRequest",
    "AliasSummary",
    "BlobStored",
    "BlobUpload",
    "Deletion",
    "Difference",
    "DiskUsage",
    "DoctorReport",
    "DoctorRequest",
    "EditRequest",
    "ErrorBody",
    "ExecutorStatus",
    "FetchRequest",
    "FileDifference",
    "FileEntry",
    "Finding",
    "GarbageReport",
    "GarbageRequest",
    "InvocationDetail",
    "InvocationPage",
    "InvocationSummary",
    "InvokeAnswer",
    "InvokeRequest",
    "LogText",
    "Manifest",
    "MissingAnswer",
    "MissingRequest",
    "ModelDetail",
    "ModelPage",
    "ModelSummary",
    "Origin",
    "PackStored",
    "PublishRequest",
    "RelayStatus",
    "ReplayRequest",
    "RollbackRequest",
    "ServerStatus",
    "Severity",
    "TrustRecord",
    "VersionDetail",
    "VersionDiff",
    "VersionPage",
    "VersionSummary",
    "VersionUsage",
]

API_PATH = "norman/api/v1"
FRAME_MEDIA_TYPE = "application/vnd.norman.frame"

UPLOAD_OFFSET = "Upload-Offset"
"""Header of a part of a blob: where it begins. Also in answers: where the next one does."""

UPLOAD_LENGTH = "Upload-Length"
"""Header of a part of a blob: the size of the whole blob."""

Severity: TypeAlias = Literal["note", "warning", "error"]
AliasAction: TypeAlias = Literal["set", "rollback", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """Every answer with a status of 400 or more."""

    code: str
    message: str
    request_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a bundle: a relative path with ``/``, and the blob that it holds."""

    path: str
    digest: str
    size_bytes: int
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a bundle, sorted by path."""

    files: tuple[FileEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a version came from, as its uploader reported it."""

    notebook: str | None = None
    cell_id: str | None = None
    cell_source: str | None = None
    kernel_id: str | None = None
    kernel_name: str | None = None
    interpreter: str | None = None
    python_version: str | None = None
    hostname: str | None = None
    user: str | None = None
    source_path: str | None = None
    git_commit: str | None = None
    git_branch: str | None = None
    git_remote: str | None = None
    git_dirty: bool | None = None
    client_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Make a version of blobs that are stored already."""

    manifest: Manifest
    label: str | None = None
    description: str | None = None
    long_description: str | None = None
    tags: tuple[str, ...] = ()
    trust: bool = False
    activate: bool = True
    origin: Origin = field(default_factory=Origin)
    declaration: Declaration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRecord:
    """Who allowed code to run on load, when, and for which bundle."""

    user: str
    trusted_at: str
    bundle_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version in a list."""

    reference: str
    name: str
    number: int
    state: VersionState
    active: bool
    label: str | None
    runtime: str
    size_bytes: int
    created_at: str
    created_by: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """A page of a model's versions, newest first."""

    items: tuple[VersionSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDetail:
    """A version with all that is known of it. ``error`` says why a failed one failed."""

    id: str
    reference: str
    name: str
    number: int
    state: VersionState
    active: bool
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
    created_at: str
    created_by: str
    origin: Origin
    trust: TrustRecord | None
    error: ErrorBody | None
    created: bool = True
    """False where the same version stood already and this upload added nothing."""
    missing_blobs: tuple[str, ...] = ()
    """Digests of files that were found damaged on the server's disk: upload them again."""
    long_description: str | None = None
    aliases: tuple[str, ...] = ()
    declaration: Declaration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A model in a list. ``state`` is the active version's, or the latest's where none is."""

    name: str
    active: int | None
    latest: int
    version_count: int
    state: VersionState
    description: str | None
    tags: tuple[str, ...]
    runtime: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """A page of models by name; pass ``next_cursor`` to get the next one."""

    items: tuple[ModelSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetail:
    """A model with its latest versions, newest first."""

    model: ModelSummary
    versions: tuple[VersionSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """Change what is said of a version. None leaves a text as it is, an empty one removes it."""

    label: str | None = None
    description: str | None = None
    long_description: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRequest:
    """Let an alias lead to a version, once that one is loaded and warm.

    ``expected`` makes it a comparison first: the version's number where the alias leads now, 0 for
    an alias that isn't set. Where it leads elsewhere the answer is a conflict.
    """

    version: int
    why: str | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """Let an alias lead where it led before, or to a version's number; again goes further back."""

    to: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSummary:
    """An alias in a list: where it leads, since when, by whom and why."""

    alias: str
    number: int
    reference: str
    state: VersionState
    changed_at: str
    changed_by: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasPage:
    """A page of a model's aliases, by name."""

    name: str
    items: tuple[AliasSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChange:
    """One change of an alias; ``before`` and ``after`` are numbers of versions, None is unset.

    Both are the same where the alias led there already, which changes nothing and is not recorded.
    """

    name: str
    alias: str
    action: AliasAction
    before: int | None
    after: int | None
    changed_at: str
    changed_by: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasHistory:
    """A page of the changes of one alias, or of every alias of a model, newest first."""

    name: str
    items: tuple[AliasChange, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that two versions have differently, in words; None where one doesn't have it."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """A file that only one of two versions has, or whose content or mode differs."""

    path: str
    change: Literal["added", "removed", "changed"]
    before_bytes: int | None
    after_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDiff:
    """What became different from one version to another; empty lists where nothing did."""

    before: str
    after: str
    signature: tuple[Difference, ...]
    files: tuple[FileDifference, ...]
    environment: tuple[Difference, ...]
    settings: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted. The numbers are never given again; recorded calls stay."""

    name: str
    versions: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    whole: bool = False
    """Whether nothing of the model is left."""
    freed_later_bytes: int = 0
    """Bytes of files that no other version has: clean-up removes them once its grace is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageRequest:
    """Remove what nothing needs any more; ``dry_run`` only looks."""

    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageReport:
    """What clean-up removed, or would remove. Sizes as the files have them."""

    dry_run: bool
    blobs: int = 0
    blob_bytes: int = 0
    trees: int = 0
    tree_bytes: int = 0
    logs: int = 0
    log_bytes: int = 0
    damaged_bytes: int = 0
    waiting: int = 0
    """Blobs that no version has, too young to be removed."""
    waiting_bytes: int = 0
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUsage:
    """What one version takes.

    ``shared_bytes`` of its ``blob_bytes`` belong to other versions too; ``tree_bytes`` is what its
    laid-out files are allocated, blocks that they share with blobs included.
    """

    reference: str
    blob_bytes: int
    shared_bytes: int
    tree_bytes: int
    log_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """What takes the disk of the server's home, the largest versions first (at most 1,000)."""

    items: tuple[VersionUsage, ...]
    version_count: int
    blob_bytes: int
    unreferenced_bytes: int
    """Of blobs that no version has: what clean-up frees in time."""
    incoming_bytes: int
    damaged_bytes: int
    tree_bytes: int
    log_bytes: int
    registry_bytes: int
    invocations_bytes: int
    journal_bytes: int
    backup_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """Examine the home and mend what is safe to mend; ``deep`` reads every stored byte."""

    deep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that isn't as it should be.

    A *note* is in order by itself soon, a *warning* isn't, an *error* keeps something from working.
    """

    check: str
    severity: Severity
    subject: str
    message: str
    advice: str = ""
    repairable: bool = False
    repaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What an examination of the home found; nothing, where all is well."""

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    deep: bool = False

    @property
    def needs_care(self) -> bool:
        """Whether something was found that is neither mended nor in order by itself soon."""
        return any(one.severity != "note" and not one.repaired for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRequest:
    """A question: which of these blobs are not stored."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingAnswer:
    """The digests, of those asked for, whose bytes must be sent."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStored:
    """The blob is on disk, verified and synced."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobUpload:
    """How far the upload of a blob came: its next part begins at ``offset``.

    ``stored`` says that the blob is whole and needs nothing more. What was sent is kept for a day.
    """

    digest: str
    offset: int
    stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackStored:
    """So many blobs of a pack are on disk, verified and synced."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """Give these blobs in one pack; together they fit one."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogText:
    """The end of a version's log, or what was written after an offset in it.

    ``truncated`` says that something before it is left out, ``end`` is the offset, in bytes, after
    which more will come.
    """

    reference: str
    text: str
    truncated: bool
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeRequest:
    """Call a version with inputs as plain JSON.

    Nested lists become tensors, text becomes text, ``{"base64": "…"}`` becomes a file.
    """

    reference: str
    inputs: dict[str, JsonValue] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Run the kept inputs of an invocation again, by default with the version that it called."""

    reference: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeAnswer:
    """Outputs as plain JSON.

    A tensor is ``{"dtype", "shape", "data"}`` with nested lists (null for NaN and Infinity,
    ``[re, im]`` for a complex number), bytes are ``{"base64", "file_name"}``, with ``"encoding"``
    (such as ``png``) where that is known.
    """

    id: str
    reference: str
    outputs: dict[str, JsonValue]
    timings: Timings
    logs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationSummary:
    """An invocation in a list."""

    id: str
    reference: str
    version_id: str
    state: InvocationState
    caller: Caller
    accepted_at: str
    ended_at: str | None
    timings: Timings | None
    input_bytes: int
    output_bytes: int | None
    error_code: str | None
    replay_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationDetail:
    """An invocation with what was captured of it, values as in `InvokeAnswer`."""

    invocation: InvocationSummary
    inputs: dict[str, JsonValue] | None
    outputs: dict[str, JsonValue] | None
    error: ErrorBody | None
    logs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationPage:
    """A page of invocations, newest first."""

    items: tuple[InvocationSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorStatus:
    """The executor process, as its supervisor sees it."""

    state: Literal["starting", "ready", "restarting", "stopped"]
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    connections: int = 0
    deployments: tuple[DeploymentStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """An answer that came through a server that relays to the one that holds the home."""

    relaying_pid: int
    holding_pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The server at a glance."""

    server_id: str
    version: str
    protocol: int
    model_count: int
    executor: ExecutorStatus
    devices: tuple[DeviceStatus, ...] = ()
    relay: RelayStatus | None = None
    """None where the server that was asked holds the home itself."""
