"""What every test that hurts a home ends with: the doctor finds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from serving import until

from norman_protocol.decoding import decode
from norman_protocol.rest import DoctorReport, Finding
from norman_server.executor.leftovers import Ledger
from norman_server.lease import HomeLease
from norman_server.maintenance import examine_home
from norman_server.storage.home import Home


def examine_offline(home: Path, *, deep: bool = True, repair: bool = False) -> DoctorReport:
    """Examine a home that no server has."""
    lease = HomeLease(home / "server.lock")
    assert lease.try_take(), "a server still has the home"
    try:
        return examine_home(
            Home(root=home), deep=deep, repair=repair, runtime_folder=home / "no-announcements"
        )
    finally:
        lease.release()


def assert_doctor_clean(home: Path, *, besides: str = "") -> None:
    """No server has the home, and nothing is wrong with it but what the next start mends.

    ``besides`` names a check whose findings are the test's own doing, such as a small disk.

    What a killed server started ends by itself, in a moment.
    """
    ledger = Ledger(home / "run" / "processes.json")
    until(lambda: not ledger.running())
    report = examine_offline(home)
    found = worse_than_notes(report)
    assert [one for one in found if one.check != besides] == []


def assert_server_clean(client: httpx.Client, *, besides: str = "") -> None:
    """The server behind a REST client finds nothing at all, once it has cleaned up."""
    answer = client.post("garbage", json={})
    assert answer.status_code == 200, answer.text
    report = ask_doctor(client, deep=1)
    assert [one for one in report.findings if one.check != besides] == []


def ask_doctor(client: httpx.Client, **query: Any) -> DoctorReport:
    answer = client.get("doctor", params=query)
    assert answer.status_code == 200, answer.text
    return decode(DoctorReport, answer.json(), tolerant=True)


def worse_than_notes(report: DoctorReport) -> tuple[Finding, ...]:
    return tuple(one for one in report.findings if one.severity != "note")
