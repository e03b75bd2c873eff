"""Which state may follow which."""

from __future__ import annotations

import doctest
import itertools
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest

from norman_protocol.errors import Conflict
from norman_protocol.messages import InvocationState, VersionState
from norman_server.domain import records, states
from norman_server.domain.records import format_time
from norman_server.domain.states import (
    INVOCATION_FOLLOWERS,
    OPEN_INVOCATION_STATES,
    VERSION_FOLLOWERS,
    check_version_move,
    invocation_ends,
    version_sources,
)


def test_every_state_of_the_protocol_has_its_followers():
    assert set(VERSION_FOLLOWERS) == set(get_args(VersionState))
    assert set(INVOCATION_FOLLOWERS) == set(get_args(InvocationState))


def test_an_invocation_ends_once_and_stays_ended():
    terminal = set(INVOCATION_FOLLOWERS) - OPEN_INVOCATION_STATES
    assert terminal == {"succeeded", "failed", "cancelled", "timed_out", "interrupted"}
    for current, target in itertools.product(INVOCATION_FOLLOWERS, repeat=2):
        expected = current in {"queued", "running"} and target in terminal
        assert invocation_ends(current, target) is expected, (current, target)


@pytest.mark.parametrize(
    ("current", "target", "allowed"),
    [
        ("loading", "ready", True),
        ("loading", "failed", True),
        ("failed", "loading", True),
        ("failed", "ready", False),
        ("ready", "failed", False),
        ("ready", "loading", False),
        ("ready", "ready", False),
    ],
)
def test_a_version_moves_only_along_its_states(current, target, allowed):
    assert (current in version_sources(target)) is allowed
    if allowed:
        check_version_move("digits@1", current, target)
    else:
        with pytest.raises(Conflict, match="digits@1") as caught:
            check_version_move("digits@1", current, target)
        assert caught.value.name == "digits@1"


def test_times_are_written_in_utc():
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    assert format_time(datetime(2026, 1, 1, 5, 30, tzinfo=elsewhere)) == (
        "2026-01-01T00:00:00.000000Z"
    )
    assert format_time(datetime.fromisoformat("2026-01-01T00:00:00.5Z")).endswith(".500000Z")
    assert datetime.fromisoformat(format_time(datetime.now(UTC))).tzinfo is not None


@pytest.mark.parametrize("module", [records, states])
def test_the_examples_hold(module):
    assert doctest.testmod(module).failed == 0
