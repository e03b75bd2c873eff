"""Processes that a killed executor may leave behind: remembered on disk, ended for certain."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from norman_protocol.decoding import decode, dump_json, encode
from norman_protocol.discovery import is_same_process
from norman_protocol.errors import NormanError
from norman_protocol.processes import process_stamp

__all__ = ["Ledger", "ProcessRecord", "end_group", "process_record"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process that leads a group of its own, and when it began: a reused pid is recognised."""

    pid: int
    started_at: float
    stamp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    processes: tuple[ProcessRecord, ...] = ()


def process_record(pid: int) -> ProcessRecord | None:
    """Return the record of a running process, None where it has ended already."""
    try:
        return ProcessRecord(
            pid=pid, started_at=psutil.Process(pid).create_time(), stamp=process_stamp(pid)
        )
    except psutil.NoSuchProcess:
        return None


def end_group(record: ProcessRecord) -> bool:
    """Kill the process group that ``record`` leads, if that process is still the recorded one.

    Returns
    -------
    bool
        Whether there was something to kill.
    """
    if not _is_running(record):
        return False
    try:
        os.killpg(record.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        _log.warning("Process group %d of another user can't be ended.", record.pid)
        return False
    return True


def _is_running(record: ProcessRecord) -> bool:
    current = process_record(record.pid)
    return current is not None and is_same_process(
        record.started_at, record.stamp, current.started_at, current.stamp
    )


class Ledger:
    """The processes that are to end with the executor, in memory and in a small file.

    The file outlives a killed server: the next one on the same home ends what is listed. `add`
    and `discard` touch memory alone; `save` and `end_all` do I/O and belong in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[int, ProcessRecord] = {}
        self._saving = threading.Lock()

    def add(self, record: ProcessRecord) -> None:
        """Remember a process."""
        self._records[record.pid] = record

    def discard(self, pid: int) -> None:
        """Forget a process that has ended."""
        self._records.pop(pid, None)

    def end_all(self) -> int:
        """Kill every process that is listed here or in the file, and forget them all."""
        ended = sum(end_group(record) for record in {*self._records.values(), *self._load()})
        self._records.clear()
        self.save()
        return ended

    def running(self) -> tuple[ProcessRecord, ...]:
        """Return those in the file that still run."""
        return tuple(record for record in self._load() if _is_running(record))

    def save(self) -> None:
        """Bring the file up to date, whole or not at all."""
        with self._saving:
            records = tuple(self._records.values())
            if not records:
                self._path.unlink(missing_ok=True)
                return
            unfinished = self._path.with_suffix(".tmp")
            unfinished.write_bytes(dump_json(encode(_Contents(processes=records))))
            unfinished.replace(self._path)

    def _load(self) -> Iterable[ProcessRecord]:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return ()
        try:
            return decode(_Contents, json.loads(text), tolerant=True).processes
        except (ValueError, NormanError):
            _log.warning("%s is not readable and is replaced.", self._path.name)
            return ()
