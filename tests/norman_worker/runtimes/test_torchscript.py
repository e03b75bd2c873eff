"""TorchScript: what a program's schema tells, how it is called, and what it answers."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import numpy as np
import pytest

from norman_protocol.arrays import object_to_value, value_to_object
from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.declared import declared_signature
from norman_protocol.errors import InputInvalid, LoadFailed, ModelFailed
from norman_protocol.signature import Modality, describe_parameter
from norman_worker.runtimes.base import Source
from norman_worker.runtimes.torchscript import TorchScriptRuntime
from norman_worker.runtimes.torchscript_code import check_graphs

torch = pytest.importorskip("torch")
from torchscripts import save  # noqa: E402 - only where torch is there


@pytest.fixture
def load(tmp_path):
    def run(name, content=None):
        (tmp_path / "model.pt").write_bytes(save(name) if content is None else content)
        runtime = TorchScriptRuntime(Source(files=tmp_path, entry="model.pt", threads=1))
        signature = runtime.describe()
        runtime.load()
        return runtime, signature

    return run


def call(runtime, **inputs):
    values = {name: object_to_value(item, name=name) for name, item in inputs.items()}
    answer = runtime.predict(values)
    return {name: value_to_object(value) for name, value in answer.items()}


def test_arguments_become_inputs_with_their_types_and_defaults(load):
    runtime, signature = load("typed")
    assert [
        (one.name, one.modality, one.required, one.default, one.nullable)
        for one in signature.inputs
    ] == [
        ("x", Modality.TENSOR, True, None, False),
        ("names", Modality.JSON, True, None, False),
        ("k", Modality.INTEGER, False, 2, False),
        ("flag", Modality.BOOLEAN, False, False, False),
        ("scale", Modality.FLOAT, False, None, True),
    ]
    assert call(runtime, x=np.zeros(3, "float32"), names=["a"], k=5) == {
        "output": "3 [a] 5 False None"
    }
    assert call(runtime, x=np.zeros(0, "float32"), names=[], flag=True, scale=0.5) == {
        "output": "0 [] 2 True 0.5"
    }


@pytest.mark.parametrize(
    ("name", "described", "answered"),
    [
        ("mirror", ["output"], {"output": [2.0, 1.0]}),
        ("pair", ["output_0", "output_1"], {"output_0": [2.0, 3.0], "output_1": 2}),
        ("range", [], {"low": 1.0, "high": 2.0}),
        ("parts", [], {"output_0": [1.0, 2.0], "output_1": [2.0, 3.0]}),
    ],
)
def test_results_are_named(load, name, described, answered):
    runtime, signature = load(name)
    assert [one.name for one in signature.outputs] == described
    argument = signature.inputs[0].name
    found = call(runtime, **{argument: np.array([1, 2], "float32")})
    assert {
        key: item.tolist() if hasattr(item, "tolist") else item for key, item in found.items()
    } == answered


def test_lists_of_numbers_are_what_torch_makes_of_them(load):
    runtime, _ = load("layer")
    (answer,) = call(runtime, x=[[1, 2.5]]).values()
    assert (answer.dtype, answer.tolist()) == (np.float32, [[3.5]])


def test_what_is_declared_stands_for_places(load):
    _, described = load("mirror")
    declaration = Declaration(
        inputs=(DeclaredParameter(title="Photo", encoding="png", parameter="picture"),),
        outputs=(DeclaredParameter(title="Mirrored", encoding="png", parameter="mirror_image"),),
    )
    signature = declared_signature(described, declaration, positional=True)
    assert [describe_parameter(one) for one in signature.inputs] == ["image (png)"]
    assert [one.parameter for one in (*signature.inputs, *signature.outputs)] == [
        "image",
        "output",
    ]


def test_an_array_that_a_program_chokes_on_is_its_failure(load):
    runtime, _ = load("breaks")
    with pytest.raises(
        ModelFailed, match="shape '\\[3, 7\\]' is invalid for input of size 1"
    ) as error:
        call(runtime, x=np.zeros(1, "float32"))
    assert "return x.view(3, 7)" in error.value.traceback


def test_an_array_of_text_is_refused(load):
    runtime, _ = load("mirror")
    with pytest.raises(InputInvalid, match="array of text"):
        call(runtime, image=np.array(["a"], object))


def test_a_declared_dtype_is_checked(load):
    runtime, described = load("mirror")
    declaration = Declaration(inputs=(DeclaredParameter(title="image", dtype="float32"),))
    runtime.adopt(declared_signature(described, declaration))
    with pytest.raises(InputInvalid, match=r"takes float32.*not float64"):
        call(runtime, image=np.zeros(2))
    assert call(runtime, image=np.zeros(2, "float32"))["output"].shape == (2,)


def test_a_checkpoint_says_what_is_lacking(load):
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, buffer)
    with pytest.raises(LoadFailed, match="It is a checkpoint: weights without the code"):
        load("", buffer.getvalue())


@pytest.mark.parametrize("kept", [0, 10, 300, 900])
def test_what_is_cut_off_is_no_program(load, kept):
    with pytest.raises(LoadFailed, match=r"can't open model\.pt as TorchScript"):
        load("", save("mirror")[:kept])


def test_gradients_are_not_kept(load):
    runtime, _ = load("layer")
    answer = runtime.predict({"x": object_to_value(json.loads("[[1.0, 1]]"), name="x")})
    assert value_to_object(answer["output"]).tolist() == [[2.0]]


def test_a_program_that_reaches_for_files_is_refused(load):
    with pytest.raises(LoadFailed, match="calls from_file, which reads or writes files"):
        load("writes")


def test_its_graphs_are_looked_through_whatever_its_source_says(tmp_path):
    (tmp_path / "model.pt").write_bytes(save("writes"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.jit.load(str(tmp_path / "model.pt"))
    with pytest.raises(LoadFailed, match="calls from_file"):
        check_graphs(program, "model.pt")


def test_two_files_of_one_name_are_refused(load):
    buffer = io.BytesIO(save("mirror"))
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(archive.namelist()[0], b"again")
    with pytest.raises(LoadFailed, match="two files of one name"):
        load("", buffer.getvalue())
