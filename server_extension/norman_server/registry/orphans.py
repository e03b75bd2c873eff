"""What lies in the home and belongs to nothing: files without rows, and rows without files."""

from __future__ import annotations

import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from norman_server.storage.faults import disk_faults
from norman_server.storage.home import Home

if TYPE_CHECKING:
    from norman_server.storage.opening import Storage

__all__ = [
    "Orphans",
    "allocated_bytes",
    "find_orphans",
    "find_strays",
    "note_strays",
    "remove_path",
]

_VERSION_ID: Final = re.compile(r"[0-9a-f]{32}")
_LOG_NAME: Final = re.compile(r"([0-9a-f]{32})\.log(?:\..*)?")
_BATCH: Final = 500
_BUILDING_S: Final = 3600.0
"""A tree that was begun and not touched for so long is built by nobody any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Paths in the home that no version has."""

    trees: tuple[Path, ...] = ()
    logs: tuple[Path, ...] = ()


def find_orphans(home: Home, version_ids: Callable[[], Collection[str]]) -> Orphans:
    """Find trees and logs of versions that there aren't, and trees that were never finished.

    Parameters
    ----------
    version_ids
        Of every version; asked after the folders were read: a version is noted before it has files.

    Raises
    ------
    InternalError
        The disk failed.
    """
    with disk_faults("looking for files that belong to nothing"):
        trees = sorted(home.models.iterdir())
        logs = sorted(home.logs.iterdir())
    known = version_ids()
    return Orphans(
        trees=tuple(path for path in trees if _is_orphan_tree(path, known)),
        logs=tuple(path for path in logs if _is_orphan_log(path, known)),
    )


def _is_orphan_tree(path: Path, known: Collection[str]) -> bool:
    if _VERSION_ID.fullmatch(path.name):
        return path.name not in known
    try:
        touched_at = path.lstat().st_mtime
    except FileNotFoundError:
        return False
    return path.name.startswith(".") and touched_at < time.time() - _BUILDING_S


def _is_orphan_log(path: Path, known: Collection[str]) -> bool:
    match = _LOG_NAME.fullmatch(path.name)
    return match is not None and match[1] not in known


def find_strays(storage: Storage) -> Iterator[dict[str, int]]:
    """Give, some at a time, digest → size of blobs that are stored and not noted.

    Their writer was killed in between. Their bytes were verified and synced before they got their
    name: to note them loses nothing. Synchronous: call it in a thread.
    """
    sizes = {blob.digest: blob.size_bytes for blob in storage.blobs.stored()}
    digests = sorted(sizes)
    for start in range(0, len(digests), _BATCH):
        some = digests[start : start + _BATCH]
        noted = _noted(storage, some)
        strays = {digest: sizes[digest] for digest in some if digest not in noted}
        if strays:
            yield strays


def _noted(storage: Storage, digests: Sequence[str]) -> set[str]:
    return storage.registry.read_now(lambda rows: rows.blobs.noted(digests))


def note_strays(storage: Storage, strays: Mapping[str, int], now: datetime) -> None:
    """Note blobs, so that an upload goes on with them, or clean-up removes them in time."""
    storage.registry.write_now(lambda rows: rows.blobs.add_all(strays, now))


def allocated_bytes(paths: Iterable[Path]) -> int:
    """Return what files and folders take on the disk, blocks that they share included."""
    return sum(_block_bytes(path) for root in paths for path in _walk(root))


def _walk(root: Path) -> Iterator[Path]:
    yield root
    if root.is_dir() and not root.is_symlink():
        yield from root.rglob("*")


def _block_bytes(path: Path) -> int:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return found.st_blocks * 512 if stat.S_ISREG(found.st_mode) else 0


def remove_path(path: Path) -> None:
    """Remove a file or a whole folder; one that is gone is fine.

    Raises
    ------
    StorageFull, InternalError
        The disk failed; some of it may be left.
    """
    with disk_faults("removing files that belong to nothing"):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
