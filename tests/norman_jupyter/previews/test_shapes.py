"""Scores with bars, batches as tables, JSON as a tree: small, escaped, and right in a terminal."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from norman_jupyter import InvokeResult
from norman_jupyter.previews import render_result

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HOSTILE = "\"><script>alert(1)</script><a href='javascript:alert(1)'>"


def shown(value, labels=()) -> tuple[str, str]:
    result = InvokeResult(
        outputs={"y": value}, id="i", version="m@1", latency_ms=1.0, labels={"y": labels}
    )
    bundle = render_result(result)
    return bundle["text/plain"], bundle["text/html"]


def cells(html: str) -> list[list[str]]:
    """What stands in the rows of the table."""
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", html)
    ]


def widths(html: str) -> list[float]:
    return [float(width) for width in re.findall(r";width:([\d.]+)%", html)]


# --- scores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10,), (1, 10)])
def test_scores_of_known_classes_get_bars_the_best_first(shape):
    scores = np.full(10, 0.005, np.float32)
    scores[7], scores[1], scores[9] = 0.9, 0.05, 0.03
    text, html = shown(scores.reshape(shape), DIGITS)
    lines = text.split("\n")
    assert lines[1].split() == ["seven", "0.9", "█" * 22]
    assert [line.split()[0] for line in lines[2:6]] == ["one", "nine", "zero", "two"]
    assert lines[6] == "  … 5 more classes"
    table = cells(html)
    assert table[0] == ["class", "score", ""]
    assert table[1][:2] == ["seven", "0.9"]
    assert widths(html) == [90, 5, 3, 0.5, 0.5]
    assert 'scope="row"' in html
    assert 'aria-hidden="true"' in html


def test_scores_below_zero_reach_from_the_least_to_the_greatest():
    _, html = shown(np.array([-10.0, 10.0, 0.0]), ("a", "b", "c"))
    assert [row[0] for row in cells(html)[1:]] == ["b", "c", "a"]
    assert widths(html) == [100, 50, 0]


@pytest.mark.parametrize(
    "scores",
    [
        [np.nan] * 3,
        [np.inf, -np.inf, np.nan],
        [5, 5, 5],
        [1.7e308, -1.7e308, 0],
        np.array([1, 2, 3], np.uint8),
        np.array([1, 2, 3], np.float16),
    ],
    ids=range(6),
)
def test_odd_scores_are_shown(scores):
    text, html = shown(np.array(scores), ("a", "b", "c"))
    assert len(cells(html)) == 4
    assert all(0 <= width <= 100 for width in widths(html))
    assert "nan%" not in html
    assert len(text.split("\n")) == 5


def test_scores_of_a_batch_are_a_table_of_the_best():
    text, html = shown(np.eye(10, dtype=np.float32).repeat(5, 0), DIGITS)
    assert cells(html)[0] == ["row", "best", "second", "third"]
    assert cells(html)[6][:2] == ["5", "one 1"]
    assert len(cells(html)) == 11
    assert "… 40 more rows" in html
    assert text.split("\n")[-2] == "  … 40 more rows"


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (np.zeros(10), DIGITS[:9]),
        (np.zeros((2, 2, 10)), DIGITS),
        (np.array(list("abcdefghij"), object), DIGITS),
        (np.zeros((0, 10)), DIGITS),
        ("text", DIGITS),
        (np.float32(1), DIGITS),
        (np.zeros(10), ()),
    ],
    ids=range(7),
)
def test_labels_that_do_not_fit_are_passed_over(value, labels):
    text, _ = shown(value, labels)
    assert "seven" not in text


def test_hostile_labels_are_escaped():
    _, html = shown(np.array([0.1, 0.9]), (HOSTILE, HOSTILE + "\x1b[31m\n"))
    assert "<script" not in html
    assert "<a " not in html
    assert "\x1b" not in html
    _, html = shown(np.ones((4, 2)), (HOSTILE, HOSTILE))
    assert "<script" not in html


def test_a_hundred_thousand_labels_stay_small():
    labels = tuple(map(str, range(100_000)))
    text, html = shown(np.arange(100_000.0), labels)
    assert "99999" in text
    assert len(html) < 4000


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.bool_, np.complex64]),
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=12),
    ),
    st.lists(st.text(max_size=5), max_size=12),
)
def test_any_array_with_any_labels_is_shown(array, labels):
    _, html = shown(array, labels)
    assert len(html) < 20_000


# --- batches --------------------------------------------------------------------------------------


def test_batch_is_a_table_with_heads_and_counts_what_it_leaves_out():
    text, html = shown(np.arange(5000 * 20, dtype=np.float32).reshape(5000, 20))
    table = cells(html)
    assert table[0] == ["", *map(str, range(12))]
    assert table[1] == ["0", *map(str, range(12))]
    assert table[10][:2] == ["9", "180"]
    assert "… 4,990 more rows, 8 more columns" in html
    assert "max 1e+05" in html
    assert html.count('scope="col"') == 12
    assert html.count('scope="row"') == 10
    assert "float32[5000, 20]" in text


def test_columns_of_a_batch_have_their_labels():
    _, html = shown(np.array([["a", "b"], ["c", "d"]], object), ("first", HOSTILE))
    assert cells(html)[0][:2] == ["", "first"]
    assert cells(html)[2] == ["1", "&#x27;c&#x27;", "&#x27;d&#x27;"]
    assert "<script" not in html


def test_records_are_a_table():
    records = [{"label": f"<{i}>", "score": i / 7, "note": "x" * 300} for i in range(500)]
    text, html = shown(records)
    table = cells(html)
    assert table[0] == ["", "label", "score", "note"]
    assert table[2][:3] == ["1", "&quot;&lt;1&gt;&quot;", "0.14285714285714285"]
    assert len(table) == 11
    assert "… 490 more rows" in html
    assert len(html) < 10_000
    assert text.startswith("y (json, 500 items):")


def test_hostile_keys_of_records_are_escaped():
    _, html = shown([{HOSTILE: HOSTILE * 3, "": None}] * 30)
    assert "<script" not in html
    assert "<a " not in html


# --- trees ----------------------------------------------------------------------------------------


def test_json_is_a_tree_whose_upper_branches_are_open():
    value = {"found": [{"box": {"at": [1, 2], "name": "x" * 80}, "deep": {"er": "y" * 90}}]}
    text, html = shown(value)
    assert '"box"' in text
    summaries = re.findall(r"<details[^>]*?( open)?><summary[^>]*>([^<]*)</summary>", html)
    assert summaries == [
        (" open", "1 key"),
        (" open", "found: 1 item"),
        ("", "0: 2 keys"),
        ("", "box: 2 keys"),
        ("", "deep: 1 key"),
    ]
    assert "at: <code" in html


def test_wide_and_deep_trees_are_cut():
    wide = {f"key {i}": {f"inner {j}": "z" * 70 for j in range(50)} for i in range(50)}
    _, html = shown(wide)
    assert "… 38 more" in html
    assert len(html) < 40_000
    deep: dict[str, object] = {}
    for _ in range(1000):
        deep = {"in": deep, "side": "w" * 70}
    _, html = shown(deep)
    assert html.count("<details") == 6
    assert "in: 2 keys …" in html


def test_hostile_json_is_escaped():
    value = {HOSTILE: {HOSTILE: [HOSTILE * 2, {"a": HOSTILE}]}, "link": "javascript:alert(1)" * 5}
    _, html = shown(value)
    assert "<script" not in html
    assert "<a " not in html
    assert "href" not in html.replace("href=&#x27;", "")
