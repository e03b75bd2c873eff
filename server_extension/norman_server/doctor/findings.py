"""What a check looks at, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from norman_protocol.rest import Finding, Severity
from norman_server.storage.home import Home
from norman_server.storage.opening import Storage

__all__ = ["Check", "Found", "Live", "Subject", "found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The server that examines its own home."""

    executor_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is examined.

    Attributes
    ----------
    storage
        None where the databases can't be opened.
    live
        None where no server runs on the home.
    runtime_folder
        Where servers announce themselves.
    deep
        Read everything, also what takes long.
    keep_backups
        How many backups stay when one is made.
    """

    home: Home
    storage: Storage | None
    live: Live | None
    runtime_folder: Path
    deep: bool = False
    keep_backups: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding and how it is mended; None where only a person can."""

    finding: Finding
    repair: Callable[[], object] | None = None


Check: TypeAlias = Callable[[Subject], Iterator[Found]]
"""Looks at one kind of thing. What it yields is gathered before anything is mended."""


def found(
    check: str,
    severity: Severity,
    message: str,
    *,
    subject: str = "",
    advice: str = "",
    repair: Callable[[], object] | None = None,
) -> Found:
    """Make a finding.

    Parameters
    ----------
    check
        Name of the check.
    message
        What is wrong, as a sentence.
    subject
        What it is wrong with: a path in the home, a version, a process.
    advice
        What a person does about it.
    """
    finding = Finding(
        check=check,
        severity=severity,
        subject=subject,
        message=message,
        advice=advice,
        repairable=repair is not None,
    )
    return Found(finding=finding, repair=repair)
