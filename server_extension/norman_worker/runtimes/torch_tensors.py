"""Arrays and torch tensors, one into the other; imported only where the model uses torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from norman_protocol.arrays import array_to_value
from norman_protocol.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["tensor_from_array", "tensor_to_value"]

# NumPy has no such types: their bits travel as integers of the same width.
_BITS: dict[str, torch.dtype] = {
    name: dtype
    for name in (
        "bfloat16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    )
    if (dtype := getattr(torch, name, None)) is not None
}
_NAMES = {dtype: name for name, dtype in _BITS.items()}


def tensor_from_array(array: NDArray[Any]) -> torch.Tensor:
    """Return a tensor on the CPU; a read-only array is copied, since torch may write into it."""
    dtype = _BITS.get(array.dtype.name)
    if dtype is not None:
        array = array.view(f"int{8 * array.dtype.itemsize}")
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = array.copy()
    tensor = torch.from_numpy(array)
    return tensor if dtype is None else tensor.view(dtype)


def tensor_to_value(tensor: torch.Tensor, *, name: str) -> Value:
    """Turn a tensor of any device into a value.

    Raises
    ------
    InputInvalid
        Its element type is none that a tensor on the wire can have.
    """
    dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    bits = _NAMES.get(dense.dtype)
    if bits is None:
        return array_to_value(dense.numpy(), name=name)
    integers = torch.int16 if dense.element_size() == 2 else torch.int8
    raw = array_to_value(dense.view(integers).numpy(), name=name)
    return Value(kind="tensor", dtype=bits, shape=raw.shape, buffer=raw.buffer)
