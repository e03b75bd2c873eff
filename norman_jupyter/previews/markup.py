"""HTML in small pieces: everything is escaped, and no colour fights a theme."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TypeAlias

__all__ = [
    "Bundle",
    "Html",
    "block",
    "code",
    "element",
    "escape",
    "fields",
    "image",
    "join",
    "note",
    "table",
]

Html: TypeAlias = str
"""Text that is markup already; made by the functions of this module alone."""

Bundle: TypeAlias = dict[str, str]
"""The same thing in several MIME types, as a notebook's output holds it."""

# Neutral in light and dark themes: the page's own text colour, greys that are half transparent.
_LINE = "1px solid rgba(128,128,128,.3)"
_TABLE = "border-collapse:collapse;margin:.3em 0;color:inherit;font-size:inherit"
_HEAD = f"text-align:left;font-weight:600;padding:.2em .8em .2em 0;border-bottom:{_LINE}"
_CELL = "text-align:left;vertical-align:top;padding:.2em .8em .2em 0;overflow-wrap:anywhere"
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
    return element("code", escape(text))


def block(text: str) -> Html:
    """Return text of several lines as it is, wrapped, and scrolled where it is high."""
    return element("pre", escape(text), _BLOCK)


def note(content: Html) -> Html:
    """Return a line that says something beside the point."""
    return element("div", content, _NOTE)


def join(parts: Sequence[Html]) -> Html:
    """Return parts below each other in one box."""
    return element("div", "".join(parts))


def table(header: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    """Return rows of cells below a header of plain text."""
    head = "".join(element("th", escape(title), _HEAD) for title in header)
    return element("table", f"<thead><tr>{head}</tr></thead><tbody>{_rows(rows)}</tbody>", _TABLE)


def fields(rows: Sequence[tuple[str, Html]]) -> Html:
    """Return names and what belongs to them, side by side."""
    named = [(element("span", escape(name), "opacity:.75"), content) for name, content in rows]
    return element("table", f"<tbody>{_rows(named)}</tbody>", _TABLE)


def image(media_type: str, base64_data: str, description: str) -> Html:
    """Return a picture that carries its own data."""
    return (
        f'<img src="data:{media_type};base64,{base64_data}" alt="{escape(description)}" '
        'style="display:block;max-width:100%;margin:.2em 0"/>'
    )


def _rows(rows: Sequence[Sequence[Html]]) -> Html:
    return "".join(
        element("tr", "".join(element("td", cell, _CELL) for cell in row)) for row in rows
    )
