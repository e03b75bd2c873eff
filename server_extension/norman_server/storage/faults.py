"""Errors of disk and database, told as ours: what happened, to what, and what to try next."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from norman_protocol.errors import InternalError, NormanError, StorageFull

__all__ = ["disk_fault", "disk_faults"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def disk_fault(what: str, error: OSError) -> NormanError:
    """Return the error of ours for one of the operating system's.

    The text names no path: it may reach any caller.

    Parameters
    ----------
    what
        What was being done, as in "storing a blob".

    Examples
    --------
    >>> disk_fault("storing a blob", OSError(errno.ENOSPC, "No space left on device")).code
    'storage_full'
    """
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return StorageFull(
            f"The disk of the server's Norman home is full ({what}: {reason}). "
            "Make room there, then try again."
        )
    if error.errno in _REFUSED:
        return InternalError(
            f"The server may not write to its Norman home ({what}: {reason}). Give its user the "
            "right to, or set NormanExtension.home to another folder."
        )
    return InternalError(f"The disk of the server's Norman home failed ({what}: {reason}).")


@contextmanager
def disk_faults(what: str) -> Iterator[None]:
    """Turn each OSError inside into a `StorageFull` or an `InternalError`."""
    try:
        yield
    except OSError as error:
        raise disk_fault(what, error) from error
