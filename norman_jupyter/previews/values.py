"""One value of a result, as text and as HTML: a summary that stays small whatever the value."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from norman_jupyter.previews.arrays import array_facts, array_rows, array_title, is_array
from norman_jupyter.previews.images import array_thumbnail
from norman_jupyter.previews.markup import Html, block, code, escape, image, join, note
from norman_jupyter.previews.media import preview_bytes, preview_text
from norman_jupyter.previews.preview import Preview, Showing
from norman_jupyter.previews.scores import is_scores, preview_scores
from norman_jupyter.previews.tables import ROWS, matrix_table, record_keys, records_table
from norman_jupyter.previews.text import format_count, one_line, shorten
from norman_jupyter.previews.trees import json_tree

__all__ = ["json_excerpt", "preview_value", "titled"]

_LEAF_CHARACTERS = 60
_JSON_LINES = 30
_JSON_DEPTH = 6
_JSON_ITEMS = 12
_COMPACT_DEPTH = 2
_JSON_STRING_CHARACTERS = 120
_JSON_LINE = 88
_ROW_ITEMS = 40
_ROW_STRING_CHARACTERS = 24
_SCALARS = (bool, int, float, type(None))


_AS_USUAL = Showing()


def preview_value(value: Any, showing: Showing = _AS_USUAL) -> Preview:
    """Return the preview of a value as the client hands it out.

    Examples
    --------
    >>> preview_value("hello").text
    'hello'
    >>> preview_value({"label": 7}).text
    '{"label": 7}'
    """
    if is_array(value):
        return _array(value, showing)
    if isinstance(value, str):
        return preview_text(value, showing)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return preview_bytes(value, showing)
    if isinstance(value, (Mapping, list, tuple)):
        return _json(value)
    if isinstance(value, _SCALARS):
        text = _scalar(value)
        return Preview(title="", text=text, html=code(text))
    text = one_line(repr(value), 200)
    return Preview(title=type(value).__name__, text=text, html=code(text))


def _array(array: Any, showing: Showing) -> Preview:
    title = array_title(array)
    if array.ndim and is_scores(array, showing.labels):
        text, markup = preview_scores(array, showing.labels)
        return Preview(title=title, text=text, html=markup)
    lines = array_facts(array)
    if array.ndim == 0:
        return Preview(title=title, text=lines[0], html=code(lines[0]))
    text = "\n".join(lines)
    small = array_thumbnail(array) if showing.with_pictures else None
    if small is not None:
        picture = image(small.media_type, small.base64_data, title)
        return Preview(title=title, text=text, html=join([block(text), picture]), has_picture=True)
    rows = array_rows(array)
    if rows is None:
        return Preview(title=title, text=text, html=block(text))
    labels = showing.labels if len(showing.labels) == array.shape[1] else ()
    parts = [matrix_table(rows, array.shape, labels), note(escape(lines[-1]))]
    return Preview(title=title, text=text, html=join(parts))


def _json(value: Any) -> Preview:
    noun = "key" if isinstance(value, Mapping) else "item"
    text = json_excerpt(value)
    if "\n" not in text and "…" not in text:
        return Preview(title="", text=text, html=block(text))
    title = f"json, {format_count(len(value), noun)}"
    keys = record_keys(value)
    if keys is None:
        return Preview(title=title, text=text, html=json_tree(value, _leaf))
    cells = [[_leaf(item) or "" for item in record.values()] for record in value[:ROWS]]
    return Preview(title=title, text=text, html=records_table(keys, value, cells))


def _leaf(value: Any) -> str | None:
    """Return what takes a line as such: scalars, text, what is empty, and rows of numbers."""
    compact = _compact(value, _COMPACT_DEPTH)
    is_branch = isinstance(value, (Mapping, list, tuple))
    if compact is not None and (not is_branch or len(compact) <= _LEAF_CHARACTERS):
        return compact
    return _row(value)


def json_excerpt(value: Any) -> str:
    """Return the beginning of a JSON value, indented; on one line where it fits.

    Depth, number of items, length of texts and number of lines are bounded, and no more of the
    value is looked at than is shown.

    Examples
    --------
    >>> json_excerpt([1, 2, {"a": None}])
    '[1, 2, {"a": null}]'
    """
    lines: list[str] = []
    for line in _json_lines(value, "", "", _JSON_DEPTH):
        if len(lines) == _JSON_LINES:
            lines.append("…")
            break
        lines.append(line)
    return "\n".join(lines)


def _json_lines(value: Any, prefix: str, suffix: str, depth: int) -> Iterator[str]:
    """Yield the lines of a value between ``prefix`` (with the indent) and ``suffix``."""
    compact = _compact(value, depth)
    indent = prefix[: len(prefix) - len(prefix.lstrip(" "))]
    if compact is not None and len(prefix) + len(compact) <= _JSON_LINE:
        yield f"{prefix}{compact}{suffix}"
        return
    row = _row(value)
    if row is not None and depth > 0:
        yield f"{prefix}{row}{suffix}"
        return
    is_mapping = isinstance(value, Mapping)
    if not isinstance(value, (Mapping, list, tuple)) or depth == 0:
        short = "{…}" if is_mapping else "[…]"
        yield f"{prefix}{short if compact is None else compact}{suffix}"
        return
    yield prefix + ("{" if is_mapping else "[")
    items: Iterable[tuple[Any, Any]] = (
        value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    )
    for index, (key, item) in enumerate(itertools.islice(items, _JSON_ITEMS)):
        head = f"{indent}  " if key is None else f"{indent}  {_key(key)}: "
        yield from _json_lines(item, head, "" if index + 1 == len(value) else ",", depth - 1)
    if len(value) > _JSON_ITEMS:
        yield f"{indent}  … {len(value) - _JSON_ITEMS:,} more"
    yield indent + ("}" if is_mapping else "]") + suffix


def _row(value: Any) -> str | None:
    """Return a list of numbers and short words as one line, for the screen to wrap; else None."""
    if not isinstance(value, (list, tuple)):
        return None
    shown = value[:_ROW_ITEMS]
    for item in shown:
        is_word = isinstance(item, str) and len(item) <= _ROW_STRING_CHARACTERS
        if not is_word and not isinstance(item, _SCALARS):
            return None
    text = ", ".join(_string(item) if isinstance(item, str) else _scalar(item) for item in shown)
    left = len(value) - len(shown)
    return f"[{text}, … {left:,} more]" if left else f"[{text}]"


def _compact(value: Any, depth: int) -> str | None:
    """Return the value on one line; None where it is large or deep."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, _SCALARS):
        return _scalar(value)
    if not isinstance(value, (Mapping, list, tuple)):
        return one_line(repr(value), 60)
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    if not value:
        return opening + closing
    if len(value) > _JSON_ITEMS or depth == 0:
        return None
    heads = [f"{_key(key)}: " for key in value] if isinstance(value, Mapping) else [""] * len(value)
    items = value.values() if isinstance(value, Mapping) else value
    parts = []
    for head, item in zip(heads, items, strict=True):
        text = _compact(item, min(depth - 1, _COMPACT_DEPTH))
        if text is None:
            return None
        parts.append(head + text)
    return opening + ", ".join(parts) + closing


def _scalar(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"  # str() refuses more than 4300 digits
    return json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(shorten(text, characters=_JSON_STRING_CHARACTERS), ensure_ascii=False)


def _key(key: Any) -> str:
    return _string(key if isinstance(key, str) else repr(key))


def titled(name: str, preview: Preview) -> tuple[str, Html]:
    """Return a named preview as text and as markup."""
    title = f" ({preview.title})" if preview.title else ""
    head = f"{one_line(name, 60)}{title}"
    if "\n" in preview.text:
        body = "\n".join(f"  {line}" for line in preview.text.split("\n"))
        text = f"{head}:\n{body}"
    else:
        text = f"{head}: {preview.text}" if preview.text else head
    heading = f"<b>{escape(one_line(name, 60))}</b>"
    if preview.title:
        heading += f' <span style="opacity:.75">{escape(preview.title)}</span>'
    return text, join([heading, " ", preview.html])
