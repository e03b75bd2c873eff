"""One server per home: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["HomeLease"]


class HomeLease:
    """Says whose the home is.

    The lock is the kernel's: it is free when its holder ends, however that happens. Workers and
    kernels don't inherit it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_take(self) -> bool:
        """Take the home if no other server has it; blocks for a file operation only."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor
        return True

    @property
    def is_held(self) -> bool:
        """Whether this server has the home."""
        return self._descriptor is not None

    def holder(self) -> int | None:
        """Return the process id of who holds the home, where it has said so."""
        text = self._path.read_text().strip() if self._path.exists() else ""
        return int(text) if text.isdecimal() else None

    def release(self) -> None:
        """Give the home back. Twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
