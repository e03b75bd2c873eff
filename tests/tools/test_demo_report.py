from __future__ import annotations

import pytest

from norman_protocol.messages import Caller, Timings
from norman_protocol.rest import InvocationSummary, VersionSummary
from tools.demo.report import Claim, describe_calls, describe_versions, unmet_claims


def _version(number: int, **changes) -> VersionSummary:
    facts = {
        "reference": f"digits@{number}",
        "name": "digits",
        "number": number,
        "state": "ready",
        "active": number == 2,
        "label": None,
        "runtime": "onnx",
        "size_bytes": 12345,
        "created_at": "2026-01-01T00:00:00Z",
        "created_by": "ada",
    }
    return VersionSummary(**(facts | changes))


def _call(number: int, **changes) -> InvocationSummary:
    facts = {
        "id": f"call-{number}",
        "reference": f"digits@{number}",
        "version_id": "v",
        "state": "succeeded",
        "caller": Caller(user="ada"),
        "accepted_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:01Z",
        "timings": Timings(queue_s=0.001, model_s=0.002, total_s=0.004),
        "input_bytes": 1,
        "output_bytes": 1,
        "error_code": None,
    }
    return InvocationSummary(**(facts | changes))


CLAIM = Claim(name="digits", versions=2, active=2)
VERSIONS = [_version(1), _version(2)]
CALLS = [_call(1), _call(2)]


def test_records_that_agree_leave_no_claim_unmet():
    assert unmet_claims([CLAIM], VERSIONS, CALLS) == []


@pytest.mark.parametrize(
    ("versions", "calls", "told"),
    [
        (VERSIONS[:1], CALLS, "ready versions"),
        ([VERSIONS[0], _version(2, state="failed")], CALLS, "ready versions"),
        ([_version(1, active=True), _version(2, active=False)], CALLS, "active version"),
        (VERSIONS, [_call(1), _call(2, state="failed")], "No successful call of digits@2"),
        (VERSIONS, [*CALLS, _call(2, id="lost", ended_at=None, state="running")], "lost"),
    ],
)
def test_records_that_differ_are_told(versions, calls, told):
    unmet = unmet_claims([CLAIM], versions, calls)
    assert unmet
    assert told in " ".join(unmet)


def test_calls_are_summed_up_per_version():
    text = describe_calls([_call(1), _call(2), _call(2, state="failed", timings=None)])

    head, first, second = (line.split() for line in text.splitlines())
    assert head[:3] == ["version", "calls", "failed"]
    assert first == ["digits@1", "1", "0", "4.00", "ms", "2.00", "ms", "1.00", "ms"]
    assert second[:3] == ["digits@2", "2", "1"]


def test_versions_show_state_and_size():
    text = describe_versions([_version(2, label="better")])
    assert "digits@2" in text
    assert "ready, active" in text
    assert "12,345 B" in text
    assert "better" in text
