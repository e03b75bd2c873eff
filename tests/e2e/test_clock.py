"""The clock is set two hours on and back, while a server runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctoring import assert_doctor_clean, assert_server_clean
from serving import serve, upload

from norman_jupyter import BlockingNorman

pytestmark = pytest.mark.timeout(120)

MODEL = b"def predict(x: int) -> int:\n    return x + 1\n"


@pytest.fixture
def set_clock(tmp_path, monkeypatch):
    """Have the processes that are started from now on live by a clock that can be set."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    clock = tmp_path / "clock"

    def set_to(offset: str) -> None:
        unfinished = tmp_path / "clock.tmp"
        unfinished.write_text(offset)
        unfinished.replace(clock)

    set_to("+0s")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(clock))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("FAKETIME_DONT_RESET", "1")
    return set_to


@pytest.mark.parametrize("offsets", [("+2h", "-2h"), ("-2h", "+2h")])
def test_a_clock_that_is_set_loses_nothing(tmp_path, set_clock, monkeypatch, offsets):
    root = tmp_path / "root"
    with serve(root) as server, server.client() as client:
        monkeypatch.delenv("LD_PRELOAD")  # a kernel on another clock than the server's
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(root / "runtime"))
        ids = []
        for number, offset in enumerate(("+0s", *offsets), start=1):
            set_clock(offset)
            found = upload(client, "m", {"model.py": MODEL + b"#" * number}, trust=True)
            assert (found["state"], found["number"], found["active"]) == ("ready", number, True)
            # Looked for anew each time, by a process that another clock times.
            with BlockingNorman() as norman:
                ids.append(norman.invoke("m", x=number).id)
                assert norman.invoke("m", x=1, timeout_s=20).value == 2
            headers = {"Idempotency-Key": f"key {number}"}
            body = {"reference": "m", "inputs": {"x": 1}}
            answers = [
                client.post("invocations", json=body, headers=headers).json()["id"]
                for _ in range(2)
            ]
            assert answers[0] == answers[1]
        history = client.get("models/m/history").json()["items"]
        assert [item["after"] for item in history] == [3, 2, 1]
        assert client.post("models/m/aliases/active/rollback", json={}).json()["after"] == 2
        listed, cursor = [], None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = client.get("invocations", params=query).json()
            listed += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(set(listed)) == len(listed) == 9
        assert set(ids) <= set(listed)
        assert_server_clean(client)
    assert_doctor_clean(server.home)
