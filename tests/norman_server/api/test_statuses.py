"""The table from error to status, and memory for bodies."""

from __future__ import annotations

import pytest

from norman_protocol import errors
from norman_protocol.errors import ExecutorUnavailable, QueueFull
from norman_server.api.services import ApiLimits, BodyBudget, ServiceSlot, retry_after
from norman_server.api.statuses import STATUSES, error_body, status_of

_CLASSES = [
    cls
    for name in errors.__all__
    if isinstance(cls := getattr(errors, name), type) and cls is not errors.NormanError
]


def test_every_error_has_a_status():
    assert set(STATUSES) == set(_CLASSES)


@pytest.mark.parametrize("cls", _CLASSES)
def test_status_is_one_of_an_error(cls):
    assert 400 <= status_of(cls("…")) <= 599


def test_body_carries_code_facts_and_request():
    error = errors.ModelNotFound("There is no model 'a'.", name="a", nearest=["b"])
    body = error_body(error, "r1")
    assert (body.code, body.message, body.request_id) == ("model_not_found", error.message, "r1")
    assert body.details == {"name": "a", "nearest": ["b"]}


@pytest.mark.parametrize(("seconds", "header"), [(0.1, "1"), (1.0, "1"), (1.5, "2"), (60, "60")])
def test_retry_after_is_whole_seconds_and_never_zero(seconds, header):
    assert retry_after(QueueFull("busy", retry_after_s=seconds)) == header
    assert retry_after(errors.InternalError("…")) is None


def test_budget_refuses_what_does_not_fit_beside_others():
    budget = BodyBudget(100)
    budget.take(60)
    with pytest.raises(QueueFull):
        budget.take(41)
    budget.take(40)
    budget.give_back(100)
    budget.take(150)  # alone, one that has passed its own bound is always taken
    budget.give_back(150)
    budget.take(100)


def test_slot_says_why_there_are_no_services():
    slot = ServiceSlot(token="t", user="me", limits=ApiLimits())
    with pytest.raises(ExecutorUnavailable, match="starting"):
        _ = slot.services
    slot.empty("The disk is gone.")
    with pytest.raises(ExecutorUnavailable, match="The disk is gone"):
        _ = slot.services
