"""The folder that holds everything of a server: what stands where in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from norman_server.storage.faults import disk_faults

__all__ = ["Home"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Paths below the trait ``home``.

    Examples
    --------
    >>> Home(root=Path("/srv/norman")).log_path("0af3").as_posix()
    '/srv/norman/logs/0af3.log'
    """

    root: Path

    @property
    def registry_path(self) -> Path:
        """Database of models, versions, aliases and blobs."""
        return self.root / "norman.db"

    @property
    def invocations_path(self) -> Path:
        """Database of invocations, apart so that their retention never stalls publishing."""
        return self.root / "invocations.db"

    @property
    def journal(self) -> Path:
        """Segments that executors append to."""
        return self.root / "journal"

    @property
    def blobs(self) -> Path:
        """Content-addressed bytes."""
        return self.root / "blobs"

    @property
    def models(self) -> Path:
        """One tree of files per version."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """One log per version, and the executor's."""
        return self.root / "logs"

    @property
    def backups(self) -> Path:
        """Copies of the databases."""
        return self.root / "backups"

    @property
    def run(self) -> Path:
        """Sockets; for the owner alone."""
        return self.root / "run"

    def log_path(self, version_id: str) -> Path:
        """Return the file that a version's workers write to."""
        return self.logs / f"{version_id}.log"

    def prepare(self) -> None:
        """Make the folders, readable by their owner alone.

        Raises
        ------
        StorageFull, InternalError
            They can't be made or written.
        """
        folders = (self.journal, self.blobs, self.models, self.logs, self.run)
        with disk_faults("making its folders"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in folders:
                folder.mkdir(mode=0o700, exist_ok=True)
            self.run.chmod(0o700)
        with disk_faults("writing to it"):
            # A folder on a read-only disk, or of another user, exists already.
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
