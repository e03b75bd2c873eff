"""The model that every row calls: an MLP 4 → 64 → 3, so small that only the way to it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["INPUT", "MODEL_VARIABLE", "OUTPUT", "SAMPLE", "write_tiny_model"]

INPUT = "features"
OUTPUT = "scores"
SAMPLE: NDArray[np.float32] = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
MODEL_VARIABLE = "BENCHMARK_MODEL"
"""Environment variable by which the reference service is told the model's path."""

_SEED = 7


def write_tiny_model(path: Path) -> Path:
    """Write the model as ONNX, the same bytes each time, and return its path."""
    random = np.random.default_rng(_SEED)
    weights = {
        "w1": random.standard_normal((4, 64), np.float32),
        "b1": random.standard_normal(64, np.float32),
        "w2": random.standard_normal((64, 3), np.float32),
        "b2": random.standard_normal(3, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", [INPUT, "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], [OUTPUT]),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
