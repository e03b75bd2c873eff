"""Trees of a version's files, made of blobs: each stands whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from norman_protocol.identifiers import new_id
from norman_protocol.rest import FileEntry, Manifest
from norman_server.storage.blobs.base import BlobStore
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import sync_folder

__all__ = ["find_tree_faults", "make_tree"]

_THREADS: Final = 8
_AT_ONCE: Final = 256


_MADE_AT: Final = 315_532_800
"""What every file of a tree says of its time (1980-01-01): whoever changes one leaves a trace."""


def find_tree_faults(manifest: Manifest, target: Path, *, thorough: bool = False) -> list[str]:
    """Return the paths in a tree that are not as its manifest has them; a missing tree has none.

    What nobody has written to since it was laid out isn't read again.

    Parameters
    ----------
    thorough
        Read every file, so that damage on the disk is found, too.

    Raises
    ------
    InternalError
        The disk failed.
    """
    if not target.is_dir():
        return []
    with disk_faults("verifying a version's files"):
        faults = [one.path for one in manifest.files if not _is_sound(one, target, thorough)]
        known = {entry.path for entry in manifest.files}
        found = (path for path in target.rglob("*") if not path.is_dir() or path.is_symlink())
        strange = {path.relative_to(target).as_posix() for path in found} - known
    return faults + sorted(strange)


def _is_sound(entry: FileEntry, target: Path, thorough: bool) -> bool:
    path = target.joinpath(*entry.path.split("/"))
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size_bytes:
        return False
    if bool(found.st_mode & 0o100) != entry.executable:
        return False
    if found.st_mtime == _MADE_AT and not thorough:
        return True
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.digest:
            return False
    os.utime(path, (_MADE_AT, _MADE_AT))  # trees of earlier versions of this program have others
    return True


def make_tree(manifest: Manifest, blobs: BlobStore, target: Path) -> None:
    """Lay the files of a manifest out in the folder ``target``; a tree that stands is left.

    The manifest has passed `norman_bundle.manifest.check_manifest`: no path of it leaves the
    folder. Two that make the same tree at once do no harm: one of them is kept.

    Raises
    ------
    BundleInvalid
        A blob is missing or damaged.
    StorageFull, InternalError
        The disk is full or failed; nothing of the tree is left.
    """
    if target.is_dir():
        return
    building = target.with_name(f".{target.name}.{new_id()}")
    try:
        with disk_faults("laying out a version's files"):
            _fill(manifest, blobs, building)
            _publish(building, target)
    finally:
        # Gone by its new name, unless something failed or another one was first.
        shutil.rmtree(building, ignore_errors=True)


def _fill(manifest: Manifest, blobs: BlobStore, building: Path) -> None:
    building.mkdir(mode=0o755)
    folders = {building}
    for entry in manifest.files:
        folder = building.joinpath(*entry.path.split("/")[:-1])
        if folder not in folders:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            folders.add(folder)
            folders.update(parent for parent in folder.parents if parent.is_relative_to(building))

    def copy(entry: FileEntry) -> None:
        path = building.joinpath(*entry.path.split("/"))
        blobs.copy_to(entry.digest, path, executable=entry.executable)
        os.utime(path, (_MADE_AT, _MADE_AT))

    # At once, since file systems make durable together what is asked for at one time.
    with ThreadPoolExecutor(min(_THREADS, len(manifest.files)), "norman-tree") as pool:
        try:
            # In slices: what is asked for costs memory until it is done.
            for start in range(0, len(manifest.files), _AT_ONCE):
                for _ in pool.map(copy, manifest.files[start : start + _AT_ONCE]):
                    pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


def _publish(building: Path, target: Path) -> None:
    try:
        building.rename(target)  # fails where a full folder stands
    except OSError:
        if not target.is_dir():
            raise
        return
    sync_folder(target.parent)
