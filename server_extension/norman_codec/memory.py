"""A bound of this process's memory, for libraries that take it before they ask."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from norman_protocol.frames import FrameLimits
from norman_protocol.media import MediaLimits

__all__ = ["bounded"]

_ROOM_BYTES = 512 << 20
"""For libraries that are loaded yet, stacks of their threads, and what allocators keep."""


@contextmanager
def bounded(limits: MediaLimits) -> Iterator[None]:
    """Let this process take what one call may need beyond what it has, and no more.

    Past that its allocations fail, as on a machine without memory. Linux only: elsewhere the checks
    of each file are the bound.
    """
    if sys.platform != "linux":
        yield
        return
    # What a file becomes is held once more while it is worked on; the answer holds all of them.
    room_bytes = _ROOM_BYTES + 2 * limits.decoded_bytes + FrameLimits().body_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _mapped_bytes() + room_bytes
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _mapped_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
