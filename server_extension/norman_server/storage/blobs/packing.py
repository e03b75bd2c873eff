"""Many small blobs at once: the disk makes a group of them durable in the time of a few."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from norman_protocol.frames import Buffer
from norman_protocol.identifiers import new_id
from norman_server.storage.blobs.writing import Checkpoint
from norman_server.storage.files import make_folder, sync_folder

__all__ = ["settle_all"]

_THREADS: Final = 8
"""File systems make durable together what is asked for at one time; more gain little."""


def settle_all(
    blobs: Sequence[tuple[str, Buffer]],
    incoming: Path,
    path_of: Callable[[str], Path],
    checkpoint: Checkpoint,
) -> None:
    """Make verified blobs durable in their places; on an error none is left half-written.

    Raises
    ------
    OSError
        The disk is full or failed; some of the blobs may stand.
    """
    parts = [(incoming / f"{digest}.{new_id()}", path_of(digest), data) for digest, data in blobs]
    folders = sorted({path.parent for _, path, _ in parts})
    for folder in folders:
        make_folder(folder)
    try:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="norman-pack") as pool:
            list(pool.map(lambda part: _write(part[0], part[2]), parts))
            checkpoint("synced")
            for part, path, _ in parts:
                part.replace(path)
            checkpoint("renamed")
            list(pool.map(sync_folder, folders))
            checkpoint("kept")
    except BaseException:
        for part, _, _ in parts:
            part.unlink(missing_ok=True)
        raise


def _write(path: Path, data: Buffer) -> None:
    with path.open("xb", buffering=0) as file:
        left = memoryview(data).cast("B")
        while left.nbytes:
            left = left[file.write(left) or 0 :]
        os.fchmod(file.fileno(), 0o400)
        os.fsync(file.fileno())
