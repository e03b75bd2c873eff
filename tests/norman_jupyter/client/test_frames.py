"""Answers put beside the rows that they belong to."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from norman_jupyter.client.frames import MappedRow, collect
from norman_jupyter.client.tables import read_table
from norman_protocol.errors import InputInvalid


def answers(*outputs, error=None):
    return [
        MappedRow(
            number=number,
            row=None,
            outputs=one or {},
            error=None if one else InputInvalid("x is wrong"),
        )
        for number, one in enumerate(outputs)
    ]


def collected(data, done, **options):
    arguments = {"single": None, "outputs": ["label"], "reference": "digits@1", **options}
    return collect(read_table(data), done, **arguments)


def test_frame_comes_back_with_its_index_and_stays_as_it_was():
    given = pd.DataFrame({"x": [1, 2, 3], "label": [0, 0, 0]}, index=["a", "b", "c"])
    frame = collected(given, answers({"label": 7}, None, {"label": 9}))
    assert list(given.columns) == ["x", "label"]
    assert list(frame.columns) == ["x", "label", "label_output", "error"]
    assert list(frame.index) == ["a", "b", "c"]
    assert frame["label_output"].tolist() == [7, pd.NA, 9]
    assert frame["error"].tolist() == [None, "InputInvalid: x is wrong", None]
    assert frame.attrs["norman"] == {"version": "digits@1", "rows": 3, "failed": 1, "not_sent": []}


def test_rest_is_marked():
    frame = collected([10, 20, 30], answers({"label": 1}), single="x", rest="interrupted")
    assert frame["x"].tolist() == [10, 20, 30]
    assert frame["error"].tolist() == [None, "interrupted", "interrupted"]
    assert frame.attrs["norman"]["failed"] == 2


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, None], "Int64"),
        ([1, 2.5], "float64"),
        ([1.5, None], "float64"),
        ([True, False], "bool"),
        ([True, None], "boolean"),
        ([True, 1], "object"),
        ([1 << 70, 1], "object"),
        ([b"a", None], "object"),
        ([[1, 2], [3, 4]], "object"),
        ([None, None], "object"),
    ],
)
def test_columns_get_the_type_of_what_they_hold(cells, dtype):
    done = [
        MappedRow(number=number, row=None, outputs={"label": cell})
        for number, cell in enumerate(cells)
    ]
    column = collected([0, 0], done, single="x")["label"]
    assert column.dtype == dtype
    for cell, found in zip(cells, column, strict=True):
        assert found == cell or (cell is None and pd.isna(found))


def test_arrays_of_one_length_stay_one_cell_each():
    scores = [{"label": np.ones(3)}, {"label": np.zeros(3)}]
    frame = collected([1, 2], answers(*scores), single="x")
    np.testing.assert_array_equal(frame["label"][1], np.zeros(3))


def test_no_rows_have_the_columns_nevertheless():
    assert list(collected([], [], single="x").columns) == ["x", "label", "error"]
    given = pd.DataFrame({"x": []})
    assert list(collected(given, []).columns) == ["x", "label", "error"]


def test_rows_with_other_names_share_the_columns():
    frame = collected([{"x": 1}, {"y": 2}], answers({"label": 1}, {"label": 2, "extra": "a"}))
    assert list(frame.columns) == ["x", "y", "label", "extra", "error"]
    assert frame["extra"].tolist()[1] == "a"


_WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
from norman_jupyter.client.frames import MappedRow, collect
from norman_jupyter.client.tables import read_table
table = read_table([{"x": 1}, {"x": 2}])
done = [MappedRow(number=0, row=None, outputs={"label": 7})]
print(collect(table, done, single=None, outputs=["label"], reference="d@1", rest="later"))
"""


def test_without_pandas_it_is_a_list_of_dictionaries():
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PANDAS],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == (
        "[{'x': 1, 'label': 7, 'error': None}, {'x': 2, 'label': None, 'error': 'later'}]"
    )
