"""Records of the registry as bodies of the REST API."""

from __future__ import annotations

from norman_protocol.rest import (
    AliasChange,
    AliasSummary,
    ModelSummary,
    VersionDetail,
    VersionSummary,
)
from norman_server.domain import records
from norman_server.domain.records import (
    AliasOutline,
    ModelOverview,
    VersionOutline,
    VersionRecord,
    format_time,
)

__all__ = ["alias_change", "alias_summary", "model_summary", "version_detail", "version_summary"]


def version_detail(record: VersionRecord, *, created: bool = True) -> VersionDetail:
    """Tell all of a version.

    Parameters
    ----------
    created
        False where an upload found this version ready or loading already.
    """
    return VersionDetail(
        id=record.id,
        reference=record.reference,
        name=record.name,
        number=record.number,
        state=record.state,
        active=record.active,
        label=record.label,
        description=record.description,
        tags=record.tags,
        runtime=record.runtime,
        entry=record.entry,
        interpreter=record.interpreter,
        signature=record.signature,
        declaration=record.declaration,
        manifest=record.manifest,
        bundle_digest=record.bundle_digest,
        size_bytes=record.size_bytes,
        load_s=record.load_s,
        created_at=format_time(record.created_at),
        created_by=record.created_by,
        origin=record.origin,
        trust=record.trust,
        error=record.error,
        created=created,
        missing_blobs=record.missing_blobs,
        long_description=record.long_description,
        aliases=record.aliases,
    )


def version_summary(outline: VersionOutline) -> VersionSummary:
    """Tell a version in a list."""
    return VersionSummary(
        reference=outline.reference,
        name=outline.name,
        number=outline.number,
        state=outline.state,
        active=outline.active,
        label=outline.label,
        runtime=outline.runtime,
        size_bytes=outline.size_bytes,
        created_at=format_time(outline.created_at),
        created_by=outline.created_by,
        aliases=outline.aliases,
    )


def alias_summary(name: str, outline: AliasOutline) -> AliasSummary:
    """Tell an alias of a model in a list."""
    return AliasSummary(
        alias=outline.alias,
        number=outline.number,
        reference=f"{name}@{outline.number}",
        state=outline.state,
        changed_at=format_time(outline.change.changed_at),
        changed_by=outline.change.changed_by,
        why=outline.change.reason or None,
    )


def alias_change(name: str, change: records.AliasChange) -> AliasChange:
    """Tell a change of an alias of a model."""
    return AliasChange(
        name=name,
        alias=change.alias,
        action=change.action,
        before=change.before,
        after=change.after,
        changed_at=format_time(change.changed_at),
        changed_by=change.changed_by,
        why=change.reason or None,
    )


def model_summary(overview: ModelOverview) -> ModelSummary:
    """Tell a model in a list."""
    return ModelSummary(
        name=overview.model.name,
        active=overview.active,
        latest=overview.latest,
        version_count=overview.version_count,
        state=overview.shown.state,
        description=overview.shown.description,
        tags=overview.shown.tags,
        runtime=overview.shown.runtime,
        updated_at=format_time(overview.model.updated_at),
    )
