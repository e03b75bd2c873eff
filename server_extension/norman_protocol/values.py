"""Values: what goes into a model and comes out, as a small descriptor and one buffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Literal, TypeAlias, cast, get_args

from norman_protocol.decoding import dump_json
from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import Buffer, buffer_bytes
from norman_protocol.tensors import tensor_bytes

__all__ = [
    "MAX_NAME_CHARACTERS",
    "Kind",
    "Value",
    "describe_value",
    "join_values",
    "split_values",
    "write_descriptors",
]

Kind: TypeAlias = Literal["tensor", "text", "json", "bytes"]
"""tensor: dense row-major elements; text: UTF-8; json: UTF-8 of strict JSON; bytes: a file."""

_KINDS = frozenset(get_args(Kind))
_MAX_RANK = 64
MAX_NAME_CHARACTERS = 200
"""Longest name of a value that a frame carries."""

_MAX_FILE_NAME_CHARACTERS = 1024
_MAX_ENCODING_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value on the wire.

    Attributes
    ----------
    kind
        How to read ``buffer``.
    dtype, shape
        Element type (a name of `norman_protocol.tensors.DTYPES`) and shape; for tensors only.
    file_name
        For bytes that were a file: its last path component. Never used as a path.
    encoding
        For bytes and text that are known to be of one: a name of
        `norman_protocol.media.ENCODINGS`.
    buffer
        The bytes. Read-only where it was received.
    """

    kind: Kind
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    file_name: str | None = None
    encoding: str | None = None
    buffer: Buffer = b""

    @property
    def size_bytes(self) -> int:
        """Bytes of the buffer."""
        return buffer_bytes(self.buffer)


def describe_value(value: Value) -> str:
    """Say in a few words what a value is.

    Examples
    --------
    >>> describe_value(Value(kind="tensor", dtype="float32", shape=(1, 4), buffer=bytes(16)))
    'float32[1,4]'
    >>> describe_value(Value(kind="text", buffer=b"hello"))
    'text (5 B)'
    """
    if value.kind == "tensor":
        return f"{value.dtype}[{','.join(map(str, value.shape or ()))}]"
    return f"{value.kind} ({value.size_bytes} B)"


def _descriptor(
    kind: Kind,
    dtype: str | None,
    shape: tuple[int, ...] | None,
    file_name: str | None,
    encoding: str | None,
) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"kind": kind}
    if kind == "tensor":
        descriptor["dtype"] = dtype
        descriptor["shape"] = shape
    if file_name is not None:
        descriptor["file_name"] = file_name
    if encoding is not None:
        descriptor["encoding"] = encoding
    return descriptor


@lru_cache(maxsize=4096)
def _descriptor_text(
    kind: Kind,
    dtype: str | None,
    shape: tuple[int, ...] | None,
    file_name: str | None,
    encoding: str | None,
) -> str:
    descriptor = _descriptor(kind, dtype, shape, file_name, encoding)
    return dump_json(descriptor, surrogates="replace").decode()


def join_values(values: Mapping[str, Value]) -> tuple[dict[str, Any], list[Buffer]]:
    """Write named values as the descriptors for a frame's header and the buffers beside it.

    The order of the mapping is the order of the buffers.
    """
    descriptors = {
        name: _descriptor(value.kind, value.dtype, value.shape, value.file_name, value.encoding)
        for name, value in values.items()
    }
    return descriptors, [value.buffer for value in values.values()]


def write_descriptors(values: Mapping[str, Value]) -> str:
    """Write the descriptors of named values as JSON, as `join_values` would give them.

    The text of a descriptor is kept: the calls of one model mostly bring the same shapes.

    Examples
    --------
    >>> write_descriptors({"x": Value(kind="tensor", dtype="int8", shape=(2,), buffer=b"ab")})
    '{"x":{"kind":"tensor","dtype":"int8","shape":[2]}}'
    """
    texts = [
        f"{encode_basestring(name)}:"
        f"{_descriptor_text(value.kind, value.dtype, value.shape, value.file_name, value.encoding)}"
        for name, value in values.items()
    ]
    return f"{{{','.join(texts)}}}"


def split_values(descriptors: Any, buffers: Sequence[Buffer]) -> dict[str, Value]:
    """Read what `join_values` wrote, checking every size.

    Raises
    ------
    ProtocolViolation
        A descriptor is malformed, or its buffer isn't as long as dtype and shape say.
    """
    if type(descriptors) is not dict or len(descriptors) != len(buffers):
        raise ProtocolViolation("The values and the buffers of a frame don't match.")
    return {
        name: _split_value(name, descriptor, buffer)
        for (name, descriptor), buffer in zip(descriptors.items(), buffers, strict=True)
    }


def _split_value(name: str, descriptor: Any, buffer: Buffer) -> Value:
    if type(descriptor) is not dict or len(name) > MAX_NAME_CHARACTERS:
        raise ProtocolViolation(f"Value {name[:60]!r} is malformed.")
    kind: Any = descriptor.get("kind")
    if kind == "tensor":
        return _split_tensor(name, descriptor, buffer)
    if type(kind) is not str or kind not in _KINDS:
        shown = repr(kind[:60]) if type(kind) is str else f"a {type(kind).__name__}"
        raise ProtocolViolation(f"Value {name!r} is of an unknown kind: {shown}.")
    file_name = descriptor.get("file_name")
    if file_name is not None and (
        type(file_name) is not str or len(file_name) > _MAX_FILE_NAME_CHARACTERS
    ):
        raise ProtocolViolation(f"Value {name!r} has a file name that is no text, or too long.")
    encoding = descriptor.get("encoding")
    if encoding is not None and (
        type(encoding) is not str or len(encoding) > _MAX_ENCODING_CHARACTERS
    ):
        raise ProtocolViolation(f"Value {name!r} has an encoding that is no text, or too long.")
    # mypy doesn't narrow by a set: the kind is one of Kind's.
    return Value(kind=cast("Kind", kind), file_name=file_name, encoding=encoding, buffer=buffer)


_tensor_bytes = lru_cache(maxsize=4096)(tensor_bytes)


def _split_tensor(name: str, descriptor: dict[str, Any], buffer: Buffer) -> Value:
    dtype, shape = descriptor.get("dtype"), descriptor.get("shape")
    if type(dtype) is not str or type(shape) is not list or len(shape) > _MAX_RANK:
        raise ProtocolViolation(f"Tensor {name!r} has no proper dtype and shape.")
    for size in shape:
        if type(size) is not int or not 0 <= size < 1 << 48:
            raise ProtocolViolation(f"Tensor {name!r} has a size that is no whole number.")
    value = Value(kind="tensor", dtype=dtype, shape=tuple(shape), buffer=buffer)
    expected = _tensor_bytes(dtype, value.shape or ())
    fits = value.size_bytes >= expected if dtype == "string" else value.size_bytes == expected
    if not fits:
        raise ProtocolViolation(
            f"Tensor {name!r} is {describe_value(value)}, which takes {expected} bytes; "
            f"{value.size_bytes} came."
        )
    return value
