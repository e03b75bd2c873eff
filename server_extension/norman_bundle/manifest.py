"""The manifest of a bundle: which ones are sound, and the digest that names one."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import unicodedata
from typing import Final

from norman_protocol.errors import BundleInvalid, RequestInvalid
from norman_protocol.rest import FileEntry, Manifest

__all__ = ["bundle_digest", "check_manifest", "parse_digest"]

_MAX_FILES: Final = 100_000
_MAX_PATH_BYTES: Final = 1000
_MAX_PART_BYTES: Final = 255
_MAX_DEPTH: Final = 64
_MAX_TOTAL_BYTES: Final = 1 << 50  # 1 PiB: the sum fits every database's integer

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")
# Control characters, line and paragraph separators, and the marks that reverse the direction of
# text: each makes a path look like another one in a list or a log.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def parse_digest(text: str) -> str:
    """Return the digest, which is 64 lower-case hexadecimal digits of SHA-256.

    Raises
    ------
    RequestInvalid
        The text is none.

    Examples
    --------
    >>> parse_digest("00" * 32) == "0" * 64
    True
    """
    if not _DIGEST.fullmatch(text):
        raise RequestInvalid(
            f"{_shorten(text)} is no digest. A digest is 64 lower-case hexadecimal digits "
            "of SHA-256.",
            field="digest",
        )
    return text


def bundle_digest(manifest: Manifest) -> str:
    """Return the digest that names a bundle: the same files give the same one, in any order.

    It is SHA-256 over compact JSON in ASCII: a list of ``[path, digest, size_bytes,
    executable]``, sorted by path.

    Examples
    --------
    >>> bundle_digest(Manifest(files=()))[:12]
    '4f53cda18c2b'
    """
    facts = sorted(
        [entry.path, entry.digest, entry.size_bytes, entry.executable] for entry in manifest.files
    )
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def check_manifest(manifest: Manifest) -> None:
    """Check that the files can be laid out below one folder, on any file system, and nowhere else.

    Paths are relative, with ``/``, at most 1000 bytes of UTF-8 and 64 parts of 255 bytes; none
    leaves the folder, lies below another file, or differs from another only by case or by how
    Unicode spells it. They are sorted by code point.

    Raises
    ------
    BundleInvalid
        The manifest is not sound; ``path`` names the first culprit.

    Examples
    --------
    >>> check_manifest(Manifest(files=(FileEntry(path="a/b", digest="0" * 64, size_bytes=0),)))
    """
    files = manifest.files
    if not files:
        raise BundleInvalid("The bundle has no files.")
    if len(files) > _MAX_FILES:
        raise BundleInvalid(
            f"The bundle has {len(files)} files, more than the {_MAX_FILES} allowed. "
            "Pack small ones together."
        )
    for entry in files:
        _check_path(entry.path)
    _check_order(files)
    _check_tree(files)
    _check_blobs(files)


def _check_path(path: str) -> None:
    fault = _path_fault(path)
    if fault is not None:
        raise BundleInvalid(f"A bundle can't hold {_shorten(path)}: {fault}.", path=path[:300])


def _path_fault(path: str) -> str | None:
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        return "its name is not Unicode text"
    if size_bytes > _MAX_PATH_BYTES:
        return f"the path has more than {_MAX_PATH_BYTES} bytes"
    if _UNSEEN.search(path):
        return "its name holds control characters"
    if "\\" in path:
        return "a path is written with '/', not with a backslash"
    if path.startswith("/") or _DRIVE.match(path):
        return "the path is absolute"
    parts = path.split("/")
    if len(parts) > _MAX_DEPTH:
        return f"it lies more than {_MAX_DEPTH} folders deep"
    if any(part in ("", ".", "..") for part in parts):
        return "a part of the path is empty, '.' or '..'"
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        return f"a part of the path has more than {_MAX_PART_BYTES} bytes"
    return None


def _check_order(files: tuple[FileEntry, ...]) -> None:
    for before, after in itertools.pairwise(files):
        if before.path == after.path:
            raise BundleInvalid(f"{_shorten(after.path)} is listed twice.", path=after.path)
        if before.path > after.path:
            raise BundleInvalid(
                f"The files of a bundle are sorted by path: {_shorten(after.path)} comes after "
                f"{_shorten(before.path)}.",
                path=after.path,
            )


def _check_tree(files: tuple[FileEntry, ...]) -> None:
    """Lay the paths out in memory as a file system that folds case would."""
    spellings: dict[str, str] = {}
    leaves: set[str] = set()
    folders: set[str] = set()
    for entry in files:
        parts = entry.path.split("/")
        for depth in range(1, len(parts) + 1):
            spelling = "/".join(parts[:depth])
            key = _fold(spelling)
            other = spellings.setdefault(key, spelling)
            if other != spelling:
                raise BundleInvalid(
                    f"{_shorten(spelling)} and {_shorten(other)} differ only by case or by how "
                    "Unicode spells them: not every file system keeps both. Rename one.",
                    path=entry.path,
                )
            is_file = depth == len(parts)
            (leaves if is_file else folders).add(key)
            if key in leaves and key in folders:
                raise BundleInvalid(
                    f"{_shorten(spelling)} is both a file and a folder.", path=entry.path
                )


def _fold(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def _check_blobs(files: tuple[FileEntry, ...]) -> None:
    sizes: dict[str, int] = {}
    total_bytes = 0
    for entry in files:
        if not _DIGEST.fullmatch(entry.digest):
            raise BundleInvalid(
                f"The digest of {_shorten(entry.path)} is not 64 lower-case hexadecimal digits.",
                path=entry.path,
            )
        if entry.size_bytes < 0:
            raise BundleInvalid(f"The size of {_shorten(entry.path)} is negative.", path=entry.path)
        if sizes.setdefault(entry.digest, entry.size_bytes) != entry.size_bytes:
            raise BundleInvalid(
                f"Two files share the digest of {_shorten(entry.path)}, but not the size.",
                path=entry.path,
                digests=[entry.digest],
            )
        total_bytes += entry.size_bytes
    if total_bytes > _MAX_TOTAL_BYTES:
        raise BundleInvalid(
            f"The bundle has {total_bytes} bytes, more than the {_MAX_TOTAL_BYTES} allowed."
        )


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
