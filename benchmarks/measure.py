"""Measure rows in interleaved rounds, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Call", "Measurement", "Plan", "Row", "measure", "summarise"]

Call: TypeAlias = Callable[[], NDArray[Any]]
"""One call of the model from the client's side; returns its scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to the model.

    Attributes
    ----------
    open
        Connects and gives the call; leaving the context disconnects.
    """

    name: str
    open: Callable[[], AbstractContextManager[Call]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often each row is called."""

    warmup_calls: int = 300
    rounds: int = 20
    calls_per_round: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Latencies of one row over all rounds, in milliseconds.

    Attributes
    ----------
    lowest_p50_ms, highest_p50_ms
        Lowest and highest median of a single round: how far to trust the digits.
    """

    name: str
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    calls_per_s: float
    lowest_p50_ms: float
    highest_p50_ms: float


def measure(
    rows: Sequence[Row],
    plan: Plan,
    *,
    expected: NDArray[np.float32],
    announce: Callable[[str], None],
) -> list[Measurement]:
    """Open all rows, check that each gives the same answer, and call them in turn.

    Raises
    ------
    AssertionError
        A row's answer differs from ``expected`` by more than 1e-5.
    """
    with ExitStack() as stack:
        calls = {row.name: stack.enter_context(row.open()) for row in rows}
        for name, call in calls.items():
            np.testing.assert_allclose(call(), expected, atol=1e-5, err_msg=name)
            for _ in range(plan.warmup_calls):
                call()
        rounds: dict[str, list[list[int]]] = {name: [] for name in calls}
        for number in range(plan.rounds):
            announce(f"round {number + 1} of {plan.rounds}")
            for name, call in calls.items():
                rounds[name].append(_time_calls(call, plan.calls_per_round))
    return summarise(rounds)


def _time_calls(call: Call, count: int) -> list[int]:
    clock = time.perf_counter_ns
    durations_ns = []
    for _ in range(count):
        began = clock()
        call()
        durations_ns.append(clock() - began)
    return durations_ns


def summarise(rounds: Mapping[str, Sequence[Sequence[int]]]) -> list[Measurement]:
    """Turn each row's rounds of durations in nanoseconds into its percentiles."""
    measurements = []
    for name, durations in rounds.items():
        milliseconds = np.concatenate([np.asarray(one) for one in durations]) / 1e6
        p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
        medians = [statistics.median(one) / 1e6 for one in durations]
        measurements.append(
            Measurement(
                name=name,
                calls=len(milliseconds),
                p50_ms=float(p50),
                p95_ms=float(p95),
                p99_ms=float(p99),
                calls_per_s=float(1000 * len(milliseconds) / milliseconds.sum()),
                lowest_p50_ms=min(medians),
                highest_p50_ms=max(medians),
            )
        )
    return measurements
