"""The doctor: runs every check, and mends what is safe to mend."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from norman_protocol.errors import NormanError
from norman_protocol.rest import DoctorReport, Finding
from norman_server.doctor.contents import check_blobs, check_orphans, check_trees, check_versions
from norman_server.doctor.findings import Check, Found, Subject, found
from norman_server.doctor.places import (
    check_backups,
    check_databases,
    check_disk,
    check_folders,
)
from norman_server.doctor.running import (
    check_announcements,
    check_invocations,
    check_processes,
    check_sockets,
)

__all__ = ["CHECKS", "examine"]

_log = logging.getLogger(__name__)
_FAULTS: Final = (NormanError, OSError, sqlite3.Error)

CHECKS: Final[Mapping[str, Check]] = {
    "folders": check_folders,
    "disk": check_disk,
    "databases": check_databases,
    "backups": check_backups,
    "blobs": check_blobs,
    "orphans": check_orphans,
    "trees": check_trees,
    "versions": check_versions,
    "processes": check_processes,
    "sockets": check_sockets,
    "announcements": check_announcements,
    "invocations": check_invocations,
}
"""In the order in which they are run: what others rest on comes first."""


def examine(subject: Subject, *, repair: bool = False) -> DoctorReport:
    """Run every check. Synchronous, and slow on a large home: call it in a thread.

    Parameters
    ----------
    repair
        Mend what can be mended without losing anything.
    """
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        items = _run(name, check, subject)
        findings.extend(_mend(item) if repair else item.finding for item in items)
    return DoctorReport(checks=tuple(CHECKS), findings=tuple(findings), deep=subject.deep)


def _run(name: str, check: Check, subject: Subject) -> list[Found]:
    items: list[Found] = []
    try:
        items.extend(check(subject))  # what came before a failure stays
    except _FAULTS as error:
        _log.exception("the check of %s failed", name)
        items.append(found(name, "error", f"This can't be checked: {_reason(error)}"))
    return items


def _mend(item: Found) -> Finding:
    if item.repair is None:
        return item.finding
    try:
        item.repair()
    except _FAULTS as error:
        _log.exception("%s can't be mended", item.finding.subject)
        return replace(item.finding, advice=f"It could not be mended: {_reason(error)}")
    return replace(item.finding, repaired=True)


def _reason(error: Exception) -> str:
    if isinstance(error, NormanError):
        return error.message
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
