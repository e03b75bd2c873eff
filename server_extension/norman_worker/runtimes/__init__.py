"""The loaders of formats, one file each; a runtime's own imports happen when it is asked for."""

from __future__ import annotations

from norman_protocol.errors import RuntimeMissing
from norman_worker.runtimes.base import Runtime, Source

__all__ = ["RUNTIMES", "create_runtime"]

RUNTIMES = ("onnx", "python", "torchscript")
"""Names of the runtimes that this worker knows."""


def create_runtime(name: str, source: Source) -> Runtime:
    """Return the runtime of that name for one version; nothing is loaded yet.

    Raises
    ------
    RuntimeMissing
        There is no runtime of that name, or this interpreter lacks what it needs.
    """
    if name == "onnx":
        from norman_worker.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(source)
    if name == "python":
        from norman_worker.runtimes.python import PythonRuntime

        return PythonRuntime(source)
    if name == "torchscript":
        from norman_worker.runtimes.torchscript import TorchScriptRuntime

        return TorchScriptRuntime(source)
    raise RuntimeMissing(
        f"There is no runtime {name[:60]!r} here; there are {', '.join(RUNTIMES)}.", runtime=name
    )
