"""Files that survive a power cut, and copies that share their blocks where the disk can."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Final

__all__ = ["clone_file", "hold_file", "is_held", "make_folder", "sync_folder", "write_private"]

_FICLONE: Final = 0x40049409
"""``ioctl`` of Linux that lets one file share the blocks of another (linux/fs.h)."""

_NO_CLONES: Final = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOSYS,
        errno.EPERM,
        errno.ETXTBSY,
    }
)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, data: bytes) -> None:
    """Write a file for the owner's eyes only, whole or not at all."""
    unfinished = path.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    unfinished.replace(path)


def make_folder(folder: Path) -> None:
    """Make a folder for the owner alone, and its name durable; one that is there is left."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    sync_folder(folder.parent)


def hold_file(file: int) -> None:
    """Mark an open file as in use until it is closed, or its process ends."""
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether somebody has marked a file as in use, in this process or another one.

    Raises
    ------
    FileNotFoundError
        It is gone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def clone_file(source: int, target: int) -> bool:
    """Let the empty file ``target`` share the blocks of ``source``; both are open descriptors.

    Returns
    -------
    bool
        False where this file system can't: nothing is written then, and the bytes must be copied.

    Raises
    ------
    OSError
        It can, and failed: the disk is full, say.
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONES:
            return False
        raise
    return True
