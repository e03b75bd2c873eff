"""Where the demo keeps everything: one private folder, so that nothing of the user's is touched."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from norman_protocol.decoding import decode, parse_json
from norman_protocol.discovery import DiscoveryRecord

__all__ = ["DemoHome", "live_servers", "prepare", "server_environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHome:
    """The folders of the demo.

    Attributes
    ----------
    root
        Holds all the others.
    notebooks
        What the Jupyter server shows; holds the executed notebook.
    server_log
        What the Jupyter server writes while a notebook runs.
    """

    root: Path

    @property
    def notebooks(self) -> Path:
        """Root folder of the Jupyter server."""
        return self.root / "notebooks"

    @property
    def runtime(self) -> Path:
        """Jupyter's runtime folder, with the records of running servers."""
        return self.root / "runtime"

    @property
    def server_log(self) -> Path:
        """Output of the server that runs the notebook."""
        return self.root / "server.log"


def server_environment(home: DemoHome, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Jupyter server that lives in the demo's home alone.

    Variables of a surrounding Jupyter or Norman are left out: the demo must find its own server.
    """
    environment = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(("JUPYTER", "JPY_", "NORMAN_", "IPYTHON"))
    }
    environment["JUPYTER_DATA_DIR"] = str(home.root / "data")
    environment["JUPYTER_CONFIG_DIR"] = str(home.root / "config")
    environment["JUPYTER_RUNTIME_DIR"] = str(home.runtime)
    environment["IPYTHONDIR"] = str(home.root / "ipython")
    return environment


def live_servers(home: DemoHome) -> list[DiscoveryRecord]:
    """Return the servers that run on this home now."""
    records = []
    for path in sorted(home.runtime.glob("norman-*.json")):
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            continue
        record = decode(DiscoveryRecord, parse_json(text), tolerant=True)
        if psutil.pid_exists(record.server_pid):
            records.append(record)
    return records


def prepare(home: DemoHome, *, fresh: bool) -> None:
    """Make the folders, private to this user; ``fresh`` removes what an earlier demo left.

    Raises
    ------
    FileExistsError
        The folder isn't the demo's.
    """
    if fresh and home.root.exists():
        _require_own(home)
        _remove(home.root)
    home.root.mkdir(mode=0o700, exist_ok=True)
    for folder in (home.notebooks, home.runtime):
        folder.mkdir(mode=0o700, exist_ok=True)


def _require_own(home: DemoHome) -> None:
    # --home takes any folder: none that the demo didn't make may be emptied by it.
    if any(home.root.iterdir()) and not home.notebooks.is_dir():
        raise FileExistsError(f"{home.root} holds something else; give the demo another folder.")


def _remove(folder: Path) -> None:
    # The files of versions are read-only, and so may their folders be: those resist removal.
    for current, _, _ in os.walk(folder):
        Path(current).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)
