"""JSON in and out: strict parsing, and dicts into typed dataclasses.

The standard library's dataclasses are the schema: no second description of a message exists. A
decoder is compiled once per class from its type hints, so that decoding costs a few dictionary
look-ups per field.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar, Union

from norman_protocol.errors import RequestInvalid

__all__ = ["JsonValue", "decode", "dump_json", "encode", "parse_json"]

JsonValue: TypeAlias = Any
"""What JSON can say: None, bool, int, float, str, list, or dict with text keys."""

T = TypeVar("T")
_Decoder: TypeAlias = Callable[[Any, str], Any]

_SCALARS = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
_SHOWN_CHARACTERS = 60
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_constant(text: str) -> NoReturn:
    raise RequestInvalid(
        f"{text} is not JSON. Send null, or the value inside a tensor in binary form."
    )


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise RequestInvalid(f"{_shorten(text)} is larger than any 64-bit number.")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RequestInvalid(f"The key {_shorten(key)!r} stands twice in one object.")
            seen.add(key)
    return keys


# Built once: json.loads and json.dumps build one for each call that has options.
_JSON_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique
)
_HEADER_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_JSON_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _read_json(text: str, decoder: json.JSONDecoder) -> JsonValue:
    # What we write ourselves has no white space around it: this way skips looking for some.
    try:
        value, end = decoder.raw_decode(text)
    except ValueError:
        end = -1
    return value if end == len(text) else decoder.decode(text)


def parse_json(
    data: bytes | bytearray | memoryview | str, *, unique_keys: bool = True
) -> JsonValue:
    """Parse strict JSON.

    Parameters
    ----------
    unique_keys
        Refuse a key that stands twice in one object; else the last one counts. It costs a call of
        Python for each object, which the headers of frames, read once and never handed on, spare.

    Raises
    ------
    RequestInvalid
        Not UTF-8, not JSON, a key twice in one object, NaN, Infinity or a number that becomes
        one, text with lone surrogates, or nested deeper than the interpreter can follow.

    Examples
    --------
    >>> parse_json(b'{"seed": 7, "names": ["a", null]}')
    {'seed': 7, 'names': ['a', None]}
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        value = _read_json(text, _JSON_DECODER if unique_keys else _HEADER_DECODER)
        # A lone surrogate could never be written as UTF-8 again.
        if text is data:
            text.encode()
        if "\\u" in text and _SURROGATE_ESCAPE.search(text):
            _JSON_ENCODER.encode(value).encode()
    except RecursionError:
        raise RequestInvalid("The JSON is nested too deep.") from None
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The JSON is not UTF-8 (byte {error.start}).") from None
    except UnicodeEncodeError:
        raise RequestInvalid("The JSON holds a lone surrogate, which is no character.") from None
    except ValueError as error:
        raise RequestInvalid(f"This is not JSON: {error}") from None
    return value


def dump_json(value: JsonValue, *, surrogates: Literal["strict", "replace"] = "strict") -> bytes:
    """Write compact, strict JSON.

    Parameters
    ----------
    surrogates
        What becomes of lone surrogates, which UTF-8 can't say: an error, or a question mark.

    Raises
    ------
    RequestInvalid
        The value holds NaN, Infinity, or something that JSON has no word for.

    Examples
    --------
    >>> dump_json({"seed": 7, "names": ("a", None)})
    b'{"seed":7,"names":["a",null]}'
    """
    try:
        return _JSON_ENCODER.encode(value).encode("utf-8", surrogates)
    except (RecursionError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise RequestInvalid(f"The value can't be written as JSON: {error}") from None


def encode(value: Any) -> JsonValue:
    """Turn dataclasses, enums and tuples into what `dump_json` takes; defaults are written too.

    Raises
    ------
    RequestInvalid
        The value is nested deeper than the interpreter can follow.
    """
    try:
        return _encode(value)
    except RecursionError:
        raise RequestInvalid("The value is nested too deep.") from None


_PLAIN = frozenset({str, int, float, bool, type(None)})


@lru_cache(maxsize=512)
def _field_names(kind: Any) -> tuple[str, ...] | None:
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _encode(value: Any) -> JsonValue:
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(typing.cast(typing.Hashable, kind))
    if names is not None:
        return {name: _encode(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value


def decode(cls: type[T], value: JsonValue, *, tolerant: bool = False, **extra: Any) -> T:
    """Build ``cls`` (a dataclass) from parsed JSON.

    Parameters
    ----------
    tolerant
        Pass over keys that ``cls`` doesn't know: for answers of a newer peer. Requests and
        configuration are decoded strictly, so that a misspelt option fails loudly.
    **extra
        Fields that don't come from JSON, passed to ``cls`` as they are.

    Raises
    ------
    RequestInvalid
        A key is unknown (with the nearest known ones) or missing, or a value has the wrong type;
        ``field`` names the place, such as ``manifest.files[3].digest``.
    """
    kind: Any = cls
    decoder: Callable[[Any, str, dict[str, Any]], Any] = _dataclass_decoder(kind, tolerant)
    return typing.cast(T, decoder(value, "", extra))


def _fail(place: str, expected: str, value: Any) -> NoReturn:
    # reprlib bounds both depth and length: the value is a stranger's.
    shown = _shorten(reprlib.repr(value))
    place = _shorten_place(place)
    raise RequestInvalid(f"{place or 'The body'} must be {expected}, not {shown}.", field=place)


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def _shorten_place(place: str) -> str:
    return place if len(place) <= 300 else f"{place[:150]}...{place[-147:]}"


@lru_cache(maxsize=512)
def _decoder(kind: Any, tolerant: bool) -> _Decoder:
    if kind is Any:
        return _anything
    if kind in _SCALARS:
        return _scalar_decoder(kind)
    if kind is type(None):
        return _none
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum_decoder(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _without_extra(_dataclass_decoder(kind, tolerant))
    return _generic_decoder(kind, tolerant)


def _without_extra(decoder: Callable[[Any, str, dict[str, Any]], Any]) -> _Decoder:
    return lambda value, place: decoder(value, place, {})


def _anything(value: Any, place: str) -> Any:  # noqa: ARG001 - a decoder's signature
    return value


def _none(value: Any, place: str) -> None:
    if value is not None:
        _fail(place, "null", value)


def _scalar_decoder(kind: type) -> _Decoder:
    expected = _SCALARS[kind]

    def decode_scalar(value: Any, place: str) -> Any:
        if type(value) is kind:
            return value
        _fail(place, expected, value)

    def decode_integer(value: Any, place: str) -> Any:
        if type(value) is int and -(1 << 63) <= value < 1 << 63:
            return value
        _fail(place, "an integer of 64 bits" if type(value) is int else expected, value)

    def decode_float(value: Any, place: str) -> Any:
        if type(value) is float:
            return value
        if type(value) is int and abs(value) < 1 << 1023:
            return float(value)
        _fail(place, expected, value)

    return {int: decode_integer, float: decode_float}.get(kind, decode_scalar)


def _enum_decoder(kind: type[enum.Enum]) -> _Decoder:
    members = {member.value: member for member in kind}
    expected = "one of " + ", ".join(map(str, members))

    def decode_enum(value: Any, place: str) -> enum.Enum:
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            _fail(place, expected, value)
        return member

    return decode_enum


def _generic_decoder(kind: Any, tolerant: bool) -> _Decoder:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return _literal_decoder(arguments)
    if origin in (Union, types.UnionType):
        return _union_decoder(arguments, tolerant)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _list_decoder(_decoder(arguments[0], tolerant), tuple)
    if origin is list:
        return _list_decoder(_decoder(arguments[0], tolerant), list)
    if origin is dict or origin is Mapping:
        return _dict_decoder(_decoder(arguments[1], tolerant))
    raise TypeError(f"no decoder for {kind!r}")


def _literal_decoder(choices: tuple[Any, ...]) -> _Decoder:
    expected = "one of " + ", ".join(map(str, choices))

    def decode_literal(value: Any, place: str) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return value
        _fail(place, expected, value)

    return decode_literal


def _union_decoder(arguments: tuple[Any, ...], tolerant: bool) -> _Decoder:
    optional = type(None) in arguments
    options = [_decoder(kind, tolerant) for kind in arguments if kind is not type(None)]

    def decode_union(value: Any, place: str) -> Any:
        if value is None and optional:
            return None
        for option in options[:-1]:
            try:
                return option(value, place)
            except RequestInvalid:
                continue
        return options[-1](value, place)

    return decode_union


def _list_decoder(item: _Decoder, build: Callable[[list[Any]], Any]) -> _Decoder:
    def decode_list(value: Any, place: str) -> Any:
        if type(value) is not list:
            _fail(place, "a list", value)
        return build([item(part, f"{place}[{index}]") for index, part in enumerate(value)])

    return decode_list


def _dict_decoder(item: _Decoder) -> _Decoder:
    def decode_dict(value: Any, place: str) -> Any:
        if type(value) is not dict:
            _fail(place, "an object", value)
        return {key: item(part, f"{place}.{key}") for key, part in value.items()}

    return decode_dict


@lru_cache(maxsize=512)
def _dataclass_decoder(cls: type, tolerant: bool) -> Callable[[Any, str, dict[str, Any]], Any]:
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    # Compiled at first use: a class may hold itself.
    decoders: dict[str, _Decoder] = {}
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def decode_dataclass(value: Any, place: str, extra: dict[str, Any]) -> Any:
        if type(value) is not dict:
            _fail(place, "an object", value)
        prefix = f"{place}." if place else ""
        arguments = dict(extra)
        for key, part in value.items():
            if key not in fields:
                if tolerant:
                    continue
                _refuse_key(f"{prefix}{key}", key, fields)
            decoder = decoders.get(key)
            if decoder is None:
                decoder = decoders[key] = _decoder(hints[key], tolerant)
            arguments[key] = decoder(part, f"{prefix}{key}")
        for name in required:
            if name not in arguments:
                missing = _shorten_place(f"{prefix}{name}")
                raise RequestInvalid(f"{missing} is missing.", field=missing)
        return cls(**arguments)

    return decode_dataclass


def _refuse_key(place: str, key: str, known: Mapping[str, Any]) -> NoReturn:
    nearest = get_close_matches(key[:200], known, n=3, cutoff=0.5)
    if nearest:
        hint = f" Did you mean {' or '.join(nearest)}?"
    else:
        hint = f" Known are {', '.join(known)}." if known else " Nothing is known here."
    place = _shorten_place(place)
    raise RequestInvalid(f"{place} is unknown.{hint}", field=place, nearest=nearest)
