"""Element types of tensors and what their bytes look like; no array library needed."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import Buffer

__all__ = ["DTYPES", "DType", "join_strings", "split_strings", "tensor_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DType:
    """An element type.

    Attributes
    ----------
    name
        NumPy's name, or ml_dtypes' where NumPy has none.
    onnx
        Its number in ``onnx.TensorProto.DataType``.
    bits
        Bits per element; 0 for text, whose size varies. Types below 8 bits are packed into one
        stream of bits, the first element in the low bits of the first byte, as ONNX packs them.
    """

    name: str
    onnx: int
    bits: int


DTYPES: dict[str, DType] = {
    name: DType(name=name, onnx=number, bits=bits)
    for name, number, bits in (
        ("float32", 1, 32),
        ("uint8", 2, 8),
        ("int8", 3, 8),
        ("uint16", 4, 16),
        ("int16", 5, 16),
        ("int32", 6, 32),
        ("int64", 7, 64),
        ("string", 8, 0),
        ("bool", 9, 8),
        ("float16", 10, 16),
        ("float64", 11, 64),
        ("uint32", 12, 32),
        ("uint64", 13, 64),
        ("complex64", 14, 64),
        ("complex128", 15, 128),
        ("bfloat16", 16, 16),
        ("float8_e4m3fn", 17, 8),
        ("float8_e4m3fnuz", 18, 8),
        ("float8_e5m2", 19, 8),
        ("float8_e5m2fnuz", 20, 8),
        ("uint4", 21, 4),
        ("int4", 22, 4),
        ("float4_e2m1fn", 23, 4),
        ("float8_e8m0fnu", 24, 8),
        ("uint2", 25, 2),
        ("int2", 26, 2),
        ("float6_e2m3fn", 27, 6),
        ("float6_e3m2fn", 28, 6),
    )
}
"""Every element type that ONNX knows, by name. Multi-byte elements are little-endian."""


def tensor_bytes(dtype: str, shape: Sequence[int]) -> int:
    """Size in bytes of a dense, row-major tensor; for ``string`` the smallest that it can have.

    Raises
    ------
    ProtocolViolation
        The dtype is unknown.

    Examples
    --------
    >>> tensor_bytes("float32", (2, 3)), tensor_bytes("int4", (3,)), tensor_bytes("bool", ())
    (24, 2, 1)
    """
    known = DTYPES.get(dtype)
    if known is None:
        raise ProtocolViolation(f"There is no tensor dtype {dtype[:60]!r}.")
    count = math.prod(shape)
    if dtype == "string":
        return 4 * count
    return (count * known.bits + 7) // 8


def join_strings(texts: Iterable[str]) -> bytes:
    """Write text elements: a little-endian 32-bit length in bytes for each, then all the UTF-8.

    Examples
    --------
    >>> split_strings(join_strings(["a", "", "ü"]), 3)
    ['a', '', 'ü']
    """
    encoded = [text.encode() for text in texts]
    return struct.pack(f"<{len(encoded)}I", *map(len, encoded)) + b"".join(encoded)


def split_strings(data: Buffer, count: int) -> list[str]:
    """Read what `join_strings` wrote.

    Raises
    ------
    ProtocolViolation
        The lengths don't add up to the bytes, or these are not UTF-8.
    """
    view = memoryview(data).cast("B")
    if view.nbytes < 4 * count:
        raise ProtocolViolation("A text tensor ends inside its lengths.")
    lengths = struct.unpack_from(f"<{count}I", view)
    offset = 4 * count
    if offset + sum(lengths) != view.nbytes:
        raise ProtocolViolation("The lengths of a text tensor don't add up to its bytes.")
    texts = []
    for length in lengths:
        try:
            texts.append(str(view[offset : offset + length], "utf-8"))
        except UnicodeDecodeError:
            raise ProtocolViolation("An element of a text tensor is not UTF-8.") from None
        offset += length
    return texts
