"""The answers to many rows as one DataFrame, or as a list where pandas isn't installed.

The one module here that imports pandas, and only when there is something to put into a frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from norman_jupyter.client.tables import Table
from norman_protocol.errors import NormanError

__all__ = ["MappedRow", "collect"]

_ERROR = "error"
_SUFFIX = "_output"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRow:
    """What came of one row.

    Attributes
    ----------
    number
        Its place in the data, from 0.
    row
        The row as it was given; None where many are kept that can be read again.
    outputs
        The outputs by name; empty where it failed.
    error
        Why it failed; None where it didn't.
    """

    number: int
    row: Any
    outputs: Mapping[str, Any]
    error: NormanError | None = None


def collect(
    table: Table,
    done: Sequence[MappedRow],
    *,
    single: str | None,
    outputs: Iterable[str],
    reference: str,
    not_sent: Iterable[Any] = (),
    rest: str | None = None,
) -> Any:
    """Return every row with its outputs and its error, in the order of the data.

    Parameters
    ----------
    done
        The rows that ended, the first ones of the table.
    single
        What the values are called where rows have no names.
    outputs
        Names of the model's outputs, which get a column even where every row failed.
    reference
        The version that answered.
    not_sent
        Columns that are no inputs.
    rest
        The error of the rows that didn't end; where the table ends nobody knows of an iterator.

    Returns
    -------
    pandas.DataFrame | list[dict]
        A DataFrame, with the index of the one that was given, and ``attrs["norman"]`` that says
        ``version``, ``rows``, ``failed`` and ``not_sent``; where pandas isn't installed a
        dictionary for each row. Outputs that are called as a column of the data get
        ``_output`` behind their names.
    """
    names = dict.fromkeys(itertools.chain(outputs, *(row.outputs for row in done)))
    given = _given(table, done, single)
    renamed = _new_names([*names, _ERROR], given)
    count = max(len(done), table.count or 0) if rest is not None else len(done)
    cells: dict[str, list[Any]] = {
        renamed[name]: _padded([row.outputs.get(name) for row in done], count) for name in names
    }
    cells[renamed[_ERROR]] = _padded([_told(row.error) for row in done], count, rest)
    try:
        import pandas as pd
    except ImportError:
        columns: dict[Any, list[Any]] = {**given, **cells}
        return [{name: column[place] for name, column in columns.items()} for place in range(count)]
    frame = _frame(pd, table, given, count)
    for name, column in cells.items():
        frame[name] = _series(pd, column, frame.index, is_text=name == renamed[_ERROR])
    failed = sum(row.error is not None for row in done) + count - len(done)
    frame.attrs = {
        **frame.attrs,
        "norman": {
            "version": reference,
            "rows": count,
            "failed": failed,
            "not_sent": [str(name) for name in not_sent],
        },
    }
    return frame


def _told(error: NormanError | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error.message}"


def _padded(column: list[Any], count: int, rest: str | None = None) -> list[Any]:
    return column + [rest] * (count - len(column))


def _given(table: Table, done: Sequence[MappedRow], single: str | None) -> dict[Any, list[Any]]:
    """Return the columns of the data; of a DataFrame only their names, since it has them."""
    if table.frame is not None:
        return {name: [] for name in table.columns or ()}
    # What an iterator gave it doesn't give again; anything else is read again.
    rows = [row.row for row in done] if table.count is None else list(table.rows())
    if single is not None:
        return {single: [str(row) if hasattr(row, "__fspath__") else row for row in rows]}
    named = [row if isinstance(row, Mapping) else {} for row in rows]
    columns = dict.fromkeys(table.columns or itertools.chain.from_iterable(named))
    return {name: [row.get(name) for row in named] for name in columns}


def _new_names(names: Iterable[str], taken: Iterable[Any]) -> dict[str, str]:
    """Return what the new columns are called beside those that are there.

    Examples
    --------
    >>> _new_names(["label", "score"], ["label", "image"])
    {'label': 'label_output', 'score': 'score'}
    """
    used = set(taken)
    renamed = {}
    for name in names:
        free = name
        while free in used:
            free += _SUFFIX
        used.add(free)
        renamed[name] = free
    return renamed


def _frame(pandas: Any, table: Table, given: Mapping[Any, list[Any]], count: int) -> Any:
    if table.frame is not None:
        return table.frame.copy(deep=False)
    index = pandas.RangeIndex(count)
    columns = {name: _series(pandas, cells, index) for name, cells in given.items()}
    return pandas.DataFrame(columns, index=index)


def _series(pandas: Any, cells: list[Any], index: Any, *, is_text: bool = False) -> Any:
    """Make a column: numbers stay whole where some rows have none, arrays stay one cell each."""
    present = [cell for cell in cells if cell is not None]
    dtype: str | None = "object"
    if present and not is_text:
        kinds = set(map(type, present))
        if kinds <= {int} and all(-(2**63) <= cell < 2**63 for cell in present):
            dtype = "int64" if len(present) == len(cells) else "Int64"
        elif kinds == {bool}:
            dtype = "bool" if len(present) == len(cells) else "boolean"
        elif float in kinds and kinds <= {int, float}:
            dtype = "float64"
        elif kinds == {str}:
            dtype = None  # text as pandas keeps it
    if dtype == "object":
        import numpy as np

        objects = np.empty(len(cells), dtype=object)
        for place, cell in enumerate(cells):
            objects[place] = cell  # arrays as one cell, which no constructor can be told
        return pandas.Series(objects, index=index, dtype="object")
    return pandas.Series(cells, index=index, dtype=dtype)
