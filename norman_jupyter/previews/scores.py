"""Scores of classes whose names are known: the best of them, with bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from norman_jupyter.previews.markup import Html, escape, join, meter, note, table
from norman_jupyter.previews.text import columns, format_count, one_line

__all__ = ["is_scores", "preview_scores"]

_BEST = 5
_BEST_OF_ROW = 3
_ROWS = 10
_BAR_CHARACTERS = 24
_LABEL_CHARACTERS = 40
_MOST_LABELS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    label: str
    score: float
    share: float


def is_scores(array: Any, labels: Sequence[str]) -> bool:
    """Whether an array holds a score for each label, for one or more things."""
    return (
        1 < len(labels) <= _MOST_LABELS
        and array.ndim in (1, 2)
        and array.size > 0
        and array.shape[-1] == len(labels)
        and array.dtype.kind in "fiuV"
        and array.dtype.names is None
    )


def preview_scores(array: Any, labels: Sequence[str]) -> tuple[str, Html]:
    """Return the best classes as text and as markup: of one thing with bars, of several a table.

    Probabilities fill a bar at 1. Other scores are set between the least and the greatest that
    there is.
    """
    rows = array.reshape(-1, len(labels))
    if len(rows) == 1:
        return _one(_best(rows[0], labels, _BEST), len(labels))
    return _several([_best(row, labels, _BEST_OF_ROW) for row in rows[:_ROWS]], len(rows))


def _one(best: list[_Score], count: int) -> tuple[str, Html]:
    left = count - len(best)
    more = f"… {left:,} more {'class' if left == 1 else 'classes'}"
    lines = [
        (one.label, _number(one.score), "█" * round(_BAR_CHARACTERS * one.share)) for one in best
    ]
    text = columns(lines)
    cells = [[escape(one.label), _number(one.score), meter(one.share)] for one in best]
    markup = table(["class", "score", ""], cells, has_row_heads=True)
    if not left:
        return text, markup
    return f"{text}\n{more}", join([markup, note(more)])


def _several(rows: list[list[_Score]], count: int) -> tuple[str, Html]:
    names = ["best", "second", "third"][: max(map(len, rows))]
    lines = [("", *names)]
    cells = []
    for index, best in enumerate(rows):
        shown = [f"{one.label} {_number(one.score)}" for one in best]
        shown += [""] * (len(names) - len(shown))
        lines.append((str(index), *shown))
        cells.append([str(index), *map(escape, shown)])
    text = columns(lines)
    markup = table(["row", *names], cells, has_row_heads=True)
    if count == len(rows):
        return text, markup
    more = f"… {format_count(count - len(rows), 'more row')}"
    return f"{text}\n{more}", join([markup, note(more)])


def _best(row: Any, labels: Sequence[str], count: int) -> list[_Score]:
    import numpy as np

    numbers = np.asarray(row, np.float64)
    ranked = np.where(np.isfinite(numbers), numbers, -np.inf)
    order = np.argsort(-ranked, kind="stable")[:count]
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low > 0:
        low = 0.0
    return [
        _Score(
            label=one_line(labels[place], _LABEL_CHARACTERS) or '""',
            score=float(numbers[place]),
            share=_share(float(numbers[place]), low, high),
        )
        for place in map(int, order)
    ]


def _share(score: float, low: float, high: float) -> float:
    if not math.isfinite(score):
        return 0.0
    width = high - low
    return (score - low) / width if width > 0 and math.isfinite(width) else 0.0


def _number(score: float) -> str:
    return f"{score:.4g}"
