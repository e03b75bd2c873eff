"""Graphs with element types that NumPy lacks: run on memory that carries its type beside it.

onnxruntime takes bfloat16, the 8-bit floats and the packed 4-bit and 2-bit integers by address,
type and shape. Their bytes are the same there as on the wire.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from norman_protocol.arrays import array_to_value
from norman_protocol.signature import Parameter, Signature
from norman_protocol.tensors import DTYPES, tensor_bytes
from norman_protocol.values import Value
from norman_worker.coercion import Reader, ordinary_reader
from norman_worker.runtimes.onnx_types import FED_BY_BITS

__all__ = ["bits_reader", "run_bound"]

_CPU = "cpu"


def bits_reader(parameter: Parameter) -> Reader:
    """Return how to read a parameter of such a type: a tensor stays as it came, packed."""
    ordinary = ordinary_reader(parameter)

    def read(value: Value) -> Value:
        if value.kind == "tensor":
            return value
        return array_to_value(ordinary(value), name=parameter.name)

    return read


def run_bound(session: Any, signature: Signature, feed: Mapping[str, Any]) -> dict[str, Value]:
    """Run a session once on arrays, and on values as `bits_reader` gives them."""
    import numpy as np

    binding = session.io_binding()
    for name, item in feed.items():
        if isinstance(item, Value):
            # onnxruntime only borrows this memory; ``feed`` holds it until the end of the run.
            address = np.frombuffer(item.buffer, np.uint8).ctypes.data
            onnx_type = DTYPES[item.dtype or ""].onnx
            binding.bind_input(name, _CPU, 0, onnx_type, list(item.shape or ()), address)
        else:
            binding.bind_cpu_input(name, item)
    for parameter in signature.outputs:
        binding.bind_output(parameter.name, _CPU)
    session.run_with_iobinding(binding)
    answers = zip(signature.outputs, binding.get_outputs(), strict=True)
    return {parameter.name: _write(parameter, answer) for parameter, answer in answers}


def _write(parameter: Parameter, answer: Any) -> Value:
    if parameter.dtype not in FED_BY_BITS:
        return array_to_value(answer.numpy(), name=parameter.name)
    shape = tuple(answer.shape())
    size_bytes = tensor_bytes(parameter.dtype, shape)
    content = ctypes.string_at(answer.data_ptr(), size_bytes) if size_bytes else b""
    return Value(kind="tensor", dtype=parameter.dtype, shape=shape, buffer=content)
