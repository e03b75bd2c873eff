from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.measure import Plan, Row, measure, summarise

EXPECTED = np.array([1.0, 2.0], np.float32)


def _row(name, journal, answer=EXPECTED):
    @contextmanager
    def opened():
        def call():
            journal.append(name)
            return answer

        try:
            yield call
        finally:
            journal.append(f"{name} closed")

    return Row(name=name, open=opened)


def test_rows_are_called_in_turn_and_closed():
    journal = []
    plan = Plan(warmup_calls=0, rounds=2, calls_per_round=2)

    measured = measure(
        [_row("a", journal), _row("b", journal)], plan, expected=EXPECTED, announce=journal.append
    )

    assert journal == [
        *["a", "b"],  # the answers are checked first
        *["round 1 of 2", "a", "a", "b", "b"],
        *["round 2 of 2", "a", "a", "b", "b"],
        *["b closed", "a closed"],
    ]
    assert [(row.name, row.calls) for row in measured] == [("a", 4), ("b", 4)]


def test_a_row_that_answers_something_else_is_refused():
    journal = []
    rows = [_row("right", journal), _row("wrong", journal, EXPECTED + 1)]

    with pytest.raises(AssertionError, match="wrong"):
        measure(rows, Plan(), expected=EXPECTED, announce=journal.append)

    assert journal[-2:] == ["wrong closed", "right closed"]


def test_percentiles_run_over_all_rounds():
    (row,) = summarise({"a": [[1_000_000, 2_000_000, 3_000_000], [5_000_000] * 3]})

    assert row.calls == 6
    assert row.p50_ms == pytest.approx(4.0)
    assert row.p99_ms == pytest.approx(5.0)
    assert row.calls_per_s == pytest.approx(1000 * 6 / 21)
    assert (row.lowest_p50_ms, row.highest_p50_ms) == (2.0, 5.0)
