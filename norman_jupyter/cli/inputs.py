"""The inputs of a call, as a shell's words and its standard input say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from norman_jupyter.magics.bindings import Namespace, resolve_value
from norman_jupyter.magics.words import Word, plain_word
from norman_protocol.decoding import parse_json
from norman_protocol.errors import InputInvalid, RequestInvalid
from norman_protocol.media import FILES, MEDIA, Modality

if TYPE_CHECKING:
    from typing import TextIO

    from norman_protocol.signature import Parameter, Signature

__all__ = ["read_inputs", "text_inputs"]

_STDIN: Final = "-"
_PYTHON: Final = {"True": True, "False": False, "None": None}
"""What a line copied from a notebook says in place of JSON's words."""

_NOTHING: Final = Namespace(variables={}, evaluate=lambda source: source)


def read_inputs(
    words: Sequence[Word], signature: Signature | None, stdin: TextIO
) -> dict[str, Any]:
    """Read ``KEY=VALUE`` words, and ``-`` as a JSON object of inputs on standard input.

    Parameters
    ----------
    signature
        Of the version that is called: what an input takes decides how its value is read.

    Raises
    ------
    RequestInvalid
        A word is neither, or standard input is asked for twice or holds no JSON object.
    InputInvalid
        An input is given twice, or its file can't be read.
    """
    wanted = {} if signature is None else {item.name: item for item in signature.inputs}
    if sum(_takes_stdin(word) for word in words) > 1:
        raise RequestInvalid("Standard input can be read only once: leave one '-' out.", field="-")
    inputs: dict[str, Any] = {}
    for word in words:
        given: Mapping[str, Any]
        if word.text == _STDIN:
            given = _object_of(stdin)
        else:
            name, value = _binding(word)
            given = {name: _read(name, value, wanted.get(name), stdin)}
        for name in given:
            if name in inputs:
                raise InputInvalid(f"Input {name!r} is given twice.", input=name)
        inputs.update(given)
    return inputs


def text_inputs(words: Sequence[Word], inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the inputs that were read as text, for want of something better.

    Examples
    --------
    >>> from norman_jupyter.magics.words import plain_word
    >>> sorted(text_inputs([plain_word("a=3"), plain_word("b=x")], {"a": 3, "b": "x"}))
    ['b']
    """
    given = (word.text.partition("=") for word in words)
    return frozenset(name for name, _, value in given if inputs.get(name) == value)


def _takes_stdin(word: Word) -> bool:
    return word.text == _STDIN or word.text.partition("=")[2] == f"@{_STDIN}"


def _binding(word: Word) -> tuple[str, Word]:
    name, equals, value = word.text.partition("=")
    if not name or not equals:
        raise RequestInvalid(
            f"{word.text[:60]!r} is no KEY=VALUE. Write input=value without spaces around '=', "
            "and quotes around a value with spaces; - reads a JSON object of inputs from "
            "standard input.",
            field="KEY=VALUE",
        )
    return name, plain_word(value)


def _object_of(stdin: TextIO) -> Mapping[str, Any]:
    given = parse_json(stdin.buffer.read())
    if not isinstance(given, dict):
        raise RequestInvalid(
            'Standard input holds no JSON object of inputs, such as {"image": [[0, 1]]}.', field="-"
        )
    return given


def _read(name: str, word: Word, parameter: Parameter | None, stdin: TextIO) -> Any:
    text = word.text
    if text == f"@{_STDIN}":
        return stdin.buffer.read()
    modality = None if parameter is None else parameter.modality
    if text.startswith("@"):
        return _loaded(name, _path(name, text), modality)
    if modality is Modality.TEXT:
        return text
    if modality in FILES:
        # A list is a medium that is decoded already, an object {"base64": …} a file.
        return (
            _json(text)
            if text[:1] in ("[", "{")
            else _loaded(name, _path(name, f"@{text}"), modality)
        )
    return _PYTHON[text] if text in _PYTHON else _json(text)


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except RequestInvalid:
        return text


def _path(name: str, text: str) -> Path:
    # What begins with @ is a file, or an error.
    return Path(resolve_value(name, plain_word(text), _NOTHING).value)


def _loaded(name: str, path: Path, modality: Modality | None) -> Any:
    """Return a file, or the array or JSON in it where that is what the input takes."""
    if modality is None or modality in (Modality.TEXT, Modality.FILE):
        return path
    try:
        if path.suffix == ".npy":
            import numpy as np

            return np.load(path, allow_pickle=False)
        if path.suffix == ".json" and modality not in MEDIA:
            return parse_json(path.read_bytes())
    except OSError as error:
        raise InputInvalid(
            f"Input {name!r}: {path} can't be read: {error.strerror or error}.", input=name
        ) from error
    except (ValueError, RequestInvalid) as error:
        raise InputInvalid(f"Input {name!r}: {path} is damaged: {error}", input=name) from error
    return path
