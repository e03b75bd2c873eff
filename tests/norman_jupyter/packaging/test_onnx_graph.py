"""Signatures of ONNX files, read without a library: the same as the runtime tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from norman_jupyter.packaging.onnx_graph import read_onnx_signature
from norman_protocol.signature import Modality, Parameter, Signature


def write_model(path: Path, *, weights_among_inputs: bool = False) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
    if weights_among_inputs:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2]))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(np.ones((4, 2), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("whole") / "m.onnx")


def tensor(name: str, dtype: str, shape: tuple[int | str | None, ...] | None) -> Parameter:
    return Parameter(name=name, modality=Modality.TENSOR, dtype=dtype, shape=shape)


@pytest.mark.parametrize("among", [False, True])
def test_inputs_and_outputs_are_read(tmp_path: Path, among: bool) -> None:
    path = write_model(tmp_path / "m.onnx", weights_among_inputs=among)
    assert read_onnx_signature(path) == Signature(
        inputs=(tensor("x", "float32", ("batch", 4)),),
        outputs=(tensor("y", "float32", (None, 2)),),
    )


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (TensorProto.STRING, "string"),
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.INT64, "int64"),
        (TensorProto.BOOL, "bool"),
    ],
)
def test_element_types_have_our_names(tmp_path: Path, number: int, name: str) -> None:
    value = helper.make_tensor_value_info("x", number, [3])
    rankless = helper.make_tensor_value_info("y", number, None)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", [value], [rankless]
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert read_onnx_signature(tmp_path / "m.onnx") == Signature(
        inputs=(tensor("x", name, (3,)),), outputs=(tensor("y", name, None),)
    )


def test_what_is_no_tensor_is_left_to_the_runtime(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    value = helper.make_value_info("x", kind)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert read_onnx_signature(tmp_path / "m.onnx") is None


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", b"no model", b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_graph_is_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert read_onnx_signature(tmp_path / "m.onnx") is None


@given(
    changes=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=3),
    kept=st.integers(0, 1000),
)
def test_torn_and_altered_files_end_in_nothing_or_a_signature(
    model_file: Path, changes: list[tuple[int, int]], kept: int
) -> None:
    altered = bytearray(model_file.read_bytes())
    for place, byte in changes:
        altered[place % len(altered)] = byte
    path = model_file.with_suffix(".altered")
    path.write_bytes(altered[:kept])
    found = read_onnx_signature(path)
    assert found is None or isinstance(found, Signature)
