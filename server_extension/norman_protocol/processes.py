"""Which process a process id means: told apart from an earlier or later one of the same id."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

__all__ = ["process_stamp"]

_START_FIELD = 19
"""Place of the start time among what follows the name in /proc/<pid>/stat: field 22 of proc(5)."""


def process_stamp(pid: int) -> str | None:
    """Return what names a living process for as long as this machine runs, whatever its clock does.

    Returns
    -------
    str or None
        None where the process has ended, and on systems without such a thing.

    Examples
    --------
    >>> import os
    >>> process_stamp(os.getpid()) == process_stamp(os.getpid())
    True
    """
    if sys.platform != "linux":
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in brackets and may hold brackets and spaces itself.
    fields = stat.rpartition(")")[2].split()
    return f"{_boot_id()}:{fields[_START_FIELD]}"


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
