"""The git commit that a folder stands at, told by git itself."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from norman_bundle.remotes import strip_credentials

__all__ = ["GitFacts", "read_git"]

_TIMEOUT_S = 3.0
_OUTPUT_LIMIT = 4096
# These would point git to another repository than the folder's own (a hook sets them).
_STRAY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """Where a folder stands; all None where it is in no repository.

    ``dirty`` is true where a tracked file of the repository differs from the commit, or a file of
    the folder itself is not in it.
    """

    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None


def read_git(source: Path) -> GitFacts:
    """Ask git about the repository that a file or folder is in, within seconds; it never fails."""
    folder = source if source.is_dir() else source.parent
    try:
        head = _run(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
        if head is None:
            return GitFacts()
        commit, branch, dirty = _read_status(head)
        if not dirty:
            path = os.fspath(source)
            inside = _run(folder, "status", "--porcelain", "--untracked-files=normal", "--", path)
            dirty = bool(inside)
        remote = _run(folder, "config", "--get", "remote.origin.url")
    except (OSError, subprocess.TimeoutExpired):
        return GitFacts()  # no git here, or it hangs: an upload goes on without these facts
    url = remote.strip() if remote else ""
    return GitFacts(
        commit=commit, branch=branch, remote=strip_credentials(url) if url else None, dirty=dirty
    )


def _read_status(text: str) -> tuple[str | None, str | None, bool]:
    commit = branch = None
    dirty = False
    for line in text.splitlines():
        if line.startswith("# branch.oid "):
            oid = line.removeprefix("# branch.oid ")
            commit = None if oid == "(initial)" else oid
        elif line.startswith("# branch.head "):
            name = line.removeprefix("# branch.head ")
            branch = None if name == "(detached)" else name
        elif line and not line.startswith("#"):
            dirty = True
    return commit, branch, dirty


def _run(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it fails, as outside of any repository."""
    environment = {name: value for name, value in os.environ.items() if name not in _STRAY}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    finished = subprocess.run(  # noqa: S603 - a fixed program; the path is one argument of its own
        # A repository may name a program as its fsmonitor: uploading shall not run it.
        ["git", "-c", "core.fsmonitor=false", "-C", os.fspath(folder), *arguments],  # noqa: S607
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        return None
    return finished.stdout[: _OUTPUT_LIMIT * 16].decode("utf-8", "replace")
