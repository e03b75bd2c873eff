"""Words into values: variables, literals, files, text and expressions of the notebook."""

from __future__ import annotations

import ast
import builtins
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeAlias

from norman_jupyter.magics.words import Word
from norman_protocol.arrays import name_type
from norman_protocol.errors import InputInvalid, NormanError, RequestInvalid

__all__ = [
    "Binding",
    "Namespace",
    "explain_input_error",
    "resolve_bindings",
    "resolve_number",
    "resolve_object",
    "resolve_path",
    "resolve_text",
    "resolve_value",
]

Source: TypeAlias = Literal["variable", "literal", "file", "text", "quoted", "expression"]

_NOT_A_LITERAL = object()
_QUOTED_CHARACTERS = 80
_FORMATTED = re.compile(r"[fFtT][rR]?['\"]|[rR][fFtT]['\"]")
_LEADING_NAME = re.compile(r"([^\W\d]\w*)\s*[.\[(+*/-]")
_LITERAL_START = frozenset("0123456789+-.([{'\"bBrRuUTFN")
"""The first characters of Python literals; anything else needs no parser to be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The notebook's variables, and how to evaluate an expression among them."""

    variables: Mapping[str, Any]
    evaluate: Callable[[str], Any]

    @classmethod
    def of(cls, variables: dict[str, Any]) -> Namespace:
        """Return the namespace of a dictionary of variables."""

        def evaluate(source: str) -> Any:
            # The user's own code, typed into the user's own notebook: that is the feature.
            return eval(source, variables)  # noqa: S307

        return cls(variables=variables, evaluate=evaluate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A value, and as what its word was read."""

    raw: str
    source: Source
    value: Any


def resolve_bindings(words: Sequence[Word], namespace: Namespace) -> dict[str, Binding]:
    """Resolve the ``KEY=VALUE`` words of a line.

    Raises
    ------
    RequestInvalid
        A word is no ``KEY=VALUE``.
    InputInvalid
        A key is given twice, a forced file doesn't exist, or an expression raises.
    """
    bindings: dict[str, Binding] = {}
    for word in words:
        name, value = word.partition("=") or (None, None)
        if not name or value is None:
            raise RequestInvalid(
                f"{word.raw[:60]!r} at column {word.column + 1} is no KEY=VALUE. Write "
                "input=value without spaces around '=', and quotes around a text with spaces.",
                field="KEY=VALUE",
            )
        if name in bindings:
            raise InputInvalid(f"Input {name!r} is given twice.", input=name)
        bindings[name] = resolve_value(name, value, namespace)
    return bindings


def resolve_value(name: str, word: Word, namespace: Namespace) -> Binding:
    """Resolve one value: variable, literal, file or text, in this order; or what it is forced to.

    Raises
    ------
    InputInvalid
        A file forced by ``@`` doesn't exist, or an expression raises.

    Examples
    --------
    >>> from norman_jupyter.magics.words import split_words
    >>> scope = Namespace.of({"img": b"png"})
    >>> [resolve_value("x", word, scope).value for word in split_words("img 3 '3' {len(img)}")]
    [b'png', 3, '3', 3]
    """
    if word.is_quoted:
        return Binding(raw=word.raw, source="quoted", value=word.text)
    if word.raw.startswith("@"):
        return Binding(raw=word.raw, source="file", value=_forced_file(name, word, namespace))
    if _is_identifier(word.raw) and word.raw in namespace.variables:
        return Binding(raw=word.raw, source="variable", value=namespace.variables[word.raw])
    literal = _literal(word.raw)
    if literal is not _NOT_A_LITERAL:
        return Binding(raw=word.raw, source="literal", value=literal)
    if word.expression is not None:
        value = resolve_object(word, namespace, what=name)
        return Binding(raw=word.raw, source="expression", value=value)
    if _FORMATTED.match(word.raw):
        raise InputInvalid(
            f"Input {name!r}: a formatted string is an expression. Write {name}={{{word.raw}}}.",
            input=name,
        )
    text = resolve_text(word, namespace, what=name)
    path = os.path.expanduser(text)  # noqa: PTH111 - Path can't tell "" from "."
    if path and os.path.isfile(path):  # noqa: PTH113 - False, not an error, for a long text
        return Binding(raw=word.raw, source="file", value=Path(path))
    return Binding(raw=word.raw, source="text", value=text)


def resolve_object(word: Word, namespace: Namespace, *, what: str) -> Any:
    """Return the object of a word that is one ``{expression}``, else its text.

    Raises
    ------
    InputInvalid
        The expression is no Python, or raises.
    """
    if word.expression is None:
        return resolve_text(word, namespace, what=what)
    source = word.expression.strip()
    if _parsed(source) is None and _parsed(word.raw) is not None:
        source = word.raw  # {"key": variable}: a dictionary, whose braces are its own
    return _evaluate(source, namespace, what)


def resolve_text(word: Word, namespace: Namespace, *, what: str) -> str:
    """Return a word's text, with the value of each ``{expression}`` in its place.

    Raises
    ------
    InputInvalid
        An expression is no Python, or raises.

    Examples
    --------
    >>> from norman_jupyter.magics.words import split_words
    >>> (word,) = split_words("runs/{n + 1}")
    >>> resolve_text(word, Namespace.of({"n": 1}), what="PATH")
    'runs/2'
    """
    return "".join(
        str(_evaluate(piece.text.strip(), namespace, what))
        if piece.kind == "expression"
        else piece.text
        for piece in word.pieces
    )


def resolve_path(word: Word, namespace: Namespace, *, what: str) -> Path:
    """Return the path that a word names, or its expression gives; ``~`` is home.

    Raises
    ------
    InputInvalid
        The expression gives something else, or raises.
    """
    value = resolve_object(word, namespace, what=what)
    if not isinstance(value, (str, os.PathLike)):
        raise InputInvalid(
            f"{what}: {word.raw[:80]} is {name_type(value)}; a path is needed.",
            input=what,
            received=type(value).__qualname__,
        )
    path = Path(value)
    try:
        return path.expanduser()
    except RuntimeError:  # ~someone, who isn't known here: a folder may be called so
        return path


def resolve_number(word: Word, namespace: Namespace, *, what: str) -> float:
    """Return the positive, finite number that a word stands for.

    Raises
    ------
    RequestInvalid
        It is none.
    """
    value = resolve_object(word, namespace, what=what)
    if isinstance(value, str) and word.raw in namespace.variables:
        value = namespace.variables[word.raw]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise RequestInvalid(
            f"{what} takes a number above zero, not {word.raw[:60]!r}.", field=what
        )
    return number


def explain_input_error(
    error: InputInvalid, bindings: Mapping[str, Binding], namespace: Namespace
) -> str | None:
    """Say how the value of a refused input was read, where that is likely the mistake.

    Returns None where there is nothing to add to the error's own message.
    """
    binding = bindings.get(error.input)
    if binding is None:
        return None
    if error.expected == "text" and not isinstance(binding.value, (str, bytes, os.PathLike)):
        return _text_hint(error.input, binding)
    if binding.source == "variable":
        if isinstance(binding.value, (str, bytes, int, float, list, tuple, dict)):
            return None
        if hasattr(binding.value, "__array__"):
            return None
        return f"{binding.raw} is a variable here; {error.input}={binding.raw!r} sends the text."
    if binding.source != "text":
        return None
    if _looks_computed(binding.raw, namespace.variables):
        return f"An expression needs braces: {error.input}={{{binding.raw}}}."
    reading = f"{_shortened(binding.raw)} was taken as text: no variable or file is called so"
    nearest = get_close_matches(binding.raw, _visible(namespace.variables), n=1, cutoff=0.6)
    return f"{reading}. Did you mean {nearest[0]}?" if nearest else f"{reading}."


def _text_hint(name: str, binding: Binding) -> str | None:
    """Say how to send as text what was read as an object."""
    if binding.source == "variable":
        return f"{name}={{str({binding.raw})}} sends it as text, {name}={binding.raw!r} its name."
    if binding.source != "literal":
        return None
    if len(binding.raw) > _QUOTED_CHARACTERS:
        return "Quotes around the value send it as text."
    escaped = binding.raw.replace("\\", "\\\\").replace('"', '\\"')
    return f'As text: {name}="{escaped}".'


def _looks_computed(raw: str, variables: Mapping[str, Any]) -> bool:
    """Return whether what was read as text is probably an expression that lacks its braces."""
    leading = _LEADING_NAME.match(raw)
    if leading and leading[1] in variables:
        return True
    tree = _parsed(raw)
    if tree is None or isinstance(tree.body, (ast.Constant, ast.Name)):
        return False
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return all(
        node.id in bound or node.id in variables or hasattr(builtins, node.id) for node in names
    )


def _visible(variables: Mapping[str, Any]) -> list[str]:
    return [name for name in variables if not name.startswith("_")]


def _is_identifier(text: str) -> bool:
    return text.isidentifier()


def _literal(raw: str) -> Any:
    if raw[:1] not in _LITERAL_START:
        return _NOT_A_LITERAL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape is no concern of the user's here
            value = ast.literal_eval(raw)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NOT_A_LITERAL
    # {x} is an expression in braces, and three dots are text: neither could be sent as it is.
    return _NOT_A_LITERAL if isinstance(value, set) or value is ... else value


def _parsed(source: str) -> ast.Expression | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, "<expression>", "eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _evaluate(source: str, namespace: Namespace, what: str) -> Any:
    try:
        return namespace.evaluate(source)
    except NormanError:
        raise
    except Exception as error:  # the user's expression may raise anything
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if isinstance(error, SyntaxError):
            reason = f"not a Python expression ({error.msg})"
        raise InputInvalid(
            f"{what}: {{{_shortened(source)}}}: {_shortened(reason, 300)}", input=what
        ) from error


def _forced_file(name: str, word: Word, namespace: Namespace) -> Path:
    rest = Word(
        raw=word.raw[1:],
        column=word.column + 1,
        pieces=tuple(
            piece if index else type(piece)(kind=piece.kind, text=piece.text[1:])
            for index, piece in enumerate(word.pieces)
        ),
    )
    path = Path(resolve_text(rest, namespace, what=name))
    try:
        path = path.expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            kind, hint = "is a folder; a file is needed", ""
        elif path.exists():  # a device, or a pipe such as a shell's <(…)
            kind, hint = "is no regular file, and only such are read by name", ""
        else:
            kind, hint = "doesn't exist", _nearest_files(path)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        kind, hint = f"can't be read ({reason})", ""
    raise InputInvalid(
        f"Input {name!r}: the file {_shortened(str(path))} {kind}.{hint}", input=name
    )


def _nearest_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {_shortened(str(path.parent))}."
    names = sorted(entry.name for entry in path.parent.iterdir())
    nearest = get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(nearest)}?" if nearest else ""


def _shortened(text: str, limit: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
