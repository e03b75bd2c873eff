"""What may be mapped over, read as rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from norman_jupyter.client.tables import read_table
from norman_protocol.errors import InputInvalid


def test_frame_gives_plain_values_by_column():
    frame = pd.DataFrame({"x": [1, 2], "label": ["a", "b"]}, index=["p", "q"])
    table = read_table(frame)
    assert (table.columns, table.count, table.frame is frame) == (("x", "label"), 2, True)
    rows = list(table.rows())
    assert rows == [{"x": 1, "label": "a"}, {"x": 2, "label": "b"}]
    assert type(rows[0]["x"]) is int


def test_rows_of_an_array_are_its_first_axis():
    table = read_table(np.arange(6).reshape(3, 2))
    assert (table.columns, table.count, table.is_uniform) == ((), 3, True)
    assert [row.tolist() for row in table.rows()] == [[0, 1], [2, 3], [4, 5]]


def test_series_is_read_by_place_and_not_by_label():
    series = pd.Series(["a", "b"], index=[1, 0])
    assert list(read_table(series).rows()) == ["a", "b"]
    assert list(read_table({"x": series}).rows()) == [{"x": "a"}, {"x": "b"}]


def test_files_of_a_pattern_come_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.png", "c.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.png").mkdir()
    names = [path.name for path in read_table("*.png").rows()]
    assert names == ["a.png", "b.png"]
    assert [path.name for path in read_table(tmp_path).rows()] == ["a.png", "b.png", "c.txt"]
    columns = read_table({"image": "*.png", "top": [1, 2]})
    assert [row["image"].name for row in columns.rows()] == ["a.png", "b.png"]


def test_iterator_is_read_once_and_lazily():
    read = []

    def rows():
        for number in range(3):
            read.append(number)
            yield {"x": number}

    table = read_table(rows())
    assert (table.columns, table.count, read) == (None, None, [0])
    assert [row["x"] for row in table.rows()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "columns", "count"),
    [([], (), 0), ([1, "a"], (), 2), ([{}, {}], None, 2), ([{"x": 1}, 5], (), 2), ((), (), 0)],
)
def test_lists_have_names_where_every_row_has(data, columns, count):
    table = read_table(data)
    assert (table.columns, table.count) == (columns, count)
    assert list(table.rows()) == list(data)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (5, "an int"),
        (b"abc", "a bytes"),
        (None, "a NoneType"),
        (np.float64(3), "no rows"),
        ("nothing/*.png", "No file matches 'nothing/*.png'"),
        ("", "No file matches"),
        ({}, "no columns"),
        ({"x": [1, 2], "y": [1]}, "'x' 2, 'y' 1"),
        ({"x": [1, 2], "y": 5}, "'y' is an int"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "Two columns"),
    ],
)
def test_what_has_no_rows_is_refused(data, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputInvalid) as caught:
        read_table(data)
    assert part in caught.value.message
