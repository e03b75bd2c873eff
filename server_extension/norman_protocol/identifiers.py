"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import os
import time

__all__ = ["first_id_at", "new_id"]


def new_id() -> str:
    """Return 32 hexadecimal digits in the layout of a UUID of version 7 (RFC 9562).

    The 12 bits after the version hold the fraction of the millisecond (method 3 of section 6.2).

    Examples
    --------
    >>> len(new_id())
    32
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    number = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random
    return f"{number:032x}"


def first_id_at(seconds: float) -> str:
    """Return what sorts before every id made at a time or later, and after all earlier ones.

    Parameters
    ----------
    seconds
        Since the epoch; to the millisecond.

    Examples
    --------
    >>> first_id_at(1_800_000_000.0)
    '01a3185c5000'
    """
    milliseconds = min(max(int(seconds * 1000), 0), (1 << 48) - 1)
    return f"{milliseconds:012x}"
