"""Reading the end of a log."""

from __future__ import annotations

import os
from pathlib import Path

from norman_server.storage.faults import disk_faults

__all__ = ["read_tail"]


def read_tail(path: Path, limit_bytes: int) -> tuple[str, bool]:
    """Return the last whole lines of a log within a bound, and whether more came before them.

    A log that isn't there yet is empty. Bytes that are no UTF-8 are shown as U+FFFD.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("reading a log"):
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - limit_bytes))
                data = file.read(limit_bytes)
        except FileNotFoundError:
            return "", False
    truncated = size_bytes > limit_bytes
    if truncated:
        # The first line is most likely cut; a single long one is shown cut all the same.
        data = data[data.find(b"\n", 0, -1) + 1 :]
    return data.decode("utf-8", "replace"), truncated
