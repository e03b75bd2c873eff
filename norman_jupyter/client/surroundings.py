"""What discovery asks of this process and its machine: psutil and Jupyter's folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from norman_jupyter.client.discovery import Target, find_targets
from norman_protocol.processes import process_stamp

__all__ = ["SystemProcesses", "discover", "make_discovery"]


class SystemProcesses:
    """The processes of this machine."""

    def ancestors(self) -> Sequence[int]:
        """Ids of the parent, its parent and so on."""
        import psutil

        return [process.pid for process in psutil.Process().parents()]

    def started_at(self, pid: int) -> float | None:
        """When a living process began, in seconds since the epoch; None where there is none."""
        import psutil

        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return float(process.create_time())
        except psutil.Error:
            return None

    def stamp(self, pid: int) -> str | None:
        """Return what names a living process whatever the clock does, where something does."""
        return process_stamp(pid)


def discover(
    url: str | None, token: str | None, previous: Target | None = None
) -> tuple[Target, ...]:
    """List the servers to try from here, as `find_targets` does."""
    from jupyter_core.paths import jupyter_runtime_dir

    return find_targets(
        url=url,
        token=token,
        environ=os.environ,
        runtime_folder=Path(jupyter_runtime_dir()),
        processes=SystemProcesses(),
        previous=previous,
    )


def make_discovery(url: str | None, token: str | None) -> partial[tuple[Target, ...]]:
    """Bind `discover` to what the user said."""
    return partial(discover, url, token)
