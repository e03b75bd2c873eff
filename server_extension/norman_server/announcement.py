"""The file by which kernels find this server: written when it listens, gone when it ends."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import psutil

from norman_protocol.decoding import dump_json, encode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name, is_same_process
from norman_protocol.processes import process_stamp
from norman_server.storage.files import write_private

__all__ = ["Announcement", "is_stale", "remove_stale_files"]

_log = logging.getLogger(__name__)


class Announcement:
    """The discovery file of this server; the owner removes it."""

    def __init__(self, folder: Path, record: DiscoveryRecord) -> None:
        self.path = folder / discovery_file_name(record.server_pid)
        self._record = record

    def write(self) -> None:
        """Write the file for the owner's eyes only, whole or not at all."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, dump_json(encode(self._record)))

    def remove(self) -> None:
        """Remove the file. Twice is fine."""
        self.path.unlink(missing_ok=True)


def remove_stale_files(folder: Path) -> None:
    """Remove the discovery files of servers that have ended without doing so."""
    for path in folder.glob("norman-*.json"):
        try:
            contents = json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # not ours to judge
        if is_stale(contents):
            path.unlink(missing_ok=True)
            _log.debug("Removed %s of a server that has ended.", path.name)


def is_stale(contents: object) -> bool:
    """Whether the contents of a discovery file tell of a server that has ended."""
    if not isinstance(contents, dict):
        return False
    try:
        pid, started_at = int(contents["server_pid"]), float(contents["server_started_at"])
    except (ValueError, KeyError, TypeError):
        return False  # not ours to judge
    stamp = contents.get("server_stamp")
    return not _runs(pid, started_at, stamp if isinstance(stamp, str) else None)


def _runs(pid: int, started_at: float, stamp: str | None) -> bool:
    try:
        now = psutil.Process(pid).create_time()
        return is_same_process(started_at, stamp, now, process_stamp(pid))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
