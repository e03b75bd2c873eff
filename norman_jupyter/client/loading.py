"""A version for this process: whether it may be loaded here, where its files are, and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from norman_bundle.formats import RUNTIMES
from norman_bundle.manifest import bundle_digest, check_manifest
from norman_jupyter.client.loaded import LoadedModel
from norman_jupyter.packaging.onnx_session import open_session, run_session
from norman_jupyter.packaging.python_module import load_python
from norman_jupyter.packaging.torchscript_program import open_program, run_program
from norman_protocol.errors import NotReady, RuntimeMissing, TrustRequired
from norman_protocol.rest import VersionDetail
from norman_protocol.signature import Signature, model_signature

__all__ = ["cache_folder", "check_loadable", "forget_cached", "load_version"]


def check_loadable(version: VersionDetail) -> Signature:
    """Check that a version may run here, before anything of it is fetched; return its signature.

    Raises
    ------
    TrustRequired
        It runs code on load, and nobody said at the server that these very files may.
    RuntimeMissing
        It has a runtime that isn't known here.
    NotReady
        It never loaded at the server: what it takes and gives isn't known.
    """
    check_manifest(version.manifest)
    if version.runtime not in RUNTIMES:
        raise RuntimeMissing(
            f"{version.reference} needs the runtime {version.runtime[:60]!r}, which can't be "
            f"loaded here; {', '.join(RUNTIMES)} can.",
            runtime=version.runtime,
        )
    if version.runtime != "onnx" and not _is_trusted(version):
        raise TrustRequired(
            f"Loading {version.reference} runs its code in this process, and nobody trusted it at "
            "the server. Upload it with --trust first (in Python: trust=True).",
            path=version.entry,
            runtime=version.runtime,
        )
    if version.signature is None:
        raise NotReady(
            f"{version.reference} is {version.state}: it never loaded at the server, so what it "
            "takes isn't known.",
            reference=version.reference,
            state=version.state,
        )
    return version.signature


def _is_trusted(version: VersionDetail) -> bool:
    trust = version.trust
    return trust is not None and trust.bundle_digest == bundle_digest(version.manifest)


def cache_folder(version: VersionDetail) -> Path:
    """Return where the files of a version are kept on this machine, by their own digest.

    It stands in ``norman/bundles`` of the user's folder for caches, and may be removed at any time.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"  # noqa: PTH117
    return base / "norman" / "bundles" / bundle_digest(version.manifest)


def forget_cached(folder: Path) -> None:
    """Remove what is kept of a version: it isn't what it should be."""
    shutil.rmtree(folder, ignore_errors=True)


def load_version(version: VersionDetail, signature: Signature, folder: Path) -> LoadedModel:
    """Load the files of a version that `check_loadable` passed.

    Raises
    ------
    RuntimeMissing
        This interpreter lacks the package that loads the format.
    LoadFailed
        It can't be loaded here.
    """
    own = model_signature(signature)
    list_dtype = "float32" if version.runtime == "torchscript" else "float64"
    native: Any
    run: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    if version.runtime == "onnx":
        native = open_session(folder / version.entry, own, version.reference)
        run = partial(run_session, native, own)
    elif version.runtime == "torchscript":
        native = open_program(folder / version.entry, version.reference)
        run = partial(run_program, native, own)
    else:
        model = load_python(folder, version.entry, version.reference)
        native, run = model.native, model.predict
    return LoadedModel(
        version.reference, signature, native, run, version.declaration, list_dtype=list_dtype
    )
