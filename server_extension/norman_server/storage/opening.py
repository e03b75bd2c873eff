"""Opens everything that a server keeps, from its home folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from norman_protocol.errors import InternalError
from norman_server.storage.backups import list_backups, make_backup
from norman_server.storage.blobs.local import ABANDONED_S, LocalBlobStore
from norman_server.storage.blobs.writing import Checkpoint, pass_on
from norman_server.storage.home import Home
from norman_server.storage.threads import ThreadPool

if TYPE_CHECKING:
    from norman_server.storage.blobs.base import BlobStore
    from norman_server.storage.db.database import Database
    from norman_server.storage.db.invocations.rows import InvocationRows
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = ["Storage", "open_storage"]


_MIGRATION_BACKUPS: Final = 20
_FILE_THREADS: Final = 8
"""Laying out a large model takes one of them for long; the others go on with small things."""


class Storage:
    """The databases, the blobs, and threads for work on files. Close it at the end."""

    def __init__(
        self,
        *,
        home: Home,
        registry: Database[RegistryRows],
        invocations: Database[InvocationRows],
        blobs: BlobStore,
        files: ThreadPool,
    ) -> None:
        self.home = home
        self.registry = registry
        self.invocations = invocations
        self.blobs = blobs
        self.files = files

    def close(self) -> None:
        """Finish what was begun and close everything; blocks until then. Twice is fine."""
        self.files.close()
        self.registry.close()
        self.invocations.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_storage(
    home: Path, *, abandoned_s: float = ABANDONED_S, checkpoint: Checkpoint = pass_on
) -> Storage:
    """Open the storage in a home folder, making or updating what is missing or behind.

    Blocks for as long as disk and migrations take: call it in a thread.

    Parameters
    ----------
    abandoned_s, checkpoint
        See `LocalBlobStore`.

    Raises
    ------
    StorageFull, InternalError
        The folder can't be made or written, or a database is locked, damaged or newer than this
        program. The message says which and what to do.
    """
    # SQLAlchemy takes long to import; the module that wires the server must not wait for it.
    from norman_server.storage.db.database import Database
    from norman_server.storage.db.invocations import tables as invocation_tables
    from norman_server.storage.db.invocations.rows import InvocationRows
    from norman_server.storage.db.registry import tables as registry_tables
    from norman_server.storage.db.registry.rows import RegistryRows

    layout = Home(root=home)
    layout.prepare()
    blobs = LocalBlobStore(layout.blobs, abandoned_s=abandoned_s, checkpoint=checkpoint)

    def back_up(database: Path) -> Callable[[], object]:
        # As many as there are: what a migration began from is not to be pushed out by it.
        return lambda: make_backup(layout, database, "before-migration", keep=_MIGRATION_BACKUPS)

    for database in (layout.registry_path, layout.invocations_path):
        is_empty = database.exists() and not database.stat().st_size
        # Without a backup it may be what a server that was killed at its first start left.
        if is_empty and list_backups(layout, database.name):
            raise InternalError(
                f"The server's database {database.name} is empty. Nothing of it is overwritten. In "
                "a shell, put its newest backup in its place: norman restore"
            )
    registry = Database(
        layout.registry_path,
        RegistryRows,
        migrations=registry_tables.MIGRATIONS,
        before_migrating=back_up(layout.registry_path),
    )
    try:
        blobs.recover_discarded(
            lambda digests: registry.read_now(lambda rows: rows.blobs.noted(digests))
        )
        invocations = Database(
            layout.invocations_path,
            InvocationRows,
            migrations=invocation_tables.MIGRATIONS,
            before_migrating=back_up(layout.invocations_path),
        )
    except BaseException:
        registry.close()
        raise
    return Storage(
        home=layout,
        registry=registry,
        invocations=invocations,
        blobs=blobs,
        files=ThreadPool("files", _FILE_THREADS),
    )
