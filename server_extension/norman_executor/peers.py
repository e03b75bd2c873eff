"""Who this process runs as."""

from __future__ import annotations

import os
import pwd

__all__ = ["user_name"]


def user_name() -> str:
    """Return the name of the user that this process runs as; the number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
