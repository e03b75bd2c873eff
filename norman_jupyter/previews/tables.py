"""Rows and columns: batches of numbers, and lists of records, cut to what a screen holds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from norman_jupyter.previews.markup import Html, code, grid, join, note, table
from norman_jupyter.previews.text import format_count, one_line

__all__ = ["COLUMNS", "ROWS", "matrix_table", "record_keys", "records_table"]

ROWS = 10
COLUMNS = 12
_KEYS = 8
_HEAD_CHARACTERS = 40


def matrix_table(
    rows: Sequence[Sequence[str]], shape: tuple[int, int], labels: Sequence[str] = ()
) -> Html:
    """Return the upper left corner of a matrix.

    Parameters
    ----------
    rows
        The elements that are shown, as text.
    shape
        Of the whole matrix.
    labels
        What the columns stand for; without them they are numbered.
    """
    count = len(rows[0])
    names = labels[:count] or [str(column) for column in range(count)]
    heads = [one_line(name, _HEAD_CHARACTERS) for name in names]
    return join([grid(heads, rows), _left_out(shape, len(rows), count)])


def record_keys(value: Any) -> list[str] | None:
    """Return the keys of a list of records with scalars; None where it is something else.

    Examples
    --------
    >>> record_keys([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}])
    ['label', 'score']
    >>> record_keys([1, 2]) is None
    True
    """
    if not isinstance(value, list) or len(value) < 2:
        return None
    first = value[0]
    if not isinstance(first, Mapping) or not 0 < len(first) <= _KEYS:
        return None
    for record in value[:ROWS]:
        if not isinstance(record, Mapping) or list(record) != list(first):
            return None
        if any(isinstance(item, (Mapping, list, tuple)) for item in record.values()):
            return None
    return [str(key) for key in first]


def records_table(
    keys: Sequence[str], records: Sequence[Mapping[Any, Any]], cells: Sequence[Sequence[str]]
) -> Html:
    """Return a list of records: a row each, a column for each of their keys.

    Parameters
    ----------
    cells
        What stands in the first rows, as text.
    """
    heads = [one_line(key, _HEAD_CHARACTERS) or '""' for key in keys]
    body = [
        [str(index), *(code(cell) for cell in row)]
        for index, row in enumerate(itertools.islice(cells, ROWS))
    ]
    left = _left_out((len(records), len(keys)), len(body), len(keys))
    return join([table(["", *heads], body, has_row_heads=True), left])


def _left_out(shape: tuple[int, int], rows: int, columns: int) -> Html:
    parts = []
    if shape[0] > rows:
        parts.append(format_count(shape[0] - rows, "more row"))
    if shape[1] > columns:
        parts.append(format_count(shape[1] - columns, "more column"))
    return note(f"… {', '.join(parts)}") if parts else ""
