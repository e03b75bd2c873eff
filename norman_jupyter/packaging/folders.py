"""From a path to the files of a bundle: what is taken, what is skipped, what is refused."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from norman_bundle.formats import Format, describe_formats, detect_format
from norman_bundle.trust import require_trust
from norman_jupyter.packaging.external_data import find_external_files
from norman_jupyter.packaging.ignoring import read_ignores
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid, NameInvalid
from norman_protocol.references import parse_name

__all__ = [
    "LocalBundle",
    "LocalFile",
    "default_name",
    "list_file",
    "open_bundle",
    "tell_format",
]

_MODEL_SUFFIXES = (".onnx", ".py", ".pt", ".pth", ".ts", ".torchscript")
_MAX_ENTRIES = 100_000
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A file of this machine and its place in the bundle.

    Attributes
    ----------
    path
        Relative, with ``/``.
    source
        Where its bytes are.
    size_bytes, modified_ns
        As they were when it was listed: by them a change before the end of the upload shows.
    """

    path: str
    source: Path
    size_bytes: int
    modified_ns: int
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBundle:
    """What is going to be uploaded: its files, sorted by path, and its format."""

    source: Path
    files: tuple[LocalFile, ...]
    format: Format

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


def open_bundle(
    source: str | os.PathLike[str], *, trusted: bool, declaration: Declaration | None = None
) -> LocalBundle:
    """List the files at a path and tell their format; nothing is read but the entry's beginning.

    Parameters
    ----------
    source
        An ``.onnx`` or ``.pt`` file, a folder with one at its root, or a folder with ``model.py``.
    trusted
        Whether the user allowed the bundle to run code when it is loaded.
    declaration
        Its runtime and entry count where it names them.

    Raises
    ------
    BundleInvalid
        Missing (with the nearest names), empty, unreadable, of no known format, or with something
        in it that can't be uploaded.
    TrustRequired
        Loading it runs code, and that was not allowed.
    """
    root = _resolve(source)
    shown = os.fspath(source)
    if root.is_dir():
        files = tuple(sorted(_walk(root), key=lambda file: file.path))
        if not files:
            raise BundleInvalid(
                f"The folder {shown!r} is empty, or all in it is ignored. "
                f"Upload {describe_formats()}.",
                path=shown,
            )
    else:
        files = (_describe(root, root.name, root.stat()),)
    bundle_format = tell_format(files, declaration)
    if not root.is_dir():
        _refuse_lone_part(root, shown)
    require_trust(bundle_format, trusted=trusted, path=shown)
    return LocalBundle(source=root, files=files, format=bundle_format)


def tell_format(files: Sequence[LocalFile], declaration: Declaration | None) -> Format:
    """Tell how files that are listed are loaded, as `norman_bundle.formats.detect_format` does.

    Raises
    ------
    BundleInvalid, ConfigurationInvalid
        No format fits, or the declaration names what there isn't.
    """
    heads = {file.path: file.source for file in files}
    return detect_format([*heads], partial(_read_head, heads), declaration)


def list_file(path: str, source: Path) -> LocalFile:
    """List one file, at a place in the bundle of its own.

    Raises
    ------
    BundleInvalid
        It is missing (with the nearest names), can't be read, or is no regular file.
    """
    real = _resolve(source)
    if real.is_dir():
        raise BundleInvalid(
            f"{str(source)!r} is a folder. Give a file, or upload the folder itself: "
            "upload(folder, config=…).",
            path=str(source),
        )
    return _describe(real, path, real.stat())


def default_name(source: str | os.PathLike[str]) -> str:
    """Return the model's name for a path: the folder's, or the file's without its suffix.

    What the grammar of names doesn't allow becomes ``-``.

    Raises
    ------
    NameInvalid
        Nothing is left of it.

    Examples
    --------
    >>> default_name("models/My digits (new).onnx"), default_name("models/bert.v2")
    ('My-digits-new', 'bert.v2')
    """
    path = Path(source).expanduser().resolve()
    text = unicodedata.normalize("NFKC", path.name if path.is_dir() else _stem(path))
    fitted = re.sub(r"-?[^\w.-]+-?", "-", text).strip("-._")[:100].rstrip(".-")
    try:
        return parse_name(fitted)
    except NameInvalid:
        raise NameInvalid(
            f"No model can be named after {path.name!r}. Say a name: --name digits "
            "(in Python: name='digits').",
            name=path.name,
        ) from None


def _stem(path: Path) -> str:
    return path.stem if path.suffix.lower() in _MODEL_SUFFIXES else path.name


def _resolve(source: str | os.PathLike[str]) -> Path:
    path = Path(source).expanduser()
    shown = os.fspath(source)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleInvalid(
            f"There is no file or folder {shown!r}.{_nearest(path)}", path=shown
        ) from None
    except (OSError, ValueError) as error:
        raise BundleInvalid(f"{shown!r} can't be read: {error}", path=shown) from None
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        raise BundleInvalid(
            f"{shown!r} is neither a file nor a folder. Upload {describe_formats()}.", path=shown
        )
    return path.resolve()


def _nearest(path: Path) -> str:
    """Hint at what stands where the missing path was looked for."""
    missing = path.absolute()
    while not missing.parent.is_dir() and missing != missing.parent:
        missing = missing.parent
    try:
        names = [near.name for near in missing.parent.iterdir() if near.name[0] != "."]
    except OSError:
        return ""
    nearest = get_close_matches(missing.name, names, n=3, cutoff=0.5)
    if nearest:
        return f" Did you mean {' or '.join(repr(name) for name in nearest)}?"
    if missing != path.absolute():
        return f" Its folder {str(missing)!r} doesn't exist."
    return ""


def _read_head(sources: dict[str, Path], path: str, limit_bytes: int) -> bytes:
    try:
        with sources[path].open("rb") as file:
            return file.read(limit_bytes)
    except OSError as error:
        raise BundleInvalid(f"{path!r} can't be read: {error.strerror}.", path=path) from error


def _refuse_lone_part(path: Path, shown: str) -> None:
    """Refuse an ONNX file whose weights lie in other files."""
    if path.suffix.lower() != ".onnx":
        return
    others = find_external_files(path)
    if others:
        listed = ", ".join(repr(name) for name in others[:3]) + (" …" if len(others) > 3 else "")
        raise BundleInvalid(
            f"{shown!r} keeps weights in other files ({listed}). Upload the folder that holds them "
            "all.",
            path=shown,
        )


def _walk(root: Path) -> Iterator[LocalFile]:
    """Yield the files below a folder; links are followed as long as they stay inside."""
    ignores = read_ignores(root)
    seen = 0
    pending: list[tuple[Path, str, tuple[Path, ...]]] = [(root, "", (root,))]
    while pending:
        folder, prefix, above = pending.pop()
        for entry in _entries(folder, prefix):
            seen += 1
            if seen > _MAX_ENTRIES:
                raise BundleInvalid(
                    f"The folder holds more than {_MAX_ENTRIES} files. Is it the right one?",
                    path=str(root),
                )
            path = f"{prefix}{entry.name}"
            if ignores(path):
                continue
            real = _real(entry, path, root)
            status = _status(real, path)
            if stat.S_ISDIR(status.st_mode) and ignores(f"{path}/"):
                continue
            if stat.S_ISREG(status.st_mode):
                yield _describe(real, path, status)
            elif stat.S_ISDIR(status.st_mode):
                if real in above or len(above) > _MAX_DEPTH:
                    raise BundleInvalid(
                        f"The folder {path!r} leads back into itself or too deep.", path=path
                    )
                pending.append((real, f"{path}/", (*above, real)))
            else:
                raise BundleInvalid(
                    f"{path!r} is no regular file (a socket, pipe or device). Move it out of the "
                    "folder.",
                    path=path,
                )


def _entries(folder: Path, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        shown = prefix.rstrip("/") or str(folder)
        raise BundleInvalid(
            f"The folder {shown!r} can't be read: {error.strerror}.", path=shown
        ) from error


def _real(entry: os.DirEntry[str], path: str, root: Path) -> Path:
    if not entry.is_symlink():
        return Path(entry.path)
    try:
        real = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):
        raise BundleInvalid(
            f"{path!r} is a link to something that doesn't exist. Remove it.", path=path
        ) from None
    if not real.is_relative_to(root):
        raise BundleInvalid(
            f"{path!r} is a link to {str(real)!r}, outside of the folder. Put the file itself "
            f"there: cp -rL {root.name} copy follows every link.",
            path=path,
        )
    return real


def _status(real: Path, path: str) -> os.stat_result:
    try:
        return real.stat()
    except OSError as error:
        raise BundleInvalid(f"{path!r} can't be read: {error.strerror}.", path=path) from error


def _describe(source: Path, path: str, status: os.stat_result) -> LocalFile:
    return LocalFile(
        path=path,
        source=source,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        executable=bool(status.st_mode & stat.S_IXUSR),
    )
