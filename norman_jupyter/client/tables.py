"""What a model is called over, row by row: frames, lists, columns, arrays and files."""

from __future__ import annotations

import glob
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from norman_protocol.arrays import name_type
from norman_protocol.errors import InputInvalid

__all__ = ["Table", "find_files", "is_frame", "read_table"]

_WHAT_IS_TAKEN: Final = (
    "Pass a DataFrame, a list of dictionaries, a dictionary of columns, an array (its first axis "
    "are the rows), a list of values, or a pattern of files such as 'images/*.png'."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows, read one at a time.

    Attributes
    ----------
    columns
        Names of what the rows hold. Empty where each row is one value without a name; None where
        that isn't known beforehand, since the rows come from an iterator.
    count
        How many rows there are; None where nobody knows.
    is_uniform
        Whether every row is of the same type and shape: what is wrong with one is so with all.
    frame
        The DataFrame that the rows come from, if they do.
    """

    columns: tuple[Any, ...] | None
    count: int | None
    is_uniform: bool = False
    frame: Any = None
    _open: Callable[[], Iterator[Any]] = field(repr=False)

    @property
    def has_names(self) -> bool:
        """Whether a row is a mapping from names; else it is one value."""
        return self.columns != ()

    def rows(self) -> Iterator[Any]:
        """Begin to read the rows: mappings where they have names, else values."""
        return self._open()


def is_frame(data: object) -> bool:
    """Whether something is a DataFrame of pandas, which isn't imported for it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def read_table(data: Any) -> Table:
    """Return the rows of what a caller passed.

    Parameters
    ----------
    data
        A DataFrame; a sequence or iterator of dictionaries, or of values; a dictionary from names
        to columns of one length; an array, whose first axis are the rows; a text that is a
        pattern of files (``images/*.png``, ``~`` and ``**`` too) or a folder, whose files they
        are.

    Raises
    ------
    InputInvalid
        It is nothing of the sort, columns differ in length, or a pattern finds no file.

    Examples
    --------
    >>> table = read_table([{"x": 1}, {"x": 2, "y": 3}])
    >>> table.columns, table.count, list(table.rows())
    (('x', 'y'), 2, [{'x': 1}, {'x': 2, 'y': 3}])
    >>> read_table({"x": [1, 2]}).count
    2
    """
    if is_frame(data):
        return _of_frame(data)
    if isinstance(data, Mapping):
        return _of_columns(data)
    if isinstance(data, (str, os.PathLike)):
        return _of_values(find_files(data))
    if hasattr(data, "__array__"):
        return _of_array(data)
    if isinstance(data, (bytes, bytearray, memoryview)) or not isinstance(data, Iterable):
        raise InputInvalid(
            f"Rows can't be read from {name_type(data)}. {_WHAT_IS_TAKEN}",
            received=type(data).__qualname__,
        )
    if not isinstance(data, Sequence):
        return _of_iterator(iter(data))
    if data and all(isinstance(row, Mapping) for row in data):
        names = tuple(dict.fromkeys(itertools.chain.from_iterable(data)))
        return Table(columns=names or None, count=len(data), _open=lambda: iter(data))
    return _of_values(data)


def find_files(pattern: str | os.PathLike[str]) -> list[Path]:
    """Return the files of a pattern or a folder, by name.

    Raises
    ------
    InputInvalid
        There is none.
    """
    text = os.path.expanduser(os.fspath(pattern))  # noqa: PTH111 - "" stays "" and finds nothing
    if text and Path(text).is_dir():
        text = f"{glob.escape(text)}/*"
    found = [Path(path) for path in glob.iglob(text, recursive=True)]  # noqa: PTH207 - with ~ and **
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise InputInvalid(
            f"No file matches {os.fspath(pattern)[:200]!r} (from {Path.cwd()}). {_WHAT_IS_TAKEN}"
        )
    return files


def _of_frame(frame: Any) -> Table:
    columns = tuple(frame.columns)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputInvalid(f"Two columns of the DataFrame are called {twice!r:.80}. Rename one.")

    def rows() -> Iterator[dict[Any, Any]]:
        for row in frame.itertuples(index=False, name=None):
            yield dict(zip(columns, row, strict=True))

    return Table(columns=columns or None, count=len(frame), frame=frame, _open=rows)


def _of_columns(data: Mapping[Any, Any]) -> Table:
    columns = {name: _column(name, cells) for name, cells in data.items()}
    counts = {name: len(cells) for name, cells in columns.items()}
    if not columns:
        raise InputInvalid(f"The dictionary has no columns. {_WHAT_IS_TAKEN}")
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name!r:.60} {count}" for name, count in counts.items())
        raise InputInvalid(f"The columns differ in their number of rows: {told}.")
    count = next(iter(counts.values()))

    def rows() -> Iterator[dict[Any, Any]]:
        for number in range(count):
            yield {name: cells[number] for name, cells in columns.items()}

    return Table(columns=tuple(columns), count=count, _open=rows)


def _column(name: object, cells: Any) -> Any:
    if isinstance(cells, (str, os.PathLike)):
        return find_files(cells)
    if hasattr(cells, "__array__"):
        return _plain_array(cells)
    if isinstance(cells, Sequence) and not isinstance(cells, (bytes, bytearray, memoryview)):
        return cells
    raise InputInvalid(
        f"The column {name!r:.80} is {name_type(cells)}; a list or an array is needed. A value "
        "that is the same for every row goes beside the data, as an input of its own."
    )


def _plain_array(data: Any) -> Any:
    """Return an array that is indexed by place: a Series goes by its labels."""
    import numpy as np

    array = np.asarray(data)
    if array.ndim == 0:
        raise InputInvalid("An array without axes has no rows; its first axis would be the rows.")
    return array


def _of_array(data: Any) -> Table:
    array = _plain_array(data)
    return Table(
        columns=(),
        count=len(array),
        is_uniform=array.dtype != object,
        _open=lambda: iter(array),
    )


def _of_values(values: Sequence[Any]) -> Table:
    return Table(columns=(), count=len(values), _open=lambda: iter(values))


def _of_iterator(rows: Iterator[Any]) -> Table:
    """Look at the first row to know whether they have names."""
    beginning = list(itertools.islice(rows, 1))
    columns = None if beginning and isinstance(beginning[0], Mapping) else ()
    return Table(columns=columns, count=None, _open=lambda: itertools.chain(beginning, rows))
