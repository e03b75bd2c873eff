"""Files of a version into a folder of this machine: verified, all or none, never beyond it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from norman_bundle.manifest import check_manifest
from norman_protocol.errors import BundleInvalid, Conflict, NormanError, StorageFull
from norman_protocol.identifiers import new_id
from norman_protocol.rest import FileEntry, Manifest

__all__ = ["Incoming", "Placement"]

_CHUNK_BYTES = 1 << 20
_SHOWN = 3
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Placement:
    """Lays the files of a manifest out below a folder.

    What comes in is gathered in a hidden folder beside the target, which takes the target's name
    once it is whole. In a folder that stands already, files with the right bytes are left as they
    are, and nothing is ever overwritten. Every method may block.

    Parameters
    ----------
    manifest
        What a server says; it is checked here again, since a hostile one could name any path.
    target
        The folder.

    Raises
    ------
    BundleInvalid
        The manifest is not sound.
    Conflict
        Something else stands where a file belongs.
    """

    def __init__(self, manifest: Manifest, target: Path) -> None:
        check_manifest(manifest)
        self.target = _absolute(target)
        self._building = self.target.with_name(f".{self.target.name}.{new_id()}.part")
        self._made: set[Path] = set()
        with _disk_faults(self.target):
            standing, strange = _compare(manifest, self.target)
        if strange:
            shown = ", ".join(repr(path) for path in strange[:_SHOWN])
            more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
            raise Conflict(
                f"The folder {str(self.target)!r} holds something else as {shown}{more}, and "
                "nothing is overwritten. Name another folder, or move that one away.",
                name=strange[0],
            )
        self._wanted = [entry for entry in manifest.files if entry.path not in standing]
        self.sources: dict[str, FileEntry] = {}
        for entry in self._wanted:
            self.sources.setdefault(entry.digest, entry)

    @property
    def size_bytes(self) -> int:
        """Bytes that must come in."""
        return sum(entry.size_bytes for entry in self.sources.values())

    def receive(self, entry: FileEntry) -> Incoming:
        """Begin to take the bytes of one of ``sources``."""
        return Incoming(entry, self._place(entry))

    def finish(self) -> Path:
        """Give the files their names, when each of ``sources`` came in; return the folder.

        Raises
        ------
        Conflict
            Something else appeared there meanwhile.
        """
        with _disk_faults(self.target):
            for entry in self._wanted:
                source = self._place(self.sources[entry.digest])
                path = self._place(entry)
                if path != source:
                    shutil.copyfile(source, path)
            for entry in self._wanted:
                if entry.executable:
                    _allow_execution(self._place(entry))
            if self._wanted:
                self._publish()
        return self.target

    def abandon(self) -> None:
        """Remove what was gathered. Harmless after `finish` and a second time."""
        shutil.rmtree(self._building, ignore_errors=True)

    def _place(self, entry: FileEntry) -> Path:
        path = self._building.joinpath(*entry.path.split("/"))
        if path.parent not in self._made:
            with _disk_faults(self.target):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path

    def _publish(self) -> None:
        if not os.path.lexists(self.target):
            self._building.rename(self.target)  # fails where a full folder appeared
            return
        for entry in self._wanted:
            path = self.target.joinpath(*entry.path.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):
                raise Conflict(
                    f"{str(path)!r} appeared while it was downloaded. Name another folder.",
                    name=entry.path,
                )
            self._place(entry).rename(path)
        self.abandon()


class Incoming:
    """Takes the bytes of one file and holds them to their digest. For one thread at a time."""

    def __init__(self, entry: FileEntry, path: Path) -> None:
        self._entry = entry
        self._path = path
        self._file: BinaryIO | None = None
        self._hasher = hashlib.sha256()
        self._size_bytes = 0

    def begin(self) -> None:
        """Begin, or begin anew after an answer that broke off."""
        self.close()
        with _disk_faults(self._path):
            self._file = self._path.open("wb")
        self._hasher = hashlib.sha256()
        self._size_bytes = 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        BundleInvalid
            More came than the manifest says.
        StorageFull, Conflict
            They can't be written.
        """
        if self._file is None:
            raise ValueError("nothing was begun")
        self._size_bytes += len(piece)
        if self._size_bytes > self._entry.size_bytes:
            raise self._wrong()
        self._hasher.update(piece)
        with _disk_faults(self._path):
            self._file.write(piece)

    def finish(self) -> None:
        """Hold what came to its digest.

        Raises
        ------
        BundleInvalid
            These are other bytes.
        """
        with _disk_faults(self._path):
            self.close()
        if self._hasher.hexdigest() != self._entry.digest:
            raise self._wrong()

    def close(self) -> None:
        """Close the file. Harmless a second time."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _wrong(self) -> BundleInvalid:
        return BundleInvalid(
            f"The bytes that came for {self._entry.path!r} are not those of its digest "
            f"{self._entry.digest[:12]}…: they were damaged at the server or on the way. Nothing "
            "was kept. Try again; if it stays so, upload the model again.",
            path=self._entry.path,
            digests=[self._entry.digest],
        )


def _absolute(target: Path) -> Path:
    try:
        return target.expanduser().absolute()
    except RuntimeError:  # ~someone, who isn't known here: a folder may be called so
        return target.absolute()


def _compare(manifest: Manifest, target: Path) -> tuple[set[str], list[str]]:
    """Return the paths whose files stand as they should, and those where something else stands."""
    if not os.path.lexists(target):
        return set(), []
    if not target.is_dir():
        raise Conflict(
            f"{str(target)!r} is no folder. Name another one to download to.", name=target.name
        )
    standing: set[str] = set()
    strange: list[str] = []
    folders: dict[str, bool] = {"": True}
    for entry in manifest.files:
        path = target.joinpath(*entry.path.split("/"))
        if not _leads_inside(target, entry.path, folders) or (
            os.path.lexists(path) and not _is_same(path, entry)
        ):
            strange.append(entry.path)
        elif os.path.lexists(path):
            standing.add(entry.path)
    return standing, strange


def _leads_inside(target: Path, path: str, known: dict[str, bool]) -> bool:
    """Whether each folder above a file is a real one or not there yet; a link could lead out."""
    parent = path.rpartition("/")[0]
    if parent not in known:
        above = target.joinpath(*parent.split("/"))
        is_sound = above.is_dir() and not above.is_symlink()
        known[parent] = _leads_inside(target, parent, known) and (
            is_sound or not os.path.lexists(above)
        )
    return known[parent]


def _is_same(path: Path, entry: FileEntry) -> bool:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size_bytes:
        return False
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest() == entry.digest


def _allow_execution(path: Path) -> None:
    """Let those execute the file who may read it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode | (mode & 0o444) >> 2)


@contextmanager
def _disk_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except NormanError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise StorageFull(
                f"The disk of {str(path)!r} is full ({reason}). Make room there, or name a folder "
                "on another disk."
            ) from error
        raise Conflict(f"{str(path)!r} can't be written: {reason}.", name=path.name) from error
