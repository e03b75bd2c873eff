"""The Jupyter kernel that this process is, if it is one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from norman_protocol.decoding import parse_json
from norman_protocol.errors import NormanError

__all__ = ["KernelFacts", "current_kernel", "current_kernel_id", "read_connection_file"]

_CONNECTION_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """A kernel's id, as the Jupyter server knows it, and the name of its kernelspec."""

    kernel_id: str | None = None
    kernel_name: str | None = None


def current_kernel_id() -> str | None:
    """Return the id of the kernel that this process is; None where it is none."""
    return current_kernel().kernel_id


def current_kernel() -> KernelFacts:
    """Return what is known of the kernel that this process is."""
    kernelapp = sys.modules.get("ipykernel.kernelapp")
    if kernelapp is None:  # a kernel has it loaded; nobody else shall load it for this question
        return KernelFacts()
    application = kernelapp.IPKernelApp
    if not application.initialized():
        return KernelFacts()
    return read_connection_file(str(application.instance().abs_connection_file))


@lru_cache(maxsize=1)
def read_connection_file(path: str) -> KernelFacts:
    """Return what the connection file of a kernel says, by its name and content.

    Examples
    --------
    >>> read_connection_file("/run/kernel-6f1e.json")
    KernelFacts(kernel_id='6f1e', kernel_name=None)
    """
    file = Path(path)
    name = None
    try:
        with file.open("rb") as stream:
            content = parse_json(stream.read(_CONNECTION_LIMIT_BYTES))
        if isinstance(content, dict) and isinstance(content.get("kernel_name"), str):
            name = content["kernel_name"] or None
    except (OSError, NormanError):
        name = None  # the file may be gone by now; its name still tells the id
    stem = file.stem
    kernel_id = stem.removeprefix("kernel-") if stem.startswith("kernel-") else None
    return KernelFacts(kernel_id=kernel_id, kernel_name=name)
