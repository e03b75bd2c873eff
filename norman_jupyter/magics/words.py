"""A magic's line cut into words: quotes, brackets and `{expressions}` hold together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from norman_protocol.errors import RequestInvalid

__all__ = ["Piece", "Word", "fragment_start", "plain_word", "split_words"]

PieceKind: TypeAlias = Literal["plain", "quoted", "expression"]

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "'\""
# What a backslash outside quotes takes its meaning from. Before anything else it stands for
# itself, so that C:\models and regular expressions survive.
_ESCAPABLE = frozenset(" \t'\"\\()[]{}")
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a word. ``text`` is what it says; of an expression, what stands in the braces."""

    kind: PieceKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a line.

    Attributes
    ----------
    raw
        As it was typed.
    column
        Where it begins in the line, from 0.
    pieces
        Its parts in their order; none for an empty word.
    """

    raw: str
    column: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """What the word says, with quotes and escapes resolved and expressions as typed."""
        return "".join(
            f"{{{piece.text}}}" if piece.kind == "expression" else piece.text
            for piece in self.pieces
        )

    @property
    def is_quoted(self) -> bool:
        """Whether quotes stand around the whole word."""
        return [piece.kind for piece in self.pieces] == ["quoted"]

    @property
    def expression(self) -> str | None:
        """The expression, where the word is nothing but ``{expression}``."""
        if len(self.pieces) == 1 and self.pieces[0].kind == "expression":
            return self.pieces[0].text
        return None

    def partition(self, separator: str) -> tuple[str, Word] | None:
        """Cut at the first ``separator`` outside quotes, as in ``KEY=VALUE`` or ``--option=VALUE``.

        The part before it may be quoted, for names with spaces. Returns None where the word has
        no separator, or where a bracket stands before it.
        """
        if self.pieces and self.pieces[0].kind == "plain":
            head, found, tail = self.pieces[0].text.partition(separator)
            if found and self.raw.startswith(head + separator):
                first = (replace(self.pieces[0], text=tail),) if tail else ()
                cut = len(head) + len(separator)
                return head, Word(
                    raw=self.raw[cut:], column=self.column + cut, pieces=first + self.pieces[1:]
                )
        return self._partition_quoted(separator)

    def _partition_quoted(self, separator: str) -> tuple[str, Word] | None:
        """Cut where quotes or backslashes stand before the separator."""
        position = 0
        while position < len(self.raw):
            character = self.raw[position]
            if character in _QUOTES:
                position = _quote_end(self.raw, position, strict=False)
            elif character in _CLOSING:
                return None
            elif character == "\\" and self.raw[position + 1 : position + 2] in _ESCAPABLE:
                position += 2
            elif self.raw.startswith(separator, position):
                break
            else:
                position += 1
        else:
            return None
        head = "".join(word.text for word in _scan(self.raw[:position], strict=False))
        cut = position + len(separator)
        for word in _scan(self.raw[cut:], strict=False):  # one, since nothing in it is a space
            return head, replace(word, column=self.column + cut)
        return head, Word(raw="", column=self.column + cut, pieces=())


def split_words(line: str) -> tuple[Word, ...]:
    r"""Cut a line into words at white space.

    Quotes hold their content together and make it text, with the escapes of Python. Brackets
    hold a Python literal together, braces an expression. Outside quotes a backslash makes a
    space, quote or bracket an ordinary character.

    Raises
    ------
    RequestInvalid
        A quote or bracket is never closed, or a bracket was never opened; the message names the
        column, counted from 1.

    Examples
    --------
    >>> [word.text for word in split_words("invoke digits x=[1, 2] 'a b' my\\ file")]
    ['invoke', 'digits', 'x=[1, 2]', 'a b', 'my file']
    """
    return tuple(_scan(line, strict=True))


def plain_word(text: str, column: int = 0) -> Word:
    """Return the word of a text in which nothing means anything more, as a shell hands it over.

    Examples
    --------
    >>> plain_word("text={'a b'}").text
    "text={'a b'}"
    """
    pieces = (Piece(kind="plain", text=text),) if text else ()
    return Word(raw=text, column=column, pieces=pieces)


def fragment_start(line: str) -> int:
    """Return where the unfinished last word of a line begins: what completion replaces.

    Nothing is unbalanced here: what is still open ends at the end of the line.

    Examples
    --------
    >>> fragment_start("invoke dig"), fragment_start("invoke "), fragment_start("x={a + b")
    (7, 7, 0)
    """
    last: Word | None = None
    for word in _scan(line, strict=False):
        last = word
    if last is not None and last.column + len(last.raw) == len(line):
        return last.column
    return len(line)


def _scan(line: str, *, strict: bool) -> Iterator[Word]:
    position = 0
    while position < len(line):
        if line[position].isspace():
            position += 1
            continue
        start = position
        pieces: list[Piece] = []
        while position < len(line) and not line[position].isspace():
            piece, position = _next_piece(line, position, strict=strict)
            if pieces and pieces[-1].kind == piece.kind == "plain":
                pieces[-1] = Piece(kind="plain", text=pieces[-1].text + piece.text)
            else:
                pieces.append(piece)
        yield Word(raw=line[start:position], column=start, pieces=tuple(pieces))


def _next_piece(line: str, position: int, *, strict: bool) -> tuple[Piece, int]:
    character = line[position]
    if character in _QUOTES:
        end = _quote_end(line, position, strict=strict)
        content = line[position + 1 : end - 1 if _closed(line, position, end) else end]
        return Piece(kind="quoted", text=_unescape(content)), end
    if character in _CLOSING:
        end = _bracket_end(line, position, strict=strict)
        if character == "{":
            inner = line[position + 1 : end - 1 if line[end - 1] == "}" else end]
            return Piece(kind="expression", text=inner), end
        return Piece(kind="plain", text=line[position:end]), end
    if strict and character in _CLOSING.values():
        raise _unbalanced(line, position, "was never opened")
    if character == "\\" and line[position + 1 : position + 2] in _ESCAPABLE:
        return Piece(kind="plain", text=line[position + 1 : position + 2]), position + 2
    return Piece(kind="plain", text=character), position + 1


def _closed(line: str, start: int, end: int) -> bool:
    return end - start >= 2 and line[end - 1] == line[start]


def _quote_end(line: str, start: int, *, strict: bool) -> int:
    position = start + 1
    while position < len(line):
        if line[position] == "\\":
            position += 2
        elif line[position] == line[start]:
            return position + 1
        else:
            position += 1
    if strict:
        raise _unbalanced(line, start, "is never closed")
    return len(line)


def _bracket_end(line: str, start: int, *, strict: bool) -> int:
    opened = [start]
    position = start + 1
    while position < len(line):
        character = line[position]
        if character in _QUOTES:
            position = _quote_end(line, position, strict=strict)
            continue
        if character in _CLOSING:
            opened.append(position)
        elif character in _CLOSING.values():
            if character != _CLOSING[line[opened[-1]]]:
                if strict:
                    raise _unbalanced(line, opened[-1], f"is closed by {character!r}")
                return len(line)
            opened.pop()
            if not opened:
                return position + 1
        position += 1
    if strict:
        raise _unbalanced(line, opened[-1], "is never closed")
    return len(line)


def _unbalanced(line: str, position: int, what: str) -> RequestInvalid:
    shown = line[position : position + _SHOWN_CHARACTERS]
    if position + _SHOWN_CHARACTERS < len(line):
        shown += "…"
    return RequestInvalid(
        f"Column {position + 1}: {line[position]!r} {what}, in {shown} - put a backslash before "
        "it, or quotes around the whole value, to send it as text."
    )


def _unescape(content: str) -> str:
    if "\\" not in content:
        return content
    return _ESCAPE.sub(_resolve_escape, content)


def _resolve_escape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is not None:
        return chr(int(code, 16))
    # An escape that Python doesn't know keeps its backslash, as in Python.
    return _SIMPLE_ESCAPES.get(match[4], match[0])
