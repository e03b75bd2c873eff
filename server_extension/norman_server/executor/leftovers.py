"""Processes that a killed executor may leave behind: remembered on disk, ended for certain."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from norman_protocol.decoding import decode, dump_json, encode
from norman_protocol.errors import NormanError

__all__ = ["Ledger", "ProcessRecord", "end_group", "process_record"]

_log = logging.getLogger(__name__)

_START_TOLERANCE_S = 0.05
"""Start times come from the same clock ticks on both sides; the rest is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process that leads a group of its own, and when it began: a reused pid is recognised."""

    pid: int
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    processes: tuple[ProcessRecord, ...] = ()


def process_record(pid: int) -> ProcessRecord | None:
    """Return the record of a running process, None where it has ended already."""
    try:
        return ProcessRecord(pid=pid, started_at=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def end_group(record: ProcessRecord) -> bool:
    """Kill the process group that ``record`` leads, if that process is still the recorded one.

    Returns
    -------
    bool
        Whether there was something to kill.
    """
    current = process_record(record.pid)
    if current is None or abs(current.started_at - record.started_at) > _START_TOLERANCE_S:
        return False
    try:
        os.killpg(record.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        _log.warning("Process group %d of another user can't be ended.", record.pid)
        return False
    return True


class Ledger:
    """The processes that are to end with the executor, in a small file.

    It outlives a killed server: the next one on the same home ends what is listed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[int, ProcessRecord] = {}

    def add(self, record: ProcessRecord) -> None:
        """Remember a process."""
        self._records[record.pid] = record
        self._save()

    def discard(self, pid: int) -> None:
        """Forget a process that has ended."""
        if self._records.pop(pid, None) is not None:
            self._save()

    def end_all(self) -> int:
        """Kill every process that is listed here or in the file, and forget them all."""
        ended = sum(end_group(record) for record in {*self._records.values(), *self._load()})
        self._records.clear()
        self._save()
        return ended

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

    def _save(self) -> None:
        if not self._records:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            return
        unfinished = self._path.with_suffix(".tmp")
        contents = _Contents(processes=tuple(self._records.values()))
        unfinished.write_bytes(dump_json(encode(contents)))
        unfinished.replace(self._path)
