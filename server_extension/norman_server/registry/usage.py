"""What takes the disk of a home."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from norman_protocol.references import parse_name
from norman_protocol.rest import DiskUsage, VersionUsage
from norman_server.registry.orphans import allocated_bytes
from norman_server.storage.faults import disk_faults
from norman_server.storage.opening import Storage

__all__ = ["disk_usage"]

_LISTED: Final = 1000


def disk_usage(storage: Storage, name: str | None = None) -> DiskUsage:
    """Return what takes the disk. Synchronous, and slow on a large home: call it in a thread.

    Parameters
    ----------
    name
        List the versions of this model alone; the sums are always those of the home.

    Raises
    ------
    NameInvalid, ModelNotFound
        The name is none, or no model's.
    InternalError
        The disk or the database failed.
    """
    from norman_server.registry.selecting import find_model

    home = storage.home
    if name is not None:
        wanted = parse_name(name)
        storage.registry.read_now(lambda rows: find_model(rows, wanted))
    rows = storage.registry.read_now(lambda rows: rows.versions.usage(name))
    items = [
        VersionUsage(
            reference=reference,
            blob_bytes=blob_bytes,
            shared_bytes=shared_bytes,
            tree_bytes=allocated_bytes([home.models / version_id]),
            log_bytes=allocated_bytes([home.log_path(version_id)]),
        )
        for version_id, reference, blob_bytes, shared_bytes in rows
    ]
    items.sort(key=lambda item: (-item.blob_bytes - item.tree_bytes, item.reference))
    unstored = storage.blobs.unstored()
    _, unreferenced_bytes = storage.registry.read_now(lambda rows: rows.blobs.waiting())
    with disk_faults("looking at the disk"):
        return DiskUsage(
            items=tuple(items[:_LISTED]),
            version_count=len(items),
            blob_bytes=storage.registry.read_now(lambda rows: rows.blobs.total_bytes()),
            unreferenced_bytes=unreferenced_bytes,
            incoming_bytes=unstored.incoming_bytes,
            damaged_bytes=unstored.quarantined_bytes,
            tree_bytes=allocated_bytes([home.models]),
            log_bytes=allocated_bytes([home.logs]),
            registry_bytes=_database_bytes(home.registry_path),
            invocations_bytes=_database_bytes(home.invocations_path),
            journal_bytes=allocated_bytes([home.journal]),
            backup_bytes=allocated_bytes([home.backups]),
            free_bytes=shutil.disk_usage(home.root).free,
        )


def _database_bytes(path: Path) -> int:
    return allocated_bytes([path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))])
