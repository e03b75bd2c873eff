"""TorchScript programs in this process: the one place of the client that imports torch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from norman_protocol.errors import LoadFailed, RuntimeMissing
from norman_protocol.outputs import name_outputs
from norman_protocol.signature import Signature

__all__ = ["open_program", "run_program"]


def open_program(path: Path, reference: str) -> Any:
    """Open a program as the service does, on the CPU.

    Raises
    ------
    RuntimeMissing
        This interpreter lacks torch.
    LoadFailed
        It can't be opened.
    """
    try:
        import torch
    except ImportError as error:
        raise RuntimeMissing(
            f"{reference} is a TorchScript program, which needs the package torch in "
            f"{sys.executable}: pip install torch",
            runtime="torchscript",
            package="torch",
            interpreter=sys.executable,
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
            load: Any = torch.jit.load
            return load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise LoadFailed(
            f"torch {torch.__version__} of {sys.executable} can't open {path.name}: {error}",
            reference=reference,
            exception=f"{type(error).__name__}: {error}",
        ) from error


def run_program(program: Any, signature: Signature, feed: Mapping[str, Any]) -> dict[str, Any]:
    """Run a program once, without gradients; what torch raises passes through."""
    import numpy as np
    import torch

    arguments = {
        # A copy: what is given may be read-only, and the program may write into its arguments.
        name: torch.from_numpy(item.copy()) if isinstance(item, np.ndarray) else item
        for name, item in feed.items()
    }
    with torch.inference_mode():
        answer = program(**arguments)
    return dict(name_outputs(answer, [parameter.name for parameter in signature.outputs]))
