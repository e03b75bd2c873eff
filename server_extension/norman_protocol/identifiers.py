"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import os
import time

__all__ = ["new_id"]


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
