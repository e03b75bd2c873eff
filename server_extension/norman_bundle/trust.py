"""The gate before every loader: code of a bundle runs only where somebody said that it may."""

from __future__ import annotations

from norman_bundle.formats import Format
from norman_protocol.errors import TrustRequired

__all__ = ["require_trust"]


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
