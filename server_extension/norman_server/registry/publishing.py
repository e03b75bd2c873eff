"""What publishing, loading and failing do to the registry, each within one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from norman_protocol.decoding import encode
from norman_protocol.references import ACTIVE
from norman_protocol.rest import ErrorBody
from norman_protocol.signature import Signature
from norman_server.domain.records import (
    ActivationRequest,
    AliasChange,
    AliasTarget,
    Publication,
    VersionRecord,
)
from norman_server.registry.uploads import check_blobs

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["fail_version", "finish_version", "publish_version"]


def publish_version(rows: RegistryRows, publication: Publication) -> tuple[VersionRecord, bool]:
    """Make a version, or find the one that is the same.

    Returns
    -------
    tuple
        The version, and whether it is to be loaded now: it is new, or had failed.
    """
    now = publication.published_at
    model = rows.models.find_any(publication.name) or rows.models.add(publication.name, now)
    rows.models.touch(model.name, now)
    activation = rows.models.take_activation(model.id) if publication.activate else None
    same = rows.versions.by_identity(model.id, publication.identity)
    if same is None:
        # Again, within the transaction: clean-up may have removed one that was there just now.
        digests = sorted({entry.digest for entry in publication.manifest.files})
        check_blobs(publication.manifest, rows.blobs.sizes(digests))
        number = rows.models.take_number(model.id)
        added = rows.versions.add(model.id, publication, number=number, activation=activation)
        return rows.versions.get(added), True
    rows.versions.describe(same.id, **_described(publication))
    if same.state != "ready":
        rows.versions.change(same.id, **_asked(publication, activation))
    elif same.active and activation is not None:
        # Asked for later than what still loads. One that isn't active becomes so by a switch, as
        # for any other alias: once it is warm.
        rows.aliases.follow(model.id, ACTIVE, activation)
    if same.state == "failed":
        _retry(rows, same, publication)
    return rows.versions.get(same.id), same.state == "failed"


def _described(publication: Publication) -> dict[str, Any]:
    """Return what an upload says about a version that stands: only what it does say."""
    given = {
        "label": publication.label,
        "description": publication.description,
        "long_description": publication.long_description,
        "tags": list(publication.tags) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _asked(publication: Publication, activation: int | None) -> dict[str, Any]:
    if activation is None:
        return {}
    return {"activation": activation, "activated_by": publication.user}


def _retry(rows: RegistryRows, failed: VersionRecord, publication: Publication) -> None:
    rows.versions.move(
        failed.id,
        "loading",
        error=None,
        origin=encode(publication.origin),
        trust=encode(publication.trust),
    )
    if not publication.activate:
        rows.versions.change(failed.id, activation=None, activated_by=None)


def finish_version(
    rows: RegistryRows, version_id: str, signature: Signature, load_s: float, now: datetime
) -> VersionRecord:
    """Let a version be ready, and active where that was asked for."""
    rows.versions.move(version_id, "ready", signature=encode(signature), load_s=load_s, error=None)
    _activate(rows, version_id, now)
    return _touched(rows, version_id, now)


def fail_version(
    rows: RegistryRows, version_id: str, error: ErrorBody, now: datetime
) -> VersionRecord:
    """Let a version be failed; what was active stays so."""
    rows.versions.move(version_id, "failed", error=encode(error))
    return _touched(rows, version_id, now)


def _touched(rows: RegistryRows, version_id: str, now: datetime) -> VersionRecord:
    """Return a version after a change, and note in its model that there was one."""
    record = rows.versions.get(version_id)
    rows.models.touch(record.name, now)
    return record


def _activate(rows: RegistryRows, version_id: str, now: datetime) -> None:
    request = rows.versions.activation(version_id)
    if request is None:
        return
    current = rows.aliases.find(request.model_id, ACTIVE)
    if not _wins(request, current):
        return
    if current is not None and current.version_id == version_id:
        rows.aliases.follow(request.model_id, ACTIVE, request.order)
        return
    rows.aliases.move(
        request.model_id,
        AliasTarget(version_id=version_id, number=request.number, activation=request.order),
        AliasChange(
            alias=ACTIVE,
            before=None if current is None else current.number,
            after=request.number,
            changed_at=now,
            changed_by=request.user,
            reason="ready after its upload",
        ),
    )


def _wins(request: ActivationRequest, current: AliasTarget | None) -> bool:
    """Say whether a request came after the one that set the alias: loading times don't count."""
    return current is None or request.order >= current.activation
