"""Python objects to values and back: the one module here that uses NumPy, where it is present.

NumPy is imported only when an array is met, so that a model without tensors needs none. Element
types that NumPy lacks (bfloat16, the floats of 8 bits and less, the 4-bit and 2-bit integers) come
from ml_dtypes.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from norman_protocol.decoding import dump_json, parse_json
from norman_protocol.errors import InputInvalid, ProtocolViolation, RequestInvalid
from norman_protocol.frames import Buffer
from norman_protocol.tensors import DTYPES, join_strings, split_strings
from norman_protocol.values import Value, describe_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

__all__ = [
    "array_to_value",
    "name_type",
    "numpy_dtype",
    "object_to_value",
    "value_to_array",
    "value_to_object",
]

_LITTLE = sys.byteorder == "little"


def name_type(value: object) -> str:
    """Say of what type an object is, with its article.

    Examples
    --------
    >>> name_type(object()), name_type(3.5)
    ('an object', 'a float')
    """
    name = type(value).__qualname__
    # A name with u mostly sounds as in "a UUID" and "a ufunc".
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


@lru_cache(maxsize=64)
def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of a name of `DTYPES`; ``string`` is ``object`` (of ``str``).

    Raises
    ------
    InputInvalid
        The type lives in ml_dtypes, and that isn't installed here.
    """
    import numpy as np

    if name == "string":
        return np.dtype(object)
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        extension: np.dtype[Any] = np.dtype(getattr(importlib.import_module("ml_dtypes"), name))
    except (ImportError, AttributeError) as error:
        raise InputInvalid(
            f"Arrays of {name} need the package ml_dtypes in {sys.executable}: "
            "pip install ml_dtypes",
            expected=name,
        ) from error
    return extension


def object_to_value(value: Any, *, name: str = "value") -> Value:
    """Turn an object of Python into a value.

    ndarray (and whatever offers ``__array__``: tensors, series, NumPy scalars) → tensor; str →
    text; bytes-like → bytes; Path → the file's bytes; None, bool, int, float, list, tuple, dict →
    json. A float that JSON can't say (NaN, Infinity) becomes a float64 scalar tensor.

    Parameters
    ----------
    name
        What to call the value in errors.

    Raises
    ------
    InputInvalid
        No value can hold this object; the message says which do.
    OSError
        A Path that can't be read.
    """
    if isinstance(value, str):
        return Value(kind="text", buffer=_utf8(value, name))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Value(kind="bytes", buffer=bytes(value))
    if isinstance(value, os.PathLike):
        path = Path(value)
        return Value(kind="bytes", file_name=path.name, buffer=path.read_bytes())
    if isinstance(value, float) and not math.isfinite(value):
        import numpy as np

        return array_to_value(np.float64(value), name=name)
    if value is None or isinstance(value, (bool, int, float, list, tuple, Mapping)):
        return Value(kind="json", buffer=_json(value, name))
    if hasattr(value, "__array__"):
        return array_to_value(value, name=name)
    raise InputInvalid(
        f"{name!r} is {name_type(value)}, which can't be sent. Send an array, text, a number, "
        "bytes, a list, a dictionary or a Path.",
        input=name,
        received=type(value).__qualname__,
    )


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _no_characters(name) from None


def _no_characters(name: str) -> InputInvalid:
    return InputInvalid(f"{name!r} holds lone surrogates, which UTF-8 can't say.", input=name)


def _json(value: Any, name: str) -> bytes:
    try:
        return dump_json(value)
    except RequestInvalid:
        pass
    try:
        return dump_json(_without_arrays(value))
    except RecursionError:
        raise InputInvalid(f"{name!r} holds itself, or is nested too deep.", input=name) from None
    except RequestInvalid as error:
        raise InputInvalid(f"{name!r}: {error.message}", input=name) from None


def _without_arrays(value: Any) -> Any:
    """Replace NumPy scalars and arrays inside lists and dictionaries by plain Python."""
    if isinstance(value, Mapping):
        return {key: _without_arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item) for item in value]
    if hasattr(value, "__array__") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def array_to_value(array: Any, *, name: str = "value") -> Value:
    """Turn an array into a tensor value, without a copy where it is contiguous already.

    Raises
    ------
    InputInvalid
        It gives no array (a tensor on a GPU, say), has masked elements, or its dtype is none that
        a tensor can have (dates, records, objects other than str).
    """
    dense = _to_numpy(array, name)
    if dense.dtype.kind in "OUT":
        return _text_tensor(dense, name)
    if dense.dtype.byteorder == ">" or (dense.dtype.byteorder == "=" and not _LITTLE):
        dense = dense.astype(dense.dtype.newbyteorder("<"))
    dtype = _dtype_name(dense.dtype)
    known = DTYPES.get(dtype)
    if known is None:
        raise InputInvalid(
            f"{name!r} is an array of {dtype}, which no tensor can hold. "
            + _conversion_hint(dense.dtype),
            input=name,
            received=dtype,
        )
    import numpy as np

    flat = dense.reshape(-1).view(np.uint8)
    buffer: Buffer = _pack(flat, known.bits) if known.bits < 8 else flat.data
    return Value(kind="tensor", dtype=dtype, shape=dense.shape, buffer=buffer)


@lru_cache(maxsize=256)
def _dtype_name(dtype: np.dtype[Any]) -> str:
    # NumPy puts the name together anew at each look.
    return dtype.name


def _conversion_hint(dtype: np.dtype[Any]) -> str:
    if dtype.names is not None:
        return f"Send its fields one by one, for example the one called {dtype.names[0]!r}."
    if dtype.kind in "mM":
        return "Send numbers, for example .astype('int64'), which counts its units of time."
    if dtype.kind == "S":
        return "Send text: numpy.char.decode(array, 'utf-8')."
    if dtype.kind == "c":
        return "Convert it first, for example with .astype('complex128')."
    if dtype.kind == "f":
        return "Convert it first, for example with .astype('float64')."
    if dtype.kind == "V" and not dtype.name.startswith("void"):  # a number type of ml_dtypes
        return "Convert it first, for example with .astype('float32')."
    return "Send an array of numbers, of truth values or of str."


def _to_numpy(array: Any, name: str) -> Array:
    import numpy as np

    if hasattr(array, "mask") and hasattr(array, "filled") and np.any(array.mask):
        raise InputInvalid(
            f"{name!r} has masked elements, which no tensor can say. Fill them first, for "
            "example with .filled(0).",
            input=name,
        )
    try:
        return np.asarray(array, order="C")
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputInvalid(
            f"{name!r} ({type(array).__qualname__}) gives no array: {error}",
            input=name,
            received=type(array).__qualname__,
        ) from error


def _text_tensor(array: Array, name: str) -> Value:
    texts = array.reshape(-1).tolist()
    for text in texts:
        if not isinstance(text, str):
            raise InputInvalid(
                f"{name!r} is an array of objects, one of them {name_type(text)}. "
                "Arrays of objects may hold str only.",
                input=name,
                received=type(text).__qualname__,
            )
    shape = tuple(map(int, array.shape))
    try:
        buffer = join_strings(texts)
    except UnicodeEncodeError:
        raise _no_characters(name) from None
    return Value(kind="tensor", dtype="string", shape=shape, buffer=buffer)


def _pack(elements: NDArray[np.uint8], bits: int) -> bytes:
    import numpy as np

    stream = np.unpackbits(elements.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(stream, bitorder="little").tobytes()


def _unpack(data: NDArray[np.uint8], bits: int, count: int, signed: bool) -> NDArray[np.uint8]:
    import numpy as np

    stream = np.unpackbits(data, count=count * bits, bitorder="little").reshape(count, bits)
    elements = np.packbits(stream, axis=1, bitorder="little").reshape(-1)
    if signed:  # ml_dtypes keeps the sign in the high bits of its byte
        elements[elements >> (bits - 1) == 1] |= (0xFF << bits) & 0xFF
    return elements


def value_to_array(value: Value) -> Array:
    """Turn a tensor value into an array: a read-only view of its buffer where that is possible.

    Raises
    ------
    ProtocolViolation
        The value is no tensor, or its text is malformed.
    InputInvalid
        Its element type needs ml_dtypes, which isn't installed here, or NumPy has no such shape.
    """
    if value.kind != "tensor" or value.dtype is None or value.shape is None:
        raise ProtocolViolation(f"A tensor was expected, not {value.kind}.")
    elements = _elements(value.dtype, math.prod(value.shape), value.buffer)
    try:
        return elements.reshape(value.shape)
    except ValueError as error:  # too many dimensions, or sizes beside a zero that overflow
        raise InputInvalid(f"NumPy can't hold {describe_value(value)}: {error}") from None


def _elements(name: str, count: int, buffer: Buffer) -> Array:
    import numpy as np

    if name == "string":
        array = np.empty(count, object)
        array[:] = split_strings(buffer, count)
        return array
    dtype, bits = numpy_dtype(name), DTYPES[name].bits
    if bits < 8:
        packed = np.frombuffer(buffer, np.uint8)
        return _unpack(packed, bits, count, name.startswith("int")).view(dtype)
    return np.frombuffer(buffer, dtype)


def value_to_object(value: Value) -> Any:
    """Turn a value into the object of Python that it stands for.

    tensor → ndarray (a NumPy scalar where the shape is ``()``), text → str, json → plain Python,
    bytes → bytes.

    Raises
    ------
    ProtocolViolation, RequestInvalid, InputInvalid
        The bytes are not what the descriptor says.
    """
    if value.kind == "tensor":
        array = value_to_array(value)
        return array[()] if array.ndim == 0 else array
    if value.kind == "json":
        return parse_json(value.buffer)
    if value.kind == "text":
        try:
            return str(value.buffer, "utf-8")
        except UnicodeDecodeError:
            raise ProtocolViolation("A text value is not UTF-8.") from None
    return bytes(value.buffer)
