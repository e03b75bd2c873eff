"""A look at what an upload would be: told here, from the files alone; nothing is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from norman_bundle.trust import TrustFinding, find_code
from norman_jupyter.packaging.folders import LocalBundle
from norman_jupyter.packaging.onnx_graph import read_onnx_signature
from norman_jupyter.packaging.opening import Opened
from norman_protocol.declaration import Declaration
from norman_protocol.declared import declared_signature
from norman_protocol.errors import BundleInvalid
from norman_protocol.signature import Signature

if TYPE_CHECKING:
    from norman_jupyter.previews.markup import Bundle

__all__ = ["InspectedFile", "Inspection", "inspect_opened"]

_BASE_BYTES: Final = {"python": 40_000_000, "onnx": 60_000_000, "torchscript": 250_000_000}
"""What a worker takes without a model: Python with NumPy, with onnxruntime, with torch (measured
as 25, 45 and 223 MB of resident memory, before the worker's own code)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedFile:
    """A file that would be uploaded."""

    path: str
    size_bytes: int
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an upload would be.

    Attributes
    ----------
    name
        Of the model.
    runtime, entry
        What loads it, and by which file.
    signature
        As far as files and configuration tell; None where nothing does. The version's own is
        known once it has loaded.
    is_described
        Whether the model's own inputs and outputs were read from its file: then the signature is
        what the version's will be.
    needs_trust, trust_findings
        Whether it has to be uploaded with trust, and which files may do something.
    expected_memory_bytes
        Of a worker that has loaded it, roughly: the runtime's own and the model's files. A call's
        tensors come on top.
    """

    name: str
    runtime: str
    entry: str
    files: tuple[InspectedFile, ...]
    size_bytes: int
    signature: Signature | None
    is_described: bool
    needs_trust: bool
    trust_findings: tuple[TrustFinding, ...]
    expected_memory_bytes: int
    label: str | None = None
    description: str | None = None
    long_description: str | None = None
    tags: tuple[str, ...] = ()
    declaration: Declaration | None = None

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        from norman_jupyter.previews.inspections import render_inspection

        return render_inspection(self)


def inspect_opened(opened: Opened) -> Inspection:
    """Look at what is going to be published; blocks.

    Raises
    ------
    ConfigurationInvalid
        What is declared contradicts the model's own inputs and outputs.
    BundleInvalid
        A file can't be read.
    """
    bundle, said = opened.bundle, opened.configuration
    found = bundle.format
    described = _describe(bundle)
    declared = said.declaration
    signature = declared_signature(described or Signature(), declared)
    return Inspection(
        name=opened.name,
        runtime=found.runtime,
        entry=found.entry,
        files=tuple(
            InspectedFile(path=file.path, size_bytes=file.size_bytes, executable=file.executable)
            for file in bundle.files
        ),
        size_bytes=bundle.size_bytes,
        signature=signature if signature != Signature() else None,
        is_described=described is not None,
        needs_trust=found.runs_code,
        trust_findings=find_code(found, [file.path for file in bundle.files]),
        expected_memory_bytes=_BASE_BYTES[found.runtime] + _model_bytes(bundle),
        label=said.label,
        description=said.description,
        long_description=said.long_description,
        tags=said.tags,
        declaration=declared,
    )


def _describe(bundle: LocalBundle) -> Signature | None:
    if bundle.format.runtime != "onnx":
        return None
    path = _source(bundle, bundle.format.entry)
    try:
        return read_onnx_signature(path)
    except OSError as error:
        raise BundleInvalid(
            f"{os.fspath(path)!r} can't be read: {error.strerror or error}.",
            path=bundle.format.entry,
        ) from error


def _source(bundle: LocalBundle, path: str) -> Path:
    return next(file.source for file in bundle.files if file.path == path)


def _model_bytes(bundle: LocalBundle) -> int:
    """Return the bytes that are loaded: of a program its file, else whatever isn't plainly text."""
    if bundle.format.runtime == "torchscript":
        return sum(one.size_bytes for one in bundle.files if one.path == bundle.format.entry)
    return sum(
        one.size_bytes
        for one in bundle.files
        if PurePosixPath(one.path).suffix.lower() not in (".py", ".txt", ".md", ".toml", ".ipynb")
    )
