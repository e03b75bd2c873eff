"""ONNX graphs in this process: the one place of the client that imports onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from norman_protocol.errors import LoadFailed, RuntimeMissing
from norman_protocol.signature import Modality, Parameter, Signature

__all__ = ["open_session", "run_session"]

_ERROR_LEVEL = 3
_PLAIN = frozenset(
    {"bool", "string", "float16", "float32", "float64", "complex64", "complex128"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def open_session(path: Path, signature: Signature, reference: str) -> Any:
    """Open a graph as the service does: on the CPU, with onnxruntime's own threads.

    Raises
    ------
    RuntimeMissing
        This interpreter lacks onnxruntime.
    LoadFailed
        It can't be opened, or takes what onnxruntime takes from no array of NumPy.
    """
    strange = [parameter for parameter in signature.inputs if not _is_plain(parameter)]
    if strange:
        raise LoadFailed(
            f"{reference} takes {strange[0].name!r} as {_kind(strange[0])}, which can't be given "
            f"to it in this process. Invoke it at the server: invoke({reference!r}, …).",
            reference=reference,
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            f"{reference} is an ONNX model, which needs the package onnxruntime in "
            f"{sys.executable}: pip install onnxruntime",
            runtime="onnx",
            package="onnxruntime",
            interpreter=sys.executable,
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR_LEVEL
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its statuses have a class each, straight from Exception
        raise LoadFailed(
            f"onnxruntime {onnxruntime.__version__} of {sys.executable} can't open {path.name}: "
            f"{error}",
            reference=reference,
            exception=f"{type(error).__name__}: {error}",
        ) from error


def run_session(session: Any, signature: Signature, feed: Mapping[str, Any]) -> dict[str, Any]:
    """Run a graph once; what onnxruntime raises passes through."""
    names = [parameter.name for parameter in signature.outputs]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def _is_plain(parameter: Parameter) -> bool:
    return parameter.modality is Modality.TENSOR and parameter.dtype in _PLAIN


def _kind(parameter: Parameter) -> str:
    if parameter.modality is Modality.TENSOR:
        return f"a tensor of {parameter.dtype}"
    return str(parameter.modality.value)
