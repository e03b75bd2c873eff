"""Entries of the journal into changes: each call begins once and ends once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storing import accepted, ended

from norman_protocol.values import Value
from norman_server.invocations.folding import fold, interruption

VALUES = {"x": Value(kind="text", buffer=b"hi")}


def folded(*entries, states=None):
    return fold(entries, executor_id="executor", states=states or {})


def test_a_call_that_begins_is_added_as_queued():
    (record,) = folded(accepted("a", values=VALUES)).added
    assert (record.id, record.state, record.end) == ("a", "queued", None)
    assert record.inputs == VALUES
    assert record.accepted_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert (record.caller.user, record.caller.kernel_id) == ("ada", "kernel-1")
    assert record.executor_id == "executor"


def test_a_call_that_begins_and_ends_in_one_group_is_added_ended():
    (record,) = folded(accepted("a"), ended("a", values=VALUES, logs="printed")).added
    assert record.state == "succeeded"
    assert record.inputs is None
    assert record.end is not None
    assert (record.end.outputs, record.end.logs, record.end.output_bytes) == (VALUES, "printed", 2)
    assert record.end.timings.model_s == 0.5


def test_the_end_of_a_recorded_call_is_a_change():
    changes = folded(ended("a", "failed", error_code="model_failed"), states={"a": "queued"})
    assert changes.added == ()
    assert changes.ended["a"].state == "failed"
    assert changes.ended["a"].error_details == {"exception": "ValueError"}


@pytest.mark.parametrize("state", ["succeeded", "interrupted", "failed"])
def test_a_call_that_has_ended_stays_as_it_is(state):
    changes = folded(accepted("a"), ended("a"), states={"a": state})
    assert (changes.added, dict(changes.ended), changes.strays) == ((), {}, 0)


def test_the_first_of_two_ends_counts():
    (record,) = folded(accepted("a"), ended("a", "failed"), ended("a", "succeeded")).added
    assert record.state == "failed"
    changes = folded(ended("a", "failed"), ended("a", "succeeded"), states={"a": "queued"})
    assert changes.ended["a"].state == "failed"


def test_an_end_that_is_no_end_changes_nothing():
    (record,) = folded(accepted("a"), ended("a", "running")).added
    assert (record.state, record.end) == ("queued", None)


def test_an_end_without_a_beginning_is_a_stray():
    changes = folded(ended("a"), ended("b"))
    assert (changes.added, dict(changes.ended), changes.strays) == ((), {}, 2)


def test_an_interruption_is_an_end_with_a_reason():
    end = interruption(datetime(2026, 1, 1, tzinfo=UTC))
    assert (end.state, end.error_code, end.outputs) == ("interrupted", "interrupted", None)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12), st.data())
def test_groups_may_be_cut_anywhere(steps, data):
    """Folding in two groups records the same as folding in one."""
    entries = [accepted(key) if begins else ended(key) for key, begins in steps]
    cut = data.draw(st.integers(0, len(entries)))

    def outcome(*groups):
        states: dict[str, str] = {}
        for group in groups:
            changes = fold(group, executor_id="e", states=dict(states))
            states |= {record.id: record.state for record in changes.added}
            states |= {key: end.state for key, end in changes.ended.items()}
        return states

    assert outcome(entries[:cut], entries[cut:]) == outcome(entries)
