"""The gate before every loader: code of a bundle runs only where somebody said that it may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from norman_bundle.formats import Format
from norman_protocol.errors import TrustRequired

__all__ = ["TrustFinding", "find_code", "require_trust"]

_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".dill"})
_NATIVE: Final = frozenset({".so", ".dll", ".dylib", ".pyd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFinding:
    """A file of a bundle that may do something where it is loaded, and how."""

    path: str
    reason: str


def find_code(format: Format, paths: Sequence[str]) -> tuple[TrustFinding, ...]:  # noqa: A002 - the word is format
    """Return the files of a bundle that whoever trusts it should know of, by their names.

    Where nothing runs on load, there are none: what isn't loaded does nothing.

    Examples
    --------
    >>> python = Format(runtime="python", entry="model.py", runs_code=True)
    >>> [finding.path for finding in find_code(python, ["labels.txt", "model.py", "net.pkl"])]
    ['model.py', 'net.pkl']
    """
    if not format.runs_code:
        return ()
    entry = TrustFinding(path=format.entry, reason="is code that runs when it is loaded")
    others = [(path, _reason(path)) for path in paths if path != format.entry]
    return (
        entry,
        *(TrustFinding(path=path, reason=reason) for path, reason in others if reason is not None),
    )


def _reason(path: str) -> str | None:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".py":
        return "is code that the model may import"
    if suffix in _PICKLES:
        return "may be a pickle, which runs code when it is read"
    return "is native code that the model may load" if suffix in _NATIVE else None


def require_trust(format: Format, *, trusted: bool, path: str) -> None:  # noqa: A002 - the word is format
    """Pass where the format runs no code on load, or the uploader allowed it.

    Parameters
    ----------
    path
        What to name in the error: the file or folder as the uploader knows it.

    Raises
    ------
    TrustRequired
        Loading would run code of the bundle, and nobody allowed it.

    Examples
    --------
    >>> onnx = Format(runtime="onnx", entry="model.onnx", runs_code=False)
    >>> require_trust(onnx, trusted=False, path="model.onnx")
    """
    if trusted or not format.runs_code:
        return
    raise TrustRequired(
        f"Loading {path!r} runs the code in its {format.entry}. If you trust it, upload it again "
        "with --trust (in Python: trust=True).",
        path=path,
        runtime=format.runtime,
    )
