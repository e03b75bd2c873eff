"""Text for people: untrusted characters made harmless, long text shortened, numbers with units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = [
    "columns",
    "format_bytes",
    "format_count",
    "format_milliseconds",
    "one_line",
    "plain",
    "shorten",
    "shorten_middle",
]

# CSI and OSC sequences, and the two-character escapes: ECMA-48, sections 5.4 and 8.3.
_TERMINAL_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])"
)
# Control characters; the marks that reorder text, by which shown and real text could differ; and
# lone surrogates, which no message can carry.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def plain(text: str) -> str:
    r"""Return the text without what steers a terminal or can't be shown.

    Examples
    --------
    >>> plain("\x1b[31mred\x1b[0m\r\nnext")
    'red\nnext'
    """
    text = _TERMINAL_ESCAPE.sub("", text.replace("\r\n", "\n"))
    return _UNPRINTABLE.sub("\ufffd", text)


def shorten(text: str, *, characters: int, lines: int = 1_000_000, from_end: bool = False) -> str:
    """Return the beginning (or end) of a text, made plain, with a mark where it was cut.

    Only what is kept is looked at, so that a text of any size takes the same time.

    Examples
    --------
    >>> shorten("abcdef", characters=3), shorten("abcdef", characters=3, from_end=True)
    ('abc…', '…def')
    """
    kept = text[-characters:] if from_end else text[:characters]
    cut = len(kept) < len(text)
    parts = plain(kept).split("\n")
    if len(parts) > lines:
        parts = parts[-lines:] if from_end else parts[:lines]
        cut = True
    kept = "\n".join(parts)
    if not cut:
        return kept
    return f"…{kept}" if from_end else f"{kept}…"


def shorten_middle(text: str, *, characters: int) -> str:
    r"""Return a text's beginning and end, made plain, and between them how much is left out.

    Of an error both matter: where it begins, and what it says at last.

    Examples
    --------
    >>> shorten_middle("abcdef", characters=6)
    'abcdef'
    >>> shorten_middle("a" * 500 + "b" * 500, characters=4)
    'aa\n[… 996 characters left out …]\nbb'
    """
    if len(text) <= characters:
        return plain(text)
    half = characters // 2
    left_out = len(text) - 2 * half
    return "\n".join(
        [plain(text[:half]), f"[… {left_out:,} characters left out …]", plain(text[-half:])]
    )


def one_line(text: str, characters: int = 80) -> str:
    r"""Return the beginning of a text as one line.

    Examples
    --------
    >>> one_line("a\n  b")
    'a b'
    """
    head = text[: characters * 4]
    line = " ".join(plain(head).split())
    return line if len(line) <= characters and head == text else f"{line[: characters - 1]}…"


def format_bytes(size: int) -> str:
    """Return a size in decimal units.

    Examples
    --------
    >>> format_bytes(999), format_bytes(1500), format_bytes(12_345_678)
    ('999 B', '1.5 kB', '12.3 MB')
    """
    amount, unit = float(size), 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount /= 1000
        unit += 1
    return f"{size} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def format_milliseconds(duration_ms: float) -> str:
    """Return a duration with three digits that mean something.

    Examples
    --------
    >>> [format_milliseconds(ms) for ms in (0.0421, 3.21, 87.3, 1234, 75_000)]
    ['42 µs', '3.21 ms', '87.3 ms', '1.23 s', '75.0 s']
    """
    if duration_ms < 0.9995:
        return f"{duration_ms * 1000:.0f} µs"
    if duration_ms < 999.5:
        return f"{duration_ms:.3g} ms"
    seconds = duration_ms / 1000
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def format_count(count: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> format_count(1, "file"), format_count(12000, "file")
    ('1 file', '12,000 files')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    r"""Return rows as aligned columns; the last one is left ragged.

    Examples
    --------
    >>> columns([("a", "b"), ("long", "c")])
    'a     b\nlong  c'
    """
    if not rows:
        return ""
    widths = [max(map(_width, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append(indent + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns that a terminal gives the text; wide East Asian characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
