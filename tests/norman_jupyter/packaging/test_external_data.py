from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from norman_jupyter.packaging.external_data import find_external_files
from norman_jupyter.packaging.folders import open_bundle
from norman_protocol.errors import BundleInvalid


def save(path: Path, *, location: str | None = None, **metadata: str) -> Path:
    weights = np.arange(4096, dtype=np.float32).reshape(64, 64)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, metadata)
    onnx.save(
        model,
        path,
        save_as_external_data=location is not None,
        location=location,
        size_threshold=0,
    )
    return path


def test_model_that_holds_its_weights_names_no_file(tmp_path) -> None:
    assert find_external_files(save(tmp_path / "m.onnx")) == ()


@pytest.mark.parametrize("location", ["w", "m.onnx.data", "gewichte-größe-" + "x" * 150])
def test_files_with_weights_are_named(tmp_path, location: str) -> None:
    assert find_external_files(save(tmp_path / "m.onnx", location=location)) == (location,)


def test_property_of_the_same_name_is_no_file(tmp_path) -> None:
    assert find_external_files(save(tmp_path / "m.onnx", location_="a", other="location")) == ()
    plain = save(tmp_path / "n.onnx")
    model = onnx.load(plain)
    helper.set_model_props(model, {"location": "Berlin"})
    onnx.save(model, plain)
    assert find_external_files(plain) == ()


@pytest.mark.parametrize(
    "content", [b"", b"\x0a\x08location\x12", b"\x6a\x10\x0a\x08location\x12\xff\xff", bytes(100)]
)
def test_torn_bytes_are_no_files(tmp_path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert find_external_files(path) == ()


def test_lone_file_without_its_weights_is_refused_and_its_folder_is_not(tmp_path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    path = save(folder / "m.onnx", location="m.onnx.data")
    with pytest.raises(BundleInvalid, match=r"'m\.onnx\.data'.*Upload the folder"):
        open_bundle(path, trusted=False)
    assert len(open_bundle(folder, trusted=False).files) == 2
