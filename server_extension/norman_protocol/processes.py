"""Processes: which one a process id means, and how a child ends with its parent."""

from __future__ import annotations

import os
import signal
import sys
from functools import lru_cache
from pathlib import Path

__all__ = ["end_with_parent", "process_stamp"]

_PR_SET_PDEATHSIG = 1
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


def end_with_parent(name: str) -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere its socket's end tells.

    Native code may never come back to read the socket, hence the signal.

    Parameters
    ----------
    name
        What this process is called where it writes that this failed.
    """
    if sys.platform != "linux":
        return
    import ctypes  # a notebook's process imports this module, and needs none

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.stderr.write(f"{name}: can't be tied to its parent's life: {reason}\n")
