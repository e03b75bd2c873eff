"""Checks of what runs and what ran: processes, sockets, announcements, invocations, journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from norman_server.announcement import is_stale
from norman_server.doctor.findings import Found, Subject, found
from norman_server.domain.records import NO_EXECUTOR
from norman_server.executor.leftovers import Ledger
from norman_server.invocations.service import InvocationLog

__all__ = [
    "check_announcements",
    "check_invocations",
    "check_processes",
    "check_sockets",
]

_CONNECT_S: Final = 2.0


def check_processes(subject: Subject) -> Iterator[Found]:
    """See that nothing runs that a server which was killed left behind."""
    if subject.live is not None:
        return  # its supervisor ended all of them before it began
    ledger = Ledger(subject.home.run / "processes.json")
    for record in ledger.running():
        yield found(
            "processes",
            "error",
            f"Process {record.pid} was left behind by a server that was killed.",
            subject=str(record.pid),
            repair=ledger.end_all,
        )


def check_sockets(subject: Subject) -> Iterator[Found]:
    """See that behind each socket somebody listens."""
    for path in sorted(subject.home.run.glob("*.sock")):
        if not _answers(path):
            yield found(
                "sockets",
                "error" if subject.live is not None else "note",
                f"Nobody listens on {path.name}.",
                subject=path.name,
                repair=partial(path.unlink, missing_ok=True) if subject.live is None else None,
                advice="" if subject.live is None else "Restart the server.",
            )


def _answers(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(_CONNECT_S)
    with contextlib.closing(probe):
        try:
            probe.connect(str(path))
        except TimeoutError:
            return True  # its queue is full: somebody is there
        except OSError:
            return False
    return True


def check_announcements(subject: Subject) -> Iterator[Found]:
    """See that every server that announces itself runs, and that its token is private."""
    for path in sorted(subject.runtime_folder.glob("norman-*.json")):
        try:
            mode = path.stat().st_mode & 0o777
            contents = json.loads(path.read_text())
        except (OSError, ValueError):
            yield found(
                "announcements",
                "warning",
                f"The announcement {path.name} can't be read.",
                subject=path.name,
                repair=partial(path.unlink, missing_ok=True),
            )
            continue
        if is_stale(contents):
            yield found(
                "announcements",
                "note",
                f"{path.name} announces a server that has ended.",
                subject=path.name,
                repair=partial(path.unlink, missing_ok=True),
            )
        elif mode & 0o077:
            yield found(
                "announcements",
                "error",
                f"{path.name} holds a token and is open to others (mode {mode:o}).",
                subject=path.name,
                advice="Restart that server afterwards: it makes a new token.",
                repair=partial(path.chmod, 0o600),
            )


def check_invocations(subject: Subject) -> Iterator[Found]:
    """See that calls whose executor is gone have an end, and that the journal was sound."""
    storage = subject.storage
    if storage is None:
        return
    known = {NO_EXECUTOR}
    if subject.live is not None and subject.live.executor_id is not None:
        known.add(subject.live.executor_id)
    open_executors = storage.invocations.read_now(lambda rows: set(rows.open_executors()))
    for executor_id in sorted(open_executors - known):
        yield found(
            "invocations",
            "error" if subject.live is not None else "note",
            f"Calls of the executor {executor_id[:12]}…, which is gone, have no end.",
            subject=executor_id,
            advice="The next start of a server ends them." if subject.live is None else "",
            repair=None
            if subject.live is not None
            else lambda: asyncio.run(InvocationLog(storage).recover()),
        )
    for path in sorted(subject.home.journal.glob("*.corrupt")):
        yield found(
            "invocations",
            "warning",
            f"A part of the journal ({path.name}) was damaged; what could be read is recorded.",
            subject=path.name,
            advice="It is kept for whoever wants to look at it; remove it when nobody does.",
        )
