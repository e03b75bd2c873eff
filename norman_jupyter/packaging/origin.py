"""Where an upload comes from: notebook, cell, kernel, interpreter, git commit."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from norman_jupyter.packaging.git import read_git
from norman_jupyter.packaging.kernel import current_kernel
from norman_protocol.rest import Origin

__all__ = ["CELL_SOURCE_LIMIT", "collect_origin"]

CELL_SOURCE_LIMIT = 20_000
"""Characters of a cell's source that are kept."""


def collect_origin(source_path: str | os.PathLike[str] | None = None, shell: Any = None) -> Origin:
    """Collect what is known of where an upload comes from; what isn't known is None.

    Parameters
    ----------
    source_path
        The file or folder that is uploaded. Its git repository is reported, or else that of the
        current folder.
    shell
        The IPython shell; where it is None, the one that this process runs, if any.

    Examples
    --------
    >>> collect_origin().interpreter == sys.executable
    True
    """
    shell = _running_shell() if shell is None else shell
    cell_id, cell_source = _cell(shell)
    kernel = current_kernel()
    source = Path(source_path).expanduser().resolve() if source_path is not None else None
    git = read_git(source if source is not None and source.exists() else Path.cwd())
    return Origin(
        notebook=_notebook(shell, os.environ),
        cell_id=cell_id,
        cell_source=cell_source,
        kernel_id=kernel.kernel_id,
        kernel_name=kernel.kernel_name,
        interpreter=sys.executable or None,
        python_version=platform.python_version(),
        hostname=socket.gethostname() or None,
        user=_user(),
        source_path=str(source) if source is not None else None,
        git_commit=git.commit,
        git_branch=git.branch,
        git_remote=git.remote,
        git_dirty=git.dirty,
        client_version=_client_version(),
    )


def _running_shell() -> Any:
    interactive = sys.modules.get("IPython.core.interactiveshell")
    if interactive is None:  # nobody runs IPython here
        return None
    shell = interactive.InteractiveShell
    return shell.instance() if shell.initialized() else None


def _notebook(shell: Any, environ: Mapping[str, str]) -> str | None:
    """Return the notebook's path: as VS Code says it, or as the Jupyter server does."""
    namespace = getattr(shell, "user_ns", None) or {}
    path = namespace.get("__vsc_ipynb_file__")
    if isinstance(path, str) and path:
        return path
    return environ.get("JPY_SESSION_NAME") or None


def _cell(shell: Any) -> tuple[str | None, str | None]:
    """Return id and source of the running cell, from the request that the kernel is executing."""
    get_parent = getattr(shell, "get_parent", None)
    request = get_parent() if callable(get_parent) else None
    if not isinstance(request, Mapping):
        return None, None
    metadata, content = request.get("metadata"), request.get("content")
    cell_id = metadata.get("cellId") if isinstance(metadata, Mapping) else None
    source = content.get("code") if isinstance(content, Mapping) else None
    return (
        cell_id if isinstance(cell_id, str) else None,
        source[:CELL_SOURCE_LIMIT] if isinstance(source, str) else None,
    )


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as containers have them
        return None


def _client_version() -> str | None:
    try:
        return version("norman-jupyter")
    except PackageNotFoundError:  # run from its source
        return None
