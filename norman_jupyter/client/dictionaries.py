"""Calls as the Norman SDK writes them: a dictionary in, bytes by title out."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, TypeAlias

from norman_jupyter.client.contents import read_content
from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.inputs import encode_inputs
from norman_jupyter.client.media import Media
from norman_jupyter.client.sources import (
    SourceFailed,
    copy_stream,
    copy_url,
    file_path,
    resolve_source,
)
from norman_jupyter.client.web import WebLimits, url_file_name
from norman_jupyter.packaging.configuration import SOURCES
from norman_jupyter.packaging.tables import Table
from norman_protocol.arrays import value_to_array
from norman_protocol.declaration import OutputFormat
from norman_protocol.decoding import dump_json
from norman_protocol.errors import InputInvalid, OutputInvalid
from norman_protocol.media import ENCODINGS, MEDIA, Modality
from norman_protocol.references import parse_reference
from norman_protocol.rest import VersionDetail
from norman_protocol.signature import Parameter, describe_parameter
from norman_protocol.values import Value

__all__ = [
    "CONSUME_MODES",
    "Answer",
    "BlockingAnswer",
    "DictionaryCall",
    "GivenInput",
    "check_alone",
    "check_titles",
    "output_bytes",
    "read_call",
    "read_input",
    "stream_bytes",
    "stream_bytes_blocking",
]

Answer: TypeAlias = "dict[str, bytes | AsyncIterator[bytes]]"
BlockingAnswer: TypeAlias = "dict[str, bytes | Iterator[bytes]]"

CONSUME_MODES: Final = ("bytes", "stream")
_PIECE_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInput:
    """One input of a dictionary; ``source`` is None where that is to be told from the data."""

    title: str
    data: Any
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryCall:
    """A call that a dictionary asks for.

    Attributes
    ----------
    reference
        A model, maybe with ``@version`` or ``@alias``.
    outputs
        How outputs are wanted, by title; what isn't named comes as bytes.
    """

    reference: str
    inputs: tuple[GivenInput, ...] = ()
    outputs: Mapping[str, str]


def read_call(dictionary: Mapping[str, Any]) -> DictionaryCall:
    """Read a dictionary that asks for a call.

    Raises
    ------
    ConfigurationInvalid
        A key or value isn't known (the message names the nearest), or has another type.
    InputInvalid
        Two inputs have one title.

    Examples
    --------
    >>> call = read_call({"model_name": "digits@2", "inputs": [
    ...     {"display_title": "Image", "data": "./seven.png"}]})
    >>> call.reference, call.inputs[0].title
    ('digits@2', 'Image')
    """
    table = Table(dictionary, "the call", ("model_name", "inputs", "outputs"))
    inputs: dict[str, GivenInput] = {}
    for entry in table.tables("inputs", ("display_title", "data", "source")):
        title = entry.needed_text("display_title")
        if title in inputs:
            raise InputInvalid(
                f"Two inputs are called {title!r}. Give each title once.", input=title
            )
        if "data" not in entry:
            raise InputInvalid(f"Input {title!r} has no 'data'.", input=title)
        source = entry.choice("source", SOURCES)
        inputs[title] = GivenInput(title=title, data=entry.get("data"), source=source)
    outputs: dict[str, str] = {}
    for entry in table.tables("outputs", ("display_title", "consume_mode")):
        title = entry.needed_text("display_title")
        if title in outputs:
            raise entry.refuse("display_title", f"{title!r} stands twice")
        outputs[title] = entry.choice("consume_mode", CONSUME_MODES) or "bytes"
    return DictionaryCall(
        reference=str(parse_reference(table.needed_text("model_name"))),
        inputs=tuple(inputs.values()),
        outputs=outputs,
    )


def check_alone(inputs: Mapping[str, Any] | None, named: Mapping[str, Any]) -> None:
    """Check that a dictionary is all that a call is made of.

    Raises
    ------
    InputInvalid
        Inputs were passed beside it.
    """
    if inputs is not None or named:
        raise InputInvalid(
            "A call that is a dictionary has its inputs in it, under 'inputs'. Call with the "
            "model's name instead: invoke(name, inputs)."
        )


def check_titles(call: DictionaryCall, version: VersionDetail) -> None:
    """Check that the version has the inputs and outputs of a call, before anything is fetched.

    Raises
    ------
    InputInvalid, OutputInvalid
        It hasn't; the message names the nearest title.
    """
    if version.signature is None:  # it never loaded: the call will say so
        return
    known = [parameter.name for parameter in version.signature.inputs]
    for given in call.inputs:
        if given.title not in known:
            nearest = _nearest(given.title, known)
            raise InputInvalid(
                _no_title("input", given.title, version.reference, nearest, known),
                input=given.title,
                nearest=nearest or known,
            )
    known = [parameter.name for parameter in version.signature.outputs]
    for title in call.outputs:
        if title not in known:
            message = _no_title("output", title, version.reference, _nearest(title, known), known)
            raise OutputInvalid(message, output=title)


def _nearest(title: str, known: list[str]) -> list[str]:
    lower = {one.lower(): one for one in reversed(known)}
    return [lower[one] for one in get_close_matches(title.lower(), lower, n=3, cutoff=0.4)]


def _no_title(what: str, title: str, reference: str, nearest: list[str], known: list[str]) -> str:
    if nearest:
        hint = f"Did you mean {' or '.join(map(repr, nearest))}?"
    else:
        hint = f"It has {', '.join(map(repr, known[:10])) or 'none'}."
    return f"{reference} has no {what} {title[:60]!r}. {hint}"


def read_input(
    given: GivenInput, limits: WebLimits, parameter: Parameter | None = None
) -> Steps[Value]:
    """Bring the data of an input here, from wherever it is.

    Parameters
    ----------
    parameter
        What takes it; None where that isn't known.

    Raises
    ------
    InputInvalid
        It can't be had, or no value can hold it; the message names the input. Nothing was sent.
    """
    try:
        value = yield from _read_input(given, limits, parameter)
    except SourceFailed as error:
        message = f"Input {given.title!r}: {str(error).rstrip('.')}. The call was not sent."
        raise InputInvalid(message, input=given.title) from error
    return (
        value if parameter is None else (yield from work(partial(read_content, parameter, value)))
    )


def _read_input(given: GivenInput, limits: WebLimits, parameter: Parameter | None) -> Steps[Value]:
    data = given.data
    source = resolve_source(data, given.source)
    if source == "Primitive" and given.source is None and isinstance(data, str):
        _check_no_path(data, parameter)
    pieces: list[bytes] = []
    if source == "Link":
        yield from copy_url(data, pieces.append, limits)
        return Value(kind="bytes", file_name=url_file_name(data), buffer=b"".join(pieces))
    if source == "Stream":
        is_text = yield from copy_stream(data, pieces.append, limits.size_bytes)
        return Value(kind="text" if is_text else "bytes", buffer=b"".join(pieces))
    if source == "File" and not isinstance(data, (bytes, bytearray, memoryview)):
        data = file_path(data)
    is_picture = parameter is not None and parameter.modality is Modality.IMAGE
    pictures = (given.title,) if is_picture else ()
    values = yield from work(partial(encode_inputs, {given.title: data}, pictures))
    return values[given.title]


def _check_no_path(text: str, parameter: Parameter | None) -> None:
    """Refuse a text for a medium, which can only be meant as a file's path, before it is sent."""
    if parameter is not None and parameter.modality in MEDIA:
        kind = describe_parameter(replace(parameter, layout=None))
        raise SourceFailed(f"it takes {kind}, and there is no file {text[:200]!r}")


def output_bytes(value: Value, output_format: OutputFormat | None, title: str = "") -> bytes:
    r"""Return an output as bytes: a file as it is, text as UTF-8, all else as JSON.

    Parameters
    ----------
    output_format
        ``binary`` makes a tensor a ``.npy`` file; else it becomes nested lists, with null for what
        JSON has no number for.
    title
        Of the output.

    Examples
    --------
    >>> output_bytes(Value(kind="tensor", dtype="uint8", shape=(2,), buffer=b"\1\2"), "json")
    b'[1,2]'
    """
    if value.kind != "tensor":
        data = bytes(value.buffer)
        known = value.kind == "bytes" and value.encoding in ENCODINGS
        return Media(data, encoding=value.encoding or "", display_title=title) if known else data
    array = value_to_array(value)
    if output_format == "binary":
        return _npy(array)
    return dump_json(_plain(array.tolist()))


def _npy(array: Any) -> bytes:
    import numpy as np

    if array.dtype.kind == "O":  # text
        array = np.asarray(array, dtype=np.str_)
    elif array.dtype.kind not in "?biufcU":  # of ml_dtypes: nothing else could read it back
        array = array.astype(np.float32)
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _plain(nested: Any) -> Any:
    if isinstance(nested, list):
        return [_plain(item) for item in nested]
    if isinstance(nested, complex):
        return [_plain(nested.real), _plain(nested.imag)]
    if isinstance(nested, (str, bool, int)):
        return nested
    number = float(nested)
    return number if number - number == 0 else None  # neither NaN nor infinite


def stream_bytes_blocking(data: bytes) -> Iterator[bytes]:
    """Give bytes in pieces."""
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES]


async def stream_bytes(data: bytes) -> AsyncIterator[bytes]:
    """Give bytes in pieces, for ``async for``."""
    for piece in stream_bytes_blocking(data):
        yield piece
