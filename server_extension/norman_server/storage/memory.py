"""Gives memory back to the system once something large was done."""

from __future__ import annotations

import ctypes
import gc
from functools import lru_cache
from typing import Any

__all__ = ["release_memory", "settle_memory"]


def release_memory() -> None:
    """Return freed memory to the system, where its allocator knows how; call it in a thread.

    The C library keeps what was freed, for each thread apart: a manifest of 20,000 files that went
    through four of them would leave tens of megabytes behind. Costs milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


def settle_memory() -> None:
    """Take what a started server consists of out of the garbage collector's rounds.

    Modules, classes and tables stay until the end, and there are hundreds of thousands of them: to
    look through them all took 80 ms, during which no notebook got a word in. Call it in a thread.
    """
    gc.collect()
    gc.freeze()


@lru_cache(maxsize=1)
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return None
