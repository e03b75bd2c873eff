"""``norman doctor`` and ``norman restore`` on a home that no server has: in this process."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir

from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import Conflict, NormanError
from norman_protocol.rest import DoctorReport
from norman_server.lease import HomeLease
from norman_server.storage.home import Home

if TYPE_CHECKING:
    from norman_server.storage.opening import Storage

__all__ = ["examine_home", "main"]

_LEASE_WAIT_S: Final = 30.0
_LEASE_POLL_S: Final = 0.1
CLEAN, FINDINGS, FAILED = 0, 1, 2
"""Exit statuses: all is well, something isn't, it could not be found out."""


def main(arguments: Sequence[str]) -> int:
    """Run ``doctor`` or ``restore`` with its options; returns the exit status."""
    options = _parser().parse_args(arguments)
    home = Home(root=Path(options.home or Path(jupyter_data_dir(), "norman")).expanduser())
    verb: Callable[[argparse.Namespace, Home], int] = options.verb
    if not home.root.is_dir():
        sys.stderr.write(f"norman: there is no home at {home.root}. Give it: --home FOLDER\n")
        return FAILED
    try:
        return verb(options, home)
    except NormanError as error:
        sys.stderr.write(f"norman: {error.message}\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="norman", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    doctor = verbs.add_parser("doctor", help="check that everything of a home fits together")
    doctor.add_argument("--repair", action="store_true", help="mend what is safe to mend")
    doctor.add_argument("--deep", action="store_true", help="read every stored byte")
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    doctor.set_defaults(verb=_doctor)
    restore = verbs.add_parser("restore", help="put a backup in the place of a damaged database")
    restore.add_argument("backup", nargs="?", help="name of a backup; by default the newest")
    restore.add_argument("--list", action="store_true", help="only list the backups")
    restore.set_defaults(verb=_restore)
    for one in (doctor, restore):
        one.add_argument("--home", help="the server's home; by default that of this user")
    return parser


@contextmanager
def _held(home: Home) -> Iterator[None]:
    """Hold the home, as a server does.

    Raises
    ------
    Conflict
        A server has it.
    """
    lease = HomeLease(home.root / "server.lock")
    deadline = time.monotonic() + _LEASE_WAIT_S
    # A server that can't start has it for moments only.
    while not lease.try_take():
        if time.monotonic() > deadline:
            raise Conflict(
                f"A server (process {lease.holder() or 'unknown'}) has the home {home.root}. Stop "
                "it first; or ask it, in a notebook: %norman doctor",
                name=str(home.root),
            )
        time.sleep(_LEASE_POLL_S)
    try:
        yield
    finally:
        lease.release()


def _doctor(options: argparse.Namespace, home: Home) -> int:
    with _held(home):
        report = examine_home(home, repair=options.repair, deep=options.deep)
    if options.json:
        sys.stdout.write(dump_json(encode(report)).decode() + "\n")
    else:
        sys.stdout.write(_text(report))
    return FINDINGS if report.needs_care else CLEAN


def examine_home(
    home: Home, *, repair: bool = False, deep: bool = False, runtime_folder: Path | None = None
) -> DoctorReport:
    """Examine a home that this process holds; what can't be opened is among the findings."""
    from norman_server.doctor.findings import Subject
    from norman_server.doctor.service import examine

    storage = _open(home)
    try:
        subject = Subject(
            home=home,
            storage=storage,
            live=None,
            runtime_folder=runtime_folder or Path(jupyter_runtime_dir()),
            deep=deep,
        )
        return examine(subject, repair=repair)
    finally:
        if storage is not None:
            storage.close()


def _open(home: Home) -> Storage | None:
    from norman_server.storage.opening import open_storage

    try:
        return open_storage(home.root)
    except NormanError as error:
        sys.stderr.write(f"norman: {error.message}\n")
        return None


def _text(report: DoctorReport) -> str:
    lines = []
    for one in report.findings:
        state = "mended" if one.repaired else "can be mended: --repair" if one.repairable else ""
        lines.append(f"{one.severity:8}{one.check:14}{one.message}")
        lines += [f"{'':22}{more}" for more in (one.advice, state) if more]
    if not report.findings:
        lines.append(f"All is well: {', '.join(report.checks)}.")
    return "\n".join(lines) + "\n"


def _restore(options: argparse.Namespace, home: Home) -> int:
    from norman_server.storage.backups import list_backups, restore_databases

    if options.list:
        backups = [
            one for name in ("norman.db", "invocations.db") for one in list_backups(home, name)
        ]
        for one in backups:
            size = f"{one.size_bytes / 1e6:.1f} MB"
            sys.stdout.write(f"{one.path.name}  {one.made_at:%Y-%m-%d %H:%M:%S} UTC  {size}\n")
        if not backups:
            sys.stdout.write("There are no backups.\n")
        return CLEAN
    with _held(home):
        restored = restore_databases(home, options.backup)
        for done in restored:
            aside = "" if done.aside is None else f" The damaged file is kept: {done.aside.name}."
            if done.backup is None:
                what = "There is no sound backup; the next start begins an empty one"
            else:
                what = f"In its place is {done.backup.path.name}"
            sys.stdout.write(f"{done.database}: {done.damage}. {what}.{aside}\n")
        if not restored:
            sys.stdout.write("The databases are sound; nothing was changed.\n")
            return CLEAN
        report = examine_home(home, repair=True)
    sys.stdout.write(
        "What was published since then can be uploaded again at once: its files are still here.\n"
    )
    sys.stdout.write(_text(report))
    return CLEAN
