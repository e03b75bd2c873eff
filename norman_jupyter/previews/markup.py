"""HTML in small pieces: everything is escaped, and no colour fights a theme."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TypeAlias

__all__ = [
    "Bundle",
    "Html",
    "block",
    "clipped_code",
    "code",
    "element",
    "escape",
    "fields",
    "image",
    "join",
    "meter",
    "note",
    "table",
    "warning",
]

Html: TypeAlias = str
"""Text that is markup already; made by the functions of this module alone."""

Bundle: TypeAlias = dict[str, str]
"""The same thing in several MIME types, as a notebook's output holds it."""

# Neutral in light and dark themes: the page's own text colour, greys that are half transparent.
_LINE = "1px solid rgba(128,128,128,.3)"
_SCROLLED = "overflow-x:auto"
_TABLE = "border-collapse:collapse;table-layout:auto;margin:.3em 0;color:inherit;font-size:inherit"
_HEAD = (
    "text-align:left;font-weight:600;padding:.2em .8em .2em 0;white-space:nowrap;"
    f"border-bottom:{_LINE}"
)
_CELL = "text-align:left;vertical-align:top;padding:.2em .8em .2em 0;white-space:nowrap"
# The one column that gives way. It has a least width, or words would break at every character.
_WRAPPED_CELL = (
    "text-align:left;vertical-align:top;padding:.2em .8em .2em 0;white-space:normal;"
    "overflow-wrap:anywhere;min-width:9em"
)
# JupyterLab wraps code wherever it stands.
_CODE = "white-space:inherit;overflow-wrap:inherit"
_WHOLE_CHARACTERS = 30
_CLIPPED = (
    "white-space:nowrap;display:inline-block;max-width:20em;overflow:hidden;"
    "text-overflow:ellipsis;vertical-align:bottom"
)
# The theme's own red, or one that contrasts with white and with black.
_WARNING = "font-weight:600;color:var(--jp-error-color1,#e5383b)"
_BLOCK = (
    "margin:.2em 0;max-height:24em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font-size:.92em"
)
_NOTE = "opacity:.75;font-size:.92em;overflow-wrap:anywhere"


def escape(text: str) -> Html:
    """Return text as markup that shows exactly it.

    Examples
    --------
    >>> escape("<script>")
    '&lt;script&gt;'
    """
    return html.escape(text, quote=True)


def element(tag: str, content: Html, style: str = "") -> Html:
    """Return content in a tag. Tag and style are ours, never data."""
    return f'<{tag} style="{style}">{content}</{tag}>' if style else f"<{tag}>{content}</{tag}>"


def code(text: str) -> Html:
    """Return text as code within a line."""
    return element("code", escape(text), _CODE)


def clipped_code(text: str) -> Html:
    """Return a name as code of bounded width: all of it is there to copy and under the pointer."""
    if len(text) <= _WHOLE_CHARACTERS:
        return code(text)
    return f'<code title="{escape(text)}" style="{_CLIPPED}">{escape(text)}</code>'


def block(text: str) -> Html:
    """Return text of several lines as it is, wrapped, and scrolled where it is high."""
    return element("pre", escape(text), _BLOCK)


def note(content: Html) -> Html:
    """Return a line that says something beside the point."""
    return element("div", content, _NOTE)


def warning(text: str) -> Html:
    """Return words that must not be overlooked, in any theme."""
    return element("span", escape(text), _WARNING)


def join(parts: Sequence[Html]) -> Html:
    """Return parts below each other in one box."""
    return element("div", "".join(parts))


def table(
    header: Sequence[str], rows: Sequence[Sequence[Html]], *, wrapped: str | None = None
) -> Html:
    """Return rows of cells below a header of plain text.

    A row takes one line, and a table too wide scrolls; only the column whose title is ``wrapped``
    takes what the others leave, in as many lines as it needs.
    """
    head = "".join(element("th", escape(title), _HEAD) for title in header)
    place = None if wrapped is None else header.index(wrapped)
    body = _rows(rows, wrapped=place)
    whole = element("table", f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", _TABLE)
    return element("div", whole, _SCROLLED)


def fields(rows: Sequence[tuple[str, Html]]) -> Html:
    """Return names and what belongs to them, side by side."""
    named = [(element("span", escape(name), "opacity:.75"), content) for name, content in rows]
    return element("table", f"<tbody>{_rows(named, wrapped=1)}</tbody>", _TABLE)


def image(media_type: str, base64_data: str, description: str) -> Html:
    """Return a picture that carries its own data."""
    return (
        f'<img src="data:{media_type};base64,{base64_data}" alt="{escape(description)}" '
        'style="display:block;max-width:100%;margin:.2em 0"/>'
    )


def meter(done: int, total: int) -> Html:
    """Return a bar that is filled as far as something is done."""
    return (
        f'<progress value="{done:d}" max="{total:d}" style="width:24em;max-width:100%"></progress>'
    )


def _rows(rows: Sequence[Sequence[Html]], *, wrapped: int | None) -> Html:
    return "".join(
        element(
            "tr",
            "".join(
                element("td", cell, _WRAPPED_CELL if place == wrapped else _CELL)
                for place, cell in enumerate(row)
            ),
        )
        for row in rows
    )
