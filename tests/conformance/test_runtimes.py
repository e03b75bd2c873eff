"""What every runtime does alike: one suite, one small model in each format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norman_protocol.arrays import object_to_value, value_to_array
from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.declared import declared_signature
from norman_protocol.errors import InputInvalid, LoadFailed, NormanError, RuntimeMissing
from norman_protocol.signature import Modality, Signature, model_signature
from norman_protocol.values import Value
from norman_worker.runtimes import RUNTIMES, create_runtime
from norman_worker.runtimes.base import Runtime, Source

_PYTHON = """
from typing import TypedDict
import numpy as np
from numpy.typing import NDArray

class Answer(TypedDict):
    sum: NDArray[np.float32]
    twice: NDArray[np.float32]

def predict(x: NDArray[np.float32], y: NDArray[np.float32]) -> Answer:
    return {"sum": x + y, "twice": x * np.float32(2)}
"""


def _write_python(folder: Path) -> str:
    (folder / "model.py").write_text(_PYTHON)
    return "model.py"


def _write_onnx(folder: Path) -> str:
    from onnx import TensorProto, helper

    def tensor(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)

    nodes = [
        helper.make_node("Add", ["x", "y"], ["sum"]),
        helper.make_node("Add", ["x", "x"], ["twice"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [tensor("x"), tensor("y")], [tensor("sum"), tensor("twice")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return "model.onnx"


def _write_torchscript(folder: Path) -> str:
    pytest.importorskip("torch")
    from torchscripts import save

    (folder / "model.pt").write_bytes(save("sums"))
    return "model.pt"


_WRITERS: dict[str, Callable[[Path], str]] = {
    "python": _write_python,
    "onnx": _write_onnx,
    "torchscript": _write_torchscript,
}
_FLOATS = [DeclaredParameter(title=title, dtype="float32") for title in ("x", "y", "sum", "twice")]
_DECLARATIONS = {
    # A program doesn't say which tensors it takes and gives.
    "torchscript": Declaration(inputs=tuple(_FLOATS[:2]), outputs=tuple(_FLOATS[2:])),
}


@pytest.fixture(params=RUNTIMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what loading a ``model.py`` leaves in this process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("model", None)


@pytest.fixture
def source(name: str, tmp_path: Path, own_modules: None) -> Source:
    return Source(files=tmp_path, entry=_WRITERS[name](tmp_path))


@pytest.fixture
def described(name: str, source: Source) -> tuple[Runtime, Signature]:
    runtime = create_runtime(name, source)
    declaration = _DECLARATIONS.get(name)
    signature = declared_signature(runtime.describe(), declaration, positional=runtime.POSITIONAL)
    if declaration is not None:
        runtime.adopt(model_signature(signature))
    runtime.load()
    return runtime, signature


@pytest.fixture
def runtime(described: tuple[Runtime, Signature]) -> Runtime:
    return described[0]


def tensor(*numbers: float) -> Value:
    return object_to_value(np.array(numbers, "float32"))


def test_every_runtime_has_a_model_here():
    assert set(_WRITERS) == set(RUNTIMES)


def test_unknown_runtime_is_missing(tmp_path):
    with pytest.raises(RuntimeMissing, match="'nope'"):
        create_runtime("nope", Source(files=tmp_path, entry="x"))


def test_signature_names_and_types_inputs_and_outputs_in_order(described):
    _, signature = described
    for parameters, names in (
        (signature.inputs, ["x", "y"]),
        (signature.outputs, ["sum", "twice"]),
    ):
        assert [parameter.name for parameter in parameters] == names
        assert {(item.modality, item.dtype) for item in parameters} == {
            (Modality.TENSOR, "float32")
        }
    assert all(parameter.required for parameter in signature.inputs)


def test_outputs_come_by_name_in_the_signatures_order(runtime):
    outputs = runtime.predict({"y": tensor(10, 20), "x": tensor(1, 2)})
    assert list(outputs) == ["sum", "twice"]
    assert value_to_array(outputs["sum"]).tolist() == [11, 22]
    assert value_to_array(outputs["twice"]).tolist() == [2, 4]
    assert {value.dtype for value in outputs.values()} == {"float32"}


def test_calls_do_not_change_each_other_or_their_inputs(runtime):
    first = tensor(1, 2)
    before = bytes(first.buffer)
    kept = runtime.predict({"x": first, "y": first})
    runtime.predict({"x": tensor(5, 5), "y": tensor(5, 5)})
    assert value_to_array(kept["sum"]).tolist() == [2, 4]
    assert bytes(first.buffer) == before


def test_json_lists_stand_for_tensors(runtime):
    nested = Value(kind="json", buffer=json.dumps([[1, 2], [3, 4]]).encode())
    outputs = runtime.predict({"x": nested, "y": nested})
    assert value_to_array(outputs["sum"]).tolist() == [[2, 4], [6, 8]]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1, 1)])
def test_any_shape_goes_in_and_out(runtime, shape):
    value = object_to_value(np.ones(shape, "float32"))
    outputs = runtime.predict({"x": value, "y": value})
    assert outputs["sum"].shape == shape
    assert outputs["sum"].size_bytes == value.size_bytes


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"x": tensor(1)}, "y"),
        ({"x": tensor(1), "y": tensor(1), "z": tensor(1)}, "z"),
        ({"x": tensor(1), "y": object_to_value(np.zeros(1))}, "y"),
        ({"x": object_to_value("text"), "y": tensor(1)}, "x"),
        ({"x": object_to_value(b"bytes"), "y": tensor(1)}, "x"),
        ({"x": Value(kind="json", buffer=b"[1, [2]]"), "y": tensor(1)}, "x"),
        ({"x": Value(kind="json", buffer=b"[NaN]"), "y": tensor(1)}, "x"),
        ({"x": Value(kind="json", buffer=b"null"), "y": tensor(1)}, "x"),
        ({"x": Value(kind="json", buffer=b"[" * 100_000), "y": tensor(1)}, "x"),
    ],
)
def test_input_that_does_not_fit_is_refused_by_name_and_the_next_call_is_answered(
    runtime, inputs, named
):
    with pytest.raises(InputInvalid) as caught:
        runtime.predict(inputs)
    assert caught.value.input == named
    assert runtime.predict({"x": tensor(1), "y": tensor(1)})


def test_version_stays_as_it_was(runtime, tmp_path, source):
    runtime.predict({"x": tensor(1), "y": tensor(1)})
    assert [path.name for path in tmp_path.iterdir()] == [source.entry]


def test_absent_entry_is_a_failed_load(name, tmp_path, own_modules):
    if name == "torchscript":
        pytest.importorskip("torch")
    with pytest.raises(LoadFailed, match="There is no") as caught:
        create_runtime(name, Source(files=tmp_path, entry=f"absent.{name}")).describe()
    assert str(tmp_path) not in caught.value.message


def test_noise_in_place_of_the_entry_is_refused(name, source, tmp_path):
    (tmp_path / source.entry).write_bytes(b"\x00\xffnoise" * 99)
    with pytest.raises((NormanError, SyntaxError)):
        create_runtime(name, source).describe()
