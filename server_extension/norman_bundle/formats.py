"""The formats of a bundle: which runtime loads it, and by which file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from norman_bundle.sniffing import HEAD_BYTES, find_onnx_fault, find_source_fault
from norman_protocol.errors import BundleInvalid

__all__ = ["Format", "describe_formats", "detect_format"]

_MODEL_SOURCE = "model.py"
_MODEL_ONNX = "model.onnx"
_SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a bundle is loaded.

    Attributes
    ----------
    runtime
        The loader.
    entry
        Path in the bundle of the file that the loader opens.
    runs_code
        Whether loading runs code of the bundle, so that trust is needed.
    """

    runtime: Literal["onnx", "python"]
    entry: str
    runs_code: bool


def describe_formats() -> str:
    """Say in one line what can be uploaded, for error messages.

    Examples
    --------
    >>> describe_formats()
    'an .onnx file, a folder with one at its root, or a folder with model.py at its root'
    """
    return "an .onnx file, a folder with one at its root, or a folder with model.py at its root"


def detect_format(paths: Sequence[str], read_head: Callable[[str, int], bytes]) -> Format:
    """Find the format of a bundle from its paths and the first bytes of its entry.

    A ``model.py`` at the root makes it a python bundle, whatever lies beside it. Otherwise the
    one ``.onnx`` file at the root is the model, or ``model.onnx`` where there are several; other
    files are its external data.

    Parameters
    ----------
    paths
        All files of the bundle, relative, with ``/``.
    read_head
        Gives at most so many first bytes of a file; fewer only where the file is shorter.

    Raises
    ------
    BundleInvalid
        No format fits, several models fit, or the entry's content is not what its name says.

    Examples
    --------
    >>> detect_format(["model.py", "labels.txt"], lambda path, limit_bytes: b"import json")
    Format(runtime='python', entry='model.py', runs_code=True)
    """
    if not paths:
        raise BundleInvalid(f"There are no files to upload. Upload {describe_formats()}.")
    if _MODEL_SOURCE in paths:
        fault = find_source_fault(read_head(_MODEL_SOURCE, HEAD_BYTES))
        if fault is not None:
            raise BundleInvalid(f"{_MODEL_SOURCE} can't be run: {fault}.", path=_MODEL_SOURCE)
        return Format(runtime="python", entry=_MODEL_SOURCE, runs_code=True)
    entry = _choose_onnx(paths)
    fault = find_onnx_fault(read_head(entry, HEAD_BYTES))
    if fault is not None:
        raise BundleInvalid(f"{entry!r} is no ONNX model: {fault}.", path=entry)
    return Format(runtime="onnx", entry=entry, runs_code=False)


def _choose_onnx(paths: Sequence[str]) -> str:
    found = sorted(path for path in paths if "/" not in path and _is_onnx_name(path))
    if not found:
        raise BundleInvalid(
            f"No known model format among {_join_names(paths)}. "
            f"{_near_miss(paths)}Upload {describe_formats()}."
        )
    if len(found) == 1:
        return found[0]
    if _MODEL_ONNX in found:
        return _MODEL_ONNX
    raise BundleInvalid(
        f"Several ONNX models lie in the folder: {_join_names(found)}. Upload one of them, name "
        f"one {_MODEL_ONNX}, or write a {_MODEL_SOURCE} that uses them."
    )


def _is_onnx_name(name: str) -> bool:
    # Hidden ones are what a file manager left there, such as macOS's ._model.onnx.
    return name.lower().endswith(".onnx") and not name.startswith(".")


def _near_miss(paths: Sequence[str]) -> str:
    for path in sorted(paths):
        folder, _, name = path.rpartition("/")
        if folder and (name == _MODEL_SOURCE or _is_onnx_name(name)):
            return f"{path!r} is not at the root: upload the folder {folder!r} itself. "
        if not folder and name.lower() == _MODEL_SOURCE:
            return f"{path!r} must be spelt {_MODEL_SOURCE}. "
    return ""


def _join_names(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= 80 else f"{name[:77]}...") for name in sorted(names)]
    if len(shown) > _SHOWN_NAMES:
        shown[_SHOWN_NAMES:] = [f"and {len(shown) - _SHOWN_NAMES} more"]
    return ", ".join(shown)
