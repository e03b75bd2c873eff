"""The formats of a bundle: which runtime loads it, and by which file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias, get_args

from norman_bundle.sniffing import (
    HEAD_BYTES,
    find_onnx_fault,
    find_source_fault,
    find_torchscript_fault,
)
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid, ConfigurationInvalid

__all__ = ["RUNTIMES", "Format", "RuntimeName", "describe_formats", "detect_format"]

RuntimeName: TypeAlias = Literal["onnx", "python", "torchscript"]
"""The loaders that a worker has."""

RUNTIMES: Final[tuple[RuntimeName, ...]] = get_args(RuntimeName)
"""Their names."""

_MODEL_SOURCE = "model.py"
_MODEL_ONNX = "model.onnx"
_MODEL_TORCHSCRIPT = "model.pt"
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
        Whether loading runs code of the bundle, so that trust is needed. TorchScript programs run
        in torch's own interpreter, without Python.
    """

    runtime: RuntimeName
    entry: str
    runs_code: bool


def describe_formats() -> str:
    """Say in one line what can be uploaded, for error messages.

    Examples
    --------
    >>> describe_formats()
    'an .onnx or .pt file, a folder with one at its root, or a folder with model.py at its root'
    """
    return (
        "an .onnx or .pt file, a folder with one at its root, or a folder with model.py at its root"
    )


def detect_format(
    paths: Sequence[str],
    read_head: Callable[[str, int], bytes],
    declaration: Declaration | None = None,
) -> Format:
    """Find the format of a bundle from its paths and the first bytes of its entry.

    A ``model.py`` at the root makes it a python bundle, whatever lies beside it. Otherwise the
    one ``.onnx`` file at the root is the model, or ``model.onnx`` where there are several; other
    files are its external data. Without any of these it is the one TorchScript file, ``.pt``.

    Parameters
    ----------
    paths
        All files of the bundle, relative, with ``/``.
    read_head
        Gives at most so many first bytes of a file; fewer only where the file is shorter.
    declaration
        Its runtime and entry count where it names them.

    Raises
    ------
    BundleInvalid
        No format fits, several models fit, or the entry's content is not what its name says.
    ConfigurationInvalid
        The declaration names a runtime or an entry that there isn't.

    Examples
    --------
    >>> detect_format(["model.py", "labels.txt"], lambda path, limit_bytes: b"import json")
    Format(runtime='python', entry='model.py', runs_code=True)
    """
    if not paths:
        raise BundleInvalid(f"There are no files to upload. Upload {describe_formats()}.")
    runtime, entry = _declared(declaration, paths)
    if runtime is None:
        runtime = _runtime_of([entry] if entry is not None else paths)
    if entry is None:
        entry = _CHOICES[runtime](paths)
    fault = _FAULTS[runtime](read_head(entry, HEAD_BYTES))
    if fault is not None:
        raise BundleInvalid(f"{entry!r} {_CAN_NOT[runtime]}: {fault}.", path=entry)
    return Format(runtime=runtime, entry=entry, runs_code=runtime == "python")


def _declared(
    declaration: Declaration | None, paths: Sequence[str]
) -> tuple[RuntimeName | None, str | None]:
    if declaration is None:
        return None, None
    runtime, entry = declaration.runtime, declaration.entry
    if entry is not None and entry not in paths:
        nearest = get_close_matches(entry, paths, n=1, cutoff=0.4)
        hint = f"Did you mean {nearest[0]!r}?" if nearest else "Name one of its files."
        raise ConfigurationInvalid(
            f"There is no file {entry[:100]!r} to enter by. {hint}", field="entry", nearest=nearest
        )
    if runtime is None:
        return None, entry
    for known in RUNTIMES:
        if known == runtime:
            return known, entry
    nearest = get_close_matches(runtime, RUNTIMES, n=1, cutoff=0.4)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are {', '.join(_CHOICES)}."
    raise ConfigurationInvalid(
        f"There is no runtime {runtime[:60]!r}. {hint}", field="runtime", nearest=nearest
    )


def _runtime_of(paths: Sequence[str]) -> RuntimeName:
    if _MODEL_SOURCE in paths:
        return "python"
    names = [path for path in paths if "/" not in path]
    if any(map(_is_torchscript_name, names)) and not any(map(_is_onnx_name, names)):
        return "torchscript"
    return "onnx"


def _choose_source(paths: Sequence[str]) -> str:
    if _MODEL_SOURCE in paths:
        return _MODEL_SOURCE
    raise BundleInvalid(
        f"There is no {_MODEL_SOURCE} among {_join_names(paths)}. {_near_miss(paths)}"
        f"Upload {describe_formats()}."
    )


def _choose_onnx(paths: Sequence[str]) -> str:
    return _choose_one(paths, _is_onnx_name, "ONNX models", _MODEL_ONNX)


def _choose_torchscript(paths: Sequence[str]) -> str:
    if len(paths) == 1 and "/" not in paths[0]:
        return paths[0]  # declared to be one, whatever its name
    return _choose_one(paths, _is_torchscript_name, "TorchScript files", _MODEL_TORCHSCRIPT)


def _choose_one(
    paths: Sequence[str], is_name: Callable[[str], bool], what: str, preferred: str
) -> str:
    found = sorted(path for path in paths if "/" not in path and is_name(path))
    if not found:
        raise BundleInvalid(
            f"No known model format among {_join_names(paths)}. "
            f"{_near_miss(paths)}Upload {describe_formats()}."
        )
    if len(found) == 1:
        return found[0]
    if preferred in found:
        return preferred
    raise BundleInvalid(
        f"Several {what} lie in the folder: {_join_names(found)}. Upload one of them, name "
        f"one {preferred}, or write a {_MODEL_SOURCE} that uses them."
    )


def _is_torchscript_name(name: str) -> bool:
    return name.lower().endswith((".pt", ".pth", ".ts", ".torchscript")) and name[0] != "."


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


_CHOICES: Final[dict[RuntimeName, Callable[[Sequence[str]], str]]] = {
    "onnx": _choose_onnx,
    "python": _choose_source,
    "torchscript": _choose_torchscript,
}
_FAULTS: Final[dict[RuntimeName, Callable[[bytes], str | None]]] = {
    "onnx": find_onnx_fault,
    "python": find_source_fault,
    "torchscript": find_torchscript_fault,
}
_CAN_NOT: Final[dict[RuntimeName, str]] = {
    "onnx": "is no ONNX model",
    "python": "can't be run",
    "torchscript": "is no TorchScript program",
}
