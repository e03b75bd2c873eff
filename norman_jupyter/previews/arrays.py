"""An array in a few lines: dtype, shape, some elements, and its range and mean."""

from __future__ import annotations

import itertools
import math
from typing import Any

from norman_jupyter.previews.text import one_line

__all__ = ["array_facts", "array_rows", "array_title", "is_array"]

_SHOWN_ELEMENTS = 8
_SMALL_MATRIX = 64
"""A matrix of so few elements is shown whole."""
_EXPONENT_BELOW, _EXPONENT_FROM = 1e-3, 1e7
"""Arrays whose largest element lies outside are written with exponents."""
_CHUNK_ELEMENTS = 1 << 20
_COUNTED_ELEMENTS = 1 << 26
"""Statistics of larger arrays are those of evenly spaced elements: showing must stay instant."""


def is_array(value: Any) -> bool:
    """Whether a value is a NumPy array or scalar; NumPy isn't loaded to find out."""
    return type(value).__module__ in ("numpy", "numpy.ma") and hasattr(value, "dtype")


def array_title(array: Any) -> str:
    """Return dtype and shape, as ``float32[2, 3]``; of a scalar the dtype alone."""
    dtype = "string" if array.dtype.kind == "O" else str(array.dtype)
    shape = ", ".join(map(str, array.shape))
    return one_line(f"{dtype}[{shape}]" if array.shape else dtype, 120)


def array_facts(array: Any) -> list[str]:
    """Return lines about an array: its elements, then minimum, mean and maximum."""
    if not array.size:
        return ["no elements"]
    lines = _elements(array)
    statistics = _statistics(array)
    return [*lines, statistics] if statistics else lines


def array_rows(array: Any, *, rows: int = 10, columns: int = 12) -> list[list[str]] | None:
    """Return the upper left corner of a matrix as text, one notation for all of its numbers.

    None where it is no matrix, has a single row, or no elements.
    """
    if array.ndim != 2 or array.shape[0] < 2 or not array.size:
        return None
    corner = array[:rows, :columns]
    width = corner.shape[1]
    texts = _formatted([corner[place] for place in itertools.product(*map(range, corner.shape))])
    return [texts[start : start + width] for start in range(0, len(texts), width)]


def _elements(array: Any) -> list[str]:
    is_matrix = array.ndim == 2 and array.size <= _SMALL_MATRIX and array.shape[0] > 1
    flat = array.reshape(-1) if array.flags.c_contiguous or is_matrix else array.flat
    count = array.size if is_matrix else min(array.size, _SHOWN_ELEMENTS)
    texts = _formatted([flat[index] for index in range(count)])
    if not array.shape:
        return texts
    if not is_matrix:
        text = ", ".join(texts)
        return [f"[{text}, …]" if array.size > count else f"[{text}]"]
    width, columns = max(map(len, texts)), array.shape[1]
    rows = (texts[start : start + columns] for start in range(0, count, columns))
    return ["[" + ", ".join(text.rjust(width) for text in row) + "]" for row in rows]


def _formatted(elements: list[Any]) -> list[str]:
    """Write elements, numbers among them all in one notation, so that they can be compared."""
    kind = getattr(getattr(elements[0], "dtype", None), "kind", "")
    if kind in "biu" and kind:
        return [str(element) for element in elements]
    if kind == "c":
        parts = [part for element in elements for part in (element.real, element.imag)]
        notation = _notation([float(part) for part in parts])
        return [f"{element.real:z{notation}}{element.imag:+z{notation}}j" for element in elements]
    try:
        numbers = [float(element) for element in elements if not isinstance(element, str)]
    except (TypeError, ValueError):
        return [one_line(str(element), 40) for element in elements]
    if len(numbers) < len(elements):
        return [repr(one_line(str(element), 40)) for element in elements]
    notation = _notation(numbers)
    return [f"{number:z{notation}}" for number in numbers]


def _notation(numbers: list[float]) -> str:
    """Return the one format of some numbers: their largest gets four digits that mean something.

    Numbers much smaller than the largest lose theirs, as in a table of probabilities.
    """
    finite = [number for number in numbers if math.isfinite(number)]
    largest = max(map(abs, finite), default=0.0)
    if all(number.is_integer() for number in finite) and largest < _EXPONENT_FROM:
        return ".0f"
    if not _EXPONENT_BELOW <= largest < _EXPONENT_FROM:
        return ".3e"
    decimals = max(2, 3 - math.floor(math.log10(largest)))
    texts = [f"{number:.{decimals}f}" for number in finite]
    spare = min(len(text) - len(text.rstrip("0")) for text in texts)
    return f".{decimals - min(spare, decimals)}f"


def _statistics(array: Any) -> str:
    """Return minimum, mean and maximum of the finite elements, and how many are not finite."""
    import numpy as np

    if array.size < 2 or array.dtype.kind in "OUSc" or array.dtype.names is not None:
        return ""
    flat = array.reshape(-1)
    step = math.ceil(flat.size / _COUNTED_ELEMENTS)
    flat = flat[::step]
    if array.dtype.kind == "b":
        return f"{int(np.count_nonzero(flat)):,} of {flat.size:,} true"
    low, high, mean, count = math.inf, -math.inf, 0.0, 0
    for start in range(0, flat.size, _CHUNK_ELEMENTS):
        chunk = flat[start : start + _CHUNK_ELEMENTS]
        if array.dtype.kind not in "iu":
            # float16 would overflow in the sum; the types of ml_dtypes lack reductions
            chunk = chunk.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
            chunk = chunk[np.isfinite(chunk)]
        if chunk.size:
            low, high = min(low, chunk.min().item()), max(high, chunk.max().item())
            count += chunk.size
            # Divided before it is summed: the sum of large numbers would overflow.
            share = chunk.size / count
            mean = mean * (1 - share) + float((chunk / chunk.size).sum(dtype=np.float64)) * share
    parts = []
    if count:
        parts.append(f"min {low:.4g} · mean {mean:.4g} · max {high:.4g}")
    if count < flat.size:
        parts.append(f"{flat.size - count:,} not finite")
    if step > 1:
        parts.append(f"of every {step}th element")
    return " · ".join(parts)
