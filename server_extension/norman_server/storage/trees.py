"""Trees of a version's files, made of blobs: each stands whole or not at all."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from norman_protocol.identifiers import new_id
from norman_protocol.rest import FileEntry, Manifest
from norman_server.storage.blobs.base import BlobStore
from norman_server.storage.faults import disk_faults
from norman_server.storage.files import sync_folder

__all__ = ["make_tree"]

_THREADS: Final = 8


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
    places: list[tuple[FileEntry, Path]] = []
    for entry in manifest.files:
        path = building.joinpath(*entry.path.split("/"))
        if path.parent not in folders:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            folders.update(parent for parent in path.parents if parent.is_relative_to(building))
        places.append((entry, path))

    def copy(place: tuple[FileEntry, Path]) -> None:
        entry, path = place
        blobs.copy_to(entry.digest, path, executable=entry.executable)

    # At once, since file systems make durable together what is asked for at one time.
    with ThreadPoolExecutor(min(_THREADS, len(places)), "norman-tree") as pool:
        try:
            for _ in pool.map(copy, places):
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
