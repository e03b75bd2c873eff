"""Changing what is said of a version, within one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from norman_protocol.references import Reference
from norman_protocol.rest import EditRequest
from norman_server.domain.records import VersionRecord
from norman_server.registry.selecting import select_version

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["edit_version"]


def edit_version(
    rows: RegistryRows, reference: Reference, request: EditRequest, now: datetime
) -> VersionRecord:
    """Change label, descriptions and tags of a version, in whatever state it is.

    Raises
    ------
    ModelNotFound, VersionNotFound, NotReady
        The reference leads to no version.
    """
    record = select_version(rows, reference)
    texts = {
        "label": request.label,
        "description": request.description,
        "long_description": request.long_description,
    }
    # An empty text stands for none.
    values: dict[str, Any] = {
        name: text.strip() or None for name, text in texts.items() if text is not None
    }
    if request.tags is not None:
        values["tags"] = list(dict.fromkeys(request.tags))
    rows.versions.describe(record.id, **values)
    rows.models.touch(record.name, now)
    return rows.versions.get(record.id)
