"""Which paths of a folder stay behind: what tools leave there, and what a .normanignore names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from norman_protocol.errors import BundleInvalid

__all__ = ["DEFAULT_PATTERNS", "IGNORE_FILE", "Ignores", "read_ignores"]

IGNORE_FILE = ".normanignore"

DEFAULT_PATTERNS = (
    ".git",
    ".venv",
    "node_modules",
    "__pycache__",
    "*.pyc",
    ".ipynb_checkpoints",
    ".DS_Store",
    IGNORE_FILE,
)
"""As in a .normanignore, before its own lines: ``!node_modules`` there takes them in again."""

Ignores: TypeAlias = Callable[[str], bool]
"""Whether a relative path stays behind; that of a folder ends in ``/``, and takes all below it."""

_NAMES = frozenset(pattern for pattern in DEFAULT_PATTERNS if "*" not in pattern)
_SUFFIXES = tuple(pattern.lstrip("*") for pattern in DEFAULT_PATTERNS if "*" in pattern)
_MAX_BYTES = 1 << 20


def read_ignores(root: Path) -> Ignores:
    """Read the rules for a folder; its ``.normanignore`` is written like a ``.gitignore``.

    Raises
    ------
    BundleInvalid
        That file can't be read, or holds what is no pattern.
    """
    path = root / IGNORE_FILE
    if not os.path.lexists(path):
        return _is_left_behind
    try:
        # What is no regular file could block, or never end.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _refused("is no regular file")
        if path.stat().st_size > _MAX_BYTES:
            raise _refused(f"is longer than {_MAX_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise _refused(f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise _refused("is no text in UTF-8") from None
    from pathspec import GitIgnoreSpec

    try:
        spec = GitIgnoreSpec.from_lines([*DEFAULT_PATTERNS, *lines])
    except ValueError as error:
        raise _refused(f"holds what is no pattern: {error}") from None
    return spec.match_file


def _is_left_behind(path: str) -> bool:
    """Match the default patterns without a pattern language: most folders have no rules."""
    name = path.rstrip("/").rpartition("/")[2]
    return name in _NAMES or name.endswith(_SUFFIXES)


def _refused(what: str) -> BundleInvalid:
    return BundleInvalid(
        f"{IGNORE_FILE} {what}. It says in the manner of a .gitignore what stays behind.",
        path=IGNORE_FILE,
    )
