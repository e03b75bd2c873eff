"""Aliases, their history and the differences of versions as small tables."""

from __future__ import annotations

from collections.abc import Sequence

from norman_jupyter.previews.listings import listing, message
from norman_jupyter.previews.markup import Bundle, Html, escape, join, note
from norman_jupyter.previews.text import format_bytes, one_line
from norman_jupyter.previews.versions import short_time
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    Difference,
    FileDifference,
    VersionDiff,
)

__all__ = [
    "render_alias_change",
    "render_alias_history",
    "render_aliases",
    "render_version_diff",
]

_MORE = "There are more: --limit N shows N of them."
_SHOWN_FILES = 50
_WORDS = 120


def render_aliases(page: AliasPage) -> Bundle:
    """Return a page of aliases as a table."""
    if not page.items:
        return message(f"{page.name} has no aliases. %norman alias {page.name}@N NAME sets one.")
    header = ("alias", "version", "state", "since", "by", "why")
    rows = [
        (
            item.alias,
            item.reference,
            item.state,
            short_time(item.changed_at),
            one_line(item.changed_by, 40),
            one_line(item.why or "", _WORDS),
        )
        for item in page.items
    ]
    return listing(header, rows, _MORE if page.next_cursor else "", wrapped="why")


def render_alias_change(change: AliasChange) -> Bundle:
    """Return in one line what became of an alias, and how to undo it."""
    alias = f"{change.name}@{change.alias}"
    before = None if change.before is None else f"{change.name}@{change.before}"
    if change.after is None:
        text = f"{alias} is gone; it led to {before}."
    elif change.after == change.before:
        return message(f"{alias} leads to {before} already; nothing was changed.")
    else:
        text = f"{alias} → {change.name}@{change.after}"
        text += f" (before: {before})" if before else " (new)"
    undo = f"Undo: %norman alias {before} {change.alias}" if before else ""
    lines = [text, *([undo] if undo else [])]
    return {
        "text/plain": "\n".join(lines),
        "text/html": join([f"<b>{escape(text)}</b>", *([note(escape(undo))] if undo else [])]),
    }


def render_alias_history(history: AliasHistory) -> Bundle:
    """Return changes of aliases as a table."""
    if not history.items:
        return message(f"No alias of {history.name} was ever set.")
    header = ("time", "alias", "change", "from", "to", "by", "why")
    rows = [
        (
            short_time(item.changed_at),
            item.alias,
            item.action,
            "" if item.before is None else f"@{item.before}",
            "" if item.after is None else f"@{item.after}",
            one_line(item.changed_by, 40),
            one_line(item.why or "", _WORDS),
        )
        for item in history.items
    ]
    return listing(header, rows, _MORE if history.next_cursor else "", wrapped="why")


def render_version_diff(diff: VersionDiff) -> Bundle:
    """Return what is different between two versions as one table for each kind of thing."""
    heading = f"{diff.before} → {diff.after}"
    parts = [
        (title, bundle)
        for title, bundle in (
            ("signature", _differences(diff.signature)),
            ("files", _files(diff.files)),
            ("environment", _differences(diff.environment)),
            ("settings", _differences(diff.settings)),
        )
        if bundle is not None
    ]
    if not parts:
        return message(f"{heading}: nothing is different.")
    texts = [heading, *(f"\n{title}\n{bundle['text/plain']}" for title, bundle in parts)]
    markup: list[Html] = [f"<b>{escape(heading)}</b>"]
    for title, bundle in parts:
        markup += [note(escape(title)), bundle["text/html"]]
    return {"text/plain": "\n".join(texts), "text/html": join(markup)}


def _differences(differences: Sequence[Difference]) -> Bundle | None:
    if not differences:
        return None
    rows = [
        (
            one_line(item.name, 60),
            "" if item.before is None else one_line(item.before, _WORDS),
            "" if item.after is None else one_line(item.after, _WORDS),
        )
        for item in differences
    ]
    return listing(("what", "before", "after"), rows, "", wrapped="after")


def _files(files: Sequence[FileDifference]) -> Bundle | None:
    if not files:
        return None
    rows = [
        (
            one_line(item.path, 160),
            item.change,
            "" if item.before_bytes is None else format_bytes(item.before_bytes),
            "" if item.after_bytes is None else format_bytes(item.after_bytes),
        )
        for item in files[:_SHOWN_FILES]
    ]
    left = len(files) - len(rows)
    return listing(
        ("path", "change", "before", "after"), rows, f"… and {left:,} more files" if left else ""
    )
