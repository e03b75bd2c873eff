"""Files that came with a call, on disk for as long as the call runs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from norman_worker.coercion import File

__all__ = ["file_as_path", "safe_file_name"]

_MAX_NAME_BYTES = 200


@contextlib.contextmanager
def file_as_path(file: File) -> Iterator[Path]:
    """Write the file into a private folder under its own name, and remove both afterwards."""
    with tempfile.TemporaryDirectory(prefix="input-", dir=".") as folder:
        path = Path(folder).resolve() / safe_file_name(file.name)
        path.write_bytes(file.content)
        yield path


def safe_file_name(name: str | None) -> str:
    """Return the last component of a name from outside, fit for any file system.

    Examples
    --------
    >>> safe_file_name("../../etc/seven.png"), safe_file_name(".."), safe_file_name(None)
    ('seven.png', 'file', 'file')
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable())
    encoded = printable.encode("utf-8", "ignore")
    # The end is kept: a model may go by the suffix.
    kept = encoded[-_MAX_NAME_BYTES:].decode("utf-8", "ignore")
    return kept if kept.strip(". ") else "file"
