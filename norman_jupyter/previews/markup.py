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
    "details",
    "element",
    "escape",
    "fields",
    "grid",
    "image",
    "join",
    "link_to",
    "meter",
    "note",
    "player",
    "svg_image",
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
_GRID = f"{_TABLE};text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
_GRID_CELL = "padding:.1em .8em .1em 0"  # short: there are many
_HEAD = (
    "text-align:left;font-weight:600;padding:.2em .8em .2em 0;white-space:nowrap;"
    f"border-bottom:{_LINE}"
)
_ROW_HEAD = "text-align:left;font-weight:600;padding:.2em .8em .2em 0;white-space:nowrap"
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
_PICTURE = "display:block;max-width:100%;margin:.2em 0"
_DRAWING = f"{_PICTURE};max-height:24em"
# At least so wide that the controls of a tiny video can be used.
_PLAYER = (
    "display:block;min-width:min(100%,18em);max-width:min(100%,32em);max-height:24em;margin:.2em 0"
)
_DETAILS = "margin:.1em 0"
_SUMMARY = "cursor:pointer;opacity:.75;font-size:.92em"
# A colour of the theme, or one that stands out from white and from black.
_METER = (
    "display:inline-block;height:.7em;min-width:1px;vertical-align:baseline;"
    "background:var(--jp-brand-color1,#3d85c6)"
)
_METER_GROUND = "display:inline-block;width:12em;max-width:30vw;background:rgba(128,128,128,.2)"
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


def details(summary: str, content: Html, *, is_open: bool = False) -> Html:
    """Return content that unfolds by a click or a key on a line of plain text."""
    opening = f'<details style="{_DETAILS}"{" open" if is_open else ""}>'
    return f"{opening}{element('summary', escape(summary), _SUMMARY)}{content}</details>"


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Html]],
    *,
    wrapped: str | None = None,
    has_row_heads: bool = False,
) -> Html:
    """Return rows of cells below a header of plain text.

    A row takes one line, and a table too wide scrolls; only the column whose title is ``wrapped``
    takes what the others leave, in as many lines as it needs. With ``has_row_heads`` the first
    cell of a row names it.
    """
    head = "".join(
        f'<th scope="col" style="{_HEAD}">{escape(title)}</th>' if title else element("td", "")
        for title in header
    )
    place = None if wrapped is None else header.index(wrapped)
    body = _rows(rows, wrapped=place, has_row_heads=has_row_heads)
    whole = element("table", f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", _TABLE)
    return element("div", whole, _SCROLLED)


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Return rows of short plain texts, such as numbers, each row with a number of its own."""
    heads = "".join(
        f'<th scope="col" style="{_GRID_CELL};border-bottom:{_LINE}">{escape(title)}</th>'
        for title in header
    )
    body = "".join(
        f'<tr><th scope="row" style="{_GRID_CELL}">{index}</th>'
        + "".join(element("td", escape(text), _GRID_CELL) for text in row)
        + "</tr>"
        for index, row in enumerate(rows)
    )
    whole = element(
        "table", f"<thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody>", _GRID
    )
    return element("div", whole, _SCROLLED)


def fields(rows: Sequence[tuple[str, Html]]) -> Html:
    """Return names and what belongs to them, side by side."""
    named = [(element("span", escape(name), "opacity:.75"), content) for name, content in rows]
    return element("table", f"<tbody>{_rows(named, wrapped=1)}</tbody>", _TABLE)


def image(media_type: str, base64_data: str, description: str) -> Html:
    """Return a picture that carries its own data."""
    return (
        f'<img src="data:{media_type};base64,{base64_data}" alt="{escape(description)}" '
        f'style="{_PICTURE}"/>'
    )


def svg_image(base64_data: str, description: str) -> Html:
    """Return a drawing as a picture: as such a browser runs no script of it and loads nothing."""
    return (
        f'<img src="data:image/svg+xml;base64,{base64_data}" alt="{escape(description)}" '
        f'style="{_DRAWING}"/>'
    )


def player(tag: str, source: str, description: str, *, preload: str = "metadata") -> Html:
    """Return controls for a sound or a video; tag and preload are ours, never data."""
    named = escape(description)
    return (
        f'<{tag} controls preload="{preload}" src="{escape(source)}" aria-label="{named}" '
        f'title="{named}" style="{_PLAYER}">{named}</{tag}>'
    )


def link_to(address: str, text: str) -> Html:
    """Return a link of plain text. The address is ours, never data."""
    opening = f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">'
    return f"{opening}{escape(text)}</a>"


def meter(share: float) -> Html:
    """Return a bar that is full at 1. It says nothing to who can't see it: the number does."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    bar = f'<span style="{_METER};width:{width}"></span>'
    return f'<span aria-hidden="true" style="{_METER_GROUND}">{bar}</span>'


def _rows(
    rows: Sequence[Sequence[Html]], *, wrapped: int | None, has_row_heads: bool = False
) -> Html:
    return "".join(
        element(
            "tr",
            "".join(
                f'<th scope="row" style="{_ROW_HEAD}">{cell}</th>'
                if has_row_heads and place == 0
                else element("td", cell, _WRAPPED_CELL if place == wrapped else _CELL)
                for place, cell in enumerate(row)
            ),
        )
        for row in rows
    )
