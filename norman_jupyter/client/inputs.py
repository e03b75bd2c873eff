"""From what the caller passes to the values of one call."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from typing import Any, Final

from norman_jupyter.client.media import Media
from norman_jupyter.client.pictures import (
    array_to_picture,
    image_to_picture,
    is_image,
    is_picture_array,
)
from norman_protocol.arrays import object_to_value
from norman_protocol.errors import InputInvalid
from norman_protocol.values import Value

__all__ = [
    "DEFAULT_IN_FLIGHT",
    "MOST_IN_FLIGHT",
    "check_in_flight",
    "check_timeout",
    "encode_inputs",
    "is_slow",
    "merge_inputs",
]

DEFAULT_IN_FLIGHT: Final = 16
MOST_IN_FLIGHT: Final = 256
"""Calls of a map that are under way at once."""

_SLOW_BYTES = 16 << 20


def merge_inputs(inputs: Mapping[str, Any] | None, named: Mapping[str, Any]) -> Mapping[str, Any]:
    """Join the inputs of a mapping and those of keyword arguments.

    Raises
    ------
    InputInvalid
        The first is no mapping from names, or both give the same input.

    Examples
    --------
    >>> merge_inputs({"a b": 1}, {"c": 2})
    {'a b': 1, 'c': 2}
    """
    if inputs is None:
        return named
    if not isinstance(inputs, Mapping):
        raise InputInvalid(
            f"Inputs have names: pass a dictionary or keyword arguments, such as image=…, not a "
            f"{type(inputs).__qualname__}.",
            received=type(inputs).__qualname__,
        )
    for name in inputs:
        if not isinstance(name, str):
            raise InputInvalid(f"The name of an input is text, not {name!r:.60}.")
        if name in named:
            raise InputInvalid(
                f"Input {name!r} is given twice: in the dictionary and as a keyword.", input=name
            )
    return {**inputs, **named}


def is_slow(objects: Mapping[str, Any], pictures: Collection[str] = ()) -> bool:
    """Whether encoding these may block for long: files, pictures, or much that may be copied."""
    return any(
        name in pictures
        or isinstance(item, os.PathLike)
        or getattr(item, "nbytes", 0) > _SLOW_BYTES
        or is_image(item)
        for name, item in objects.items()
    )


def encode_inputs(objects: Mapping[str, Any], pictures: Collection[str] = ()) -> dict[str, Value]:
    """Turn objects into values, as `norman_protocol.arrays.object_to_value` does.

    Images of Pillow become PNG, `Media` stay what they are.

    Parameters
    ----------
    pictures
        Names of inputs for which arrays of pixels become PNG too.

    Raises
    ------
    InputInvalid
        An object can't be sent, or a file can't be read.
    """
    values: dict[str, Value] = {}
    for name, item in objects.items():
        try:
            values[name] = _encode_input(item, name, as_picture=name in pictures)
        except OSError as error:
            raise InputInvalid(
                f"Input {name!r}: the file {os.fspath(item)!r} can't be read: {error.strerror}.",
                input=name,
            ) from error
    return values


def _encode_input(item: Any, name: str, *, as_picture: bool) -> Value:
    if isinstance(item, Media):
        return Value(kind="bytes", encoding=item.encoding, buffer=item)
    if is_image(item):
        return image_to_picture(item, name)
    if as_picture and is_picture_array(item):
        return array_to_picture(item, name)
    return object_to_value(item, name=name)


def check_in_flight(count: Any) -> int:
    """Return how many rows of a map are sent at once.

    Raises
    ------
    InputInvalid
        It is no whole number, none above 0, or too large.
    """
    is_number = isinstance(count, int) and not isinstance(count, bool)
    if not is_number or not 1 <= count <= MOST_IN_FLIGHT:
        raise InputInvalid(
            f"in_flight is how many rows are sent at once, from 1 to {MOST_IN_FLIGHT}, not "
            f"{count!r:.60}."
        )
    return int(count)


def check_timeout(timeout_s: float | None) -> float | None:
    """Return the time limit.

    Raises
    ------
    InputInvalid
        It is no positive, finite number.
    """
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, (int, float)) and not isinstance(timeout_s, bool)
    if not is_number or not math.isfinite(timeout_s) or timeout_s <= 0:
        raise InputInvalid(f"timeout_s is a positive number of seconds, not {timeout_s!r:.60}.")
    return float(timeout_s)
