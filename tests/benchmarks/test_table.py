from __future__ import annotations

import pytest

from benchmarks.load_time import LoadTime
from benchmarks.measure import Measurement
from benchmarks.rows import FAST_PATH, FASTAPI_ROWS, REST, TUNED_ROW
from benchmarks.table import Report, render, replace_section, verdicts


def _report(fast_ms: float, rest_ms: float, load_ms: float) -> Report:
    p50_ms = {FAST_PATH: fast_ms, REST: rest_ms, FASTAPI_ROWS[0]: 0.5, FASTAPI_ROWS[1]: 0.9}
    p50_ms[TUNED_ROW] = 0.4
    return Report(
        machine="a machine",
        measurements=[
            Measurement(
                name=name,
                calls=1000,
                p50_ms=value,
                p95_ms=value,
                p99_ms=value,
                calls_per_s=1000 / value,
                lowest_p50_ms=value,
                highest_p50_ms=value,
            )
            for name, value in p50_ms.items()
        ],
        load_time=LoadTime(runs=3, bare_ms=400, loaded_ms=400 + load_ms, difference_ms=load_ms),
    )


def test_ratios_are_to_the_faster_client_of_the_reference():
    table = render(_report(0.25, 1.0, 40))

    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if "| Norman" in line}
    assert rows[FAST_PATH].endswith("| 0.50 | 0.62 |")
    assert rows[REST].endswith("| 2.00 | 2.50 |")


def test_each_missed_aim_is_told():
    reached = verdicts(_report(0.25, 1.0, 40))
    missed = verdicts(_report(0.75, 2.0, 400))

    assert all(line.startswith("reached") for line in reached)
    assert all(line.startswith("MISSED") for line in missed)
    assert len(reached) == len(missed) == 5


def test_the_table_replaces_the_older_one_only():
    text = "before\n<!-- benchmark:begin -->\nold\n<!-- benchmark:end -->\nafter\n"
    once = replace_section(text, "new\n")
    assert once == "before\n<!-- benchmark:begin -->\nnew\n<!-- benchmark:end -->\nafter\n"
    assert replace_section(once, "new\n") == once


@pytest.mark.parametrize(
    "text",
    ["no markers", "<!-- benchmark:end --><!-- benchmark:begin -->", "<!-- benchmark:begin -->"],
)
def test_a_document_without_its_markers_is_refused(text):
    with pytest.raises(ValueError, match="once each"):
        replace_section(text, "new\n")
