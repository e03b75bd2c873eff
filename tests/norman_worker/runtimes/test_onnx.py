from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from norman_protocol.arrays import numpy_dtype, object_to_value, value_to_array, value_to_object
from norman_protocol.errors import InputInvalid, LoadFailed, ModelFailed, OutputInvalid
from norman_protocol.signature import Modality, Parameter
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value
from norman_worker.runtimes import create_runtime
from norman_worker.runtimes.base import Runtime, Source

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
Load = Callable[..., Runtime]


def tensor(name: str, dtype: int = FLOAT, shape: Any = ("n", 3)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def graph(nodes: Any, inputs: Any, outputs: Any, initialisers: Any = (), **rest: Any) -> Any:
    opset = rest.pop("opset", 21)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initialisers))
    ir_version = 10 if opset < 23 else 12
    return helper.make_model(made, opset_imports=opsets, ir_version=ir_version)


def identity(dtype: int, shape: Any = ("n", 3), opset: int = 21) -> Any:
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph([node], [tensor("x", dtype, shape)], [tensor("y", dtype, shape)], opset=opset)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def start(model: Any, **settings: Any) -> Runtime:
        (tmp_path / "model.onnx").write_bytes(
            model if isinstance(model, bytes) else model.SerializeToString()
        )
        runtime = create_runtime("onnx", Source(files=tmp_path, entry="model.onnx", **settings))
        runtime.signature = runtime.describe()  # type: ignore[attr-defined]
        runtime.load()
        return runtime

    return start


def call(runtime: Runtime, **inputs: Any) -> dict[str, Any]:
    values = {
        name: item if isinstance(item, Value) else object_to_value(item)
        for name, item in inputs.items()
    }
    return {name: value_to_object(value) for name, value in runtime.predict(values).items()}


def json_value(item: Any) -> Value:
    return Value(kind="json", buffer=json.dumps(item).encode())


# --- element types --------------------------------------------------------------------------

RUNNABLE = [
    name
    for name in DTYPES
    if not name.startswith(
        ("complex", "float4", "float6", "float8_e8", "int4", "uint4", "int2", "uint2")
    )
]


def sample(dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.array([["a", "", "ünï"]], object)
    return np.array([[0, 1, 1]]).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("dtype", RUNNABLE)
def test_every_element_type_goes_in_and_out_unchanged(load, dtype):
    runtime = load(identity(DTYPES[dtype].onnx))
    assert runtime.signature.inputs == (
        Parameter(name="x", modality=Modality.TENSOR, dtype=dtype, shape=("n", 3)),
    )
    sent = object_to_value(sample(dtype))
    received = runtime.predict({"x": sent})["y"]
    assert (received.dtype, received.shape) == (dtype, (1, 3))
    assert bytes(received.buffer) == bytes(sent.buffer)


@pytest.mark.parametrize("dtype", RUNNABLE)
def test_every_element_type_comes_from_json(load, dtype):
    runtime = load(identity(DTYPES[dtype].onnx))
    nested = sample(dtype).tolist() if dtype in ("string", "bool") else [[0, 1, 1]]
    received = runtime.predict({"x": json_value(nested)})["y"]
    assert bytes(received.buffer) == bytes(object_to_value(sample(dtype)).buffer)


@pytest.mark.parametrize("dtype", RUNNABLE)
def test_zero_size_goes_in_and_out(load, dtype):
    runtime = load(identity(DTYPES[dtype].onnx))
    empty = np.empty((0, 3), numpy_dtype(dtype))
    received = runtime.predict({"x": object_to_value(empty)})["y"]
    assert (received.dtype, received.shape, received.size_bytes) == (dtype, (0, 3), 0)


@pytest.mark.parametrize("dtype", RUNNABLE)
def test_scalar_goes_in_and_out(load, dtype):
    runtime = load(identity(DTYPES[dtype].onnx, shape=()))
    scalar = sample(dtype)[0, 1:2].reshape(())
    sent = object_to_value(scalar) if dtype != "string" else object_to_value(np.array("ü", object))
    received = runtime.predict({"x": sent})["y"]
    assert (received.dtype, received.shape) == (dtype, ())
    assert bytes(received.buffer) == bytes(sent.buffer)


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        ("int4", [1, -8, 7]),
        ("uint4", [1, 0, 15]),
        ("int2", [1, -2, -1]),
        ("uint2", [1, 3, 2]),
    ],
)
def test_packed_integers_go_in_and_come_out(load, dtype, numbers):
    number = DTYPES[dtype].onnx
    opset = 25 if dtype.endswith("2") else 21
    scale = helper.make_tensor("s", FLOAT, [], [1.0])
    dequantise = helper.make_node("DequantizeLinear", ["x", "s"], ["y"])
    runtime = load(graph([dequantise], [tensor("x", number)], [tensor("y")], [scale], opset=opset))
    array = np.array([numbers]).astype(numpy_dtype(dtype))
    np.testing.assert_array_equal(call(runtime, x=array)["y"], [numbers])
    np.testing.assert_array_equal(call(runtime, x=json_value([numbers]))["y"], [numbers])

    cast = helper.make_node("Cast", ["x"], ["y"], to=number)
    runtime = load(graph([cast], [tensor("x")], [tensor("y", number)], opset=opset))
    received = runtime.predict({"x": object_to_value(np.array([numbers], "float32"))})["y"]
    assert (received.dtype, received.shape) == (dtype, (1, 3))
    np.testing.assert_array_equal(value_to_array(received).astype(int), [numbers])


def identities(**kinds: int) -> Any:
    return graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
        [tensor(name, kind, ["n"]) for name, kind in kinds.items()],
        [tensor(f"{name}_out", kind, ["n"]) for name, kind in kinds.items()],
    )


def test_element_types_that_numpy_lacks_stand_beside_others(load):
    runtime = load(identities(b=TensorProto.BFLOAT16, f=FLOAT, i=INT64))
    brief = np.array([1.5, 2]).astype(numpy_dtype("bfloat16"))
    outputs = call(runtime, b=brief, f=np.ones(2, "float32"), i=[3, 4])
    assert list(outputs) == ["b_out", "f_out", "i_out"]
    assert outputs["b_out"].tolist() == [1.5, 2]
    assert outputs["f_out"].tolist() == [1, 1]
    assert outputs["i_out"].tolist() == [3, 4]


def test_mixture_that_onnxruntime_cannot_take_is_refused_at_load(load):
    with pytest.raises(LoadFailed, match="takes no such mixture"):
        load(identities(b=TensorProto.BFLOAT16, t=STRING))


@pytest.mark.parametrize("name", ["COMPLEX64", "FLOAT8E8M0"])
def test_element_type_that_onnxruntime_cannot_run_is_a_failed_load(load, name):
    number = TensorProto.DataType.Value(name)
    with pytest.raises(LoadFailed, match=r"onnxruntime .* can't open model\.onnx"):
        load(identity(number, opset=25 if name.startswith("FLOAT8") else 21))


def test_other_element_type_is_refused_before_the_graph_runs(load):
    runtime = load(identity(FLOAT))
    with pytest.raises(InputInvalid, match=r"takes float32\[n,3\], not float64\[1,3\]"):
        call(runtime, x=np.zeros((1, 3)))
    with pytest.raises(InputInvalid, match=r"not float32\[3\]"):
        call(runtime, x=np.zeros(3, "float32"))


# --- signatures -----------------------------------------------------------------------------


def test_shapes_keep_numbers_symbols_and_free_sizes(load):
    node = helper.make_node("Identity", ["x"], ["y"])
    shape = ["batch", 3, None]
    runtime = load(graph([node], [tensor("x", FLOAT, shape)], [tensor("y", FLOAT, shape)]))
    assert runtime.signature.inputs[0].shape == ("batch", 3, None)


def test_unknown_rank_takes_any_shape(load):
    node = helper.make_node("Identity", ["x"], ["y"])
    runtime = load(graph([node], [tensor("x", FLOAT, None)], [tensor("y", FLOAT, None)]))
    assert runtime.signature.inputs[0].shape is None
    for shape in ((), (2,), (1, 2, 3)):
        assert call(runtime, x=np.zeros(shape, "float32"))["y"].shape == shape


def test_initialiser_that_may_be_overridden_is_an_optional_input(load):
    add = helper.make_node("Add", ["x", "w"], ["y"])
    weights = numpy_helper.from_array(np.array([1, 2, 3], "float32"), "w")
    model = graph([add], [tensor("x"), tensor("w", FLOAT, [3])], [tensor("y")], [weights])
    runtime = load(model)
    assert [(item.name, item.required) for item in runtime.signature.inputs] == [
        ("x", True),
        ("w", False),
    ]
    x = np.zeros((1, 3), "float32")
    assert call(runtime, x=x)["y"].tolist() == [[1, 2, 3]]
    assert call(runtime, x=x, w=np.ones(3, "float32"))["y"].tolist() == [[1, 1, 1]]


def test_outputs_keep_the_graphs_order_and_odd_names(load):
    nodes = [helper.make_node("Identity", ["x:0"], [name]) for name in ("z/1", "a b", "ü")]
    runtime = load(graph(nodes, [tensor("x:0")], [tensor(n) for n in ("z/1", "a b", "ü")]))
    values = runtime.predict({"x:0": object_to_value(np.zeros((1, 3), "float32"))})
    assert list(values) == ["z/1", "a b", "ü"]


# --- sequences, maps, optional values -------------------------------------------------------


def test_classifier_of_scikit_learn_answers_labels_and_probabilities(load):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    x = np.array([[0.0, 1], [1, 0], [0, 2], [2, 0]], "float32")
    classifier = LogisticRegression().fit(x, ["up", "side", "up", "side"])
    runtime = load(to_onnx(classifier, x[:1]))
    labels, probabilities = runtime.signature.outputs
    assert (labels.dtype, probabilities.modality) == ("string", Modality.JSON)
    outputs = call(runtime, X=x)
    assert outputs[labels.name].tolist() == ["up", "side", "up", "side"]
    expected = classifier.predict_proba(x)
    for row, wanted in zip(outputs[probabilities.name], expected, strict=True):
        assert list(row) == ["side", "up"]
        np.testing.assert_allclose(list(row.values()), wanted, atol=1e-5)


def test_integer_keys_of_maps_become_text(load):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    x = np.array([[0.0], [1], [2]], "float32")
    runtime = load(to_onnx(LogisticRegression().fit(x, [3, 5, 7]), x[:1]))
    outputs = call(runtime, X=x)
    assert [set(row) for row in outputs["output_probability"]] == [{"3", "5", "7"}] * 3


def sequence_graph() -> Any:
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, ["a"])
    back = helper.make_tensor_sequence_value_info("all", FLOAT, ["a"])
    nodes = [
        helper.make_node("SequenceAt", ["x", "i"], ["one"]),
        helper.make_node("Identity", ["x"], ["all"]),
    ]
    inputs = [sequence, tensor("i", INT64, [])]
    return graph(nodes, inputs, [tensor("one", FLOAT, None), back], opset=17)


def test_sequence_is_a_list_both_ways(load):
    runtime = load(sequence_graph())
    assert runtime.signature.inputs[0].modality is Modality.JSON
    outputs = call(runtime, x=[[1, 2], [3, 4, 5.5]], i=1)
    assert outputs["one"].tolist() == [3, 4, 5.5]
    assert outputs["all"] == [[1, 2], [3, 4, 5.5]]


@pytest.mark.parametrize("given", [{"a": 1}, "text", None, [[1, [2]]], [["a"]]])
def test_what_is_no_sequence_is_refused(load, given):
    runtime = load(sequence_graph())
    with pytest.raises(InputInvalid) as caught:
        call(runtime, x=given, i=0)
    assert caught.value.input == "x"


def test_output_that_json_cannot_say_is_named(load):
    runtime = load(sequence_graph())
    nan = Value(kind="json", buffer=b"[[1, 2]]")
    assert call(runtime, x=nan, i=0)["all"] == [[1, 2]]
    divide = [
        helper.make_node("Div", ["x", "x"], ["q"]),
        helper.make_node("SequenceConstruct", ["q"], ["y"]),
    ]
    output = helper.make_tensor_sequence_value_info("y", FLOAT, ["n"])
    runtime = load(graph(divide, [tensor("x", FLOAT, ["n"])], [output], opset=17))
    with pytest.raises(OutputInvalid, match="'y' can't be sent") as caught:
        call(runtime, x=np.zeros(1, "float32"))
    assert caught.value.output == "y"


def test_map_is_an_object(load):
    kind = onnx.TypeProto()
    kind.map_type.key_type = STRING
    kind.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(FLOAT, []))
    node = helper.make_node(
        "DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"]
    )
    runtime = load(
        graph([node], [helper.make_value_info("x", kind)], [tensor("y", FLOAT, None)], opset=17)
    )
    assert runtime.signature.inputs[0].modality is Modality.JSON
    assert call(runtime, x={"b": 2.5})["y"].tolist() == [[0, 2.5]]
    for given in ([1], {"b": "text"}, None):
        with pytest.raises(InputInvalid):
            call(runtime, x=given)


def test_integer_keys_of_a_map_are_read(load):
    kind = onnx.TypeProto()
    kind.map_type.key_type = INT64
    kind.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(FLOAT, []))
    node = helper.make_node(
        "DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", int64_vocabulary=[5, 7]
    )
    runtime = load(
        graph([node], [helper.make_value_info("x", kind)], [tensor("y", FLOAT, None)], opset=17)
    )
    assert call(runtime, x={"7": 2})["y"].tolist() == [[0, 2]]
    with pytest.raises(InputInvalid, match="keys of input 'x' are integers"):
        call(runtime, x={"seven": 2})


def test_optional_tensor_is_nullable(load):
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [2]))
    node = helper.make_node("OptionalHasElement", ["x"], ["y"])
    runtime = load(
        graph([node], [helper.make_value_info("x", kind)], [tensor("y", 9, [])], opset=18)
    )
    (parameter,) = runtime.signature.inputs
    assert (parameter.dtype, parameter.shape, parameter.nullable) == ("float32", (2,), True)
    assert call(runtime, x=np.zeros(2, "float32"))["y"] == np.True_
    assert call(runtime, x=None)["y"] == np.False_


# --- what goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", os.urandom(1000), identity(FLOAT).SerializeToString()[:-20]],
    ids=["empty", "text", "noise", "cut"],
)
def test_corrupt_file_is_a_failed_load_without_a_path(load, tmp_path, content):
    with pytest.raises(LoadFailed) as caught:
        load(content)
    said = caught.value.message + caught.value.exception
    assert "can't open model.onnx" in caught.value.message
    assert str(tmp_path) not in said
    assert f"onnxruntime {onnxruntime.__version__}" in said


def test_graph_with_an_unknown_operator_says_which(load):
    node = helper.make_node("Teleport", ["x"], ["y"])
    with pytest.raises(LoadFailed, match="Teleport"):
        load(graph([node], [tensor("x")], [tensor("y")]))


def test_absent_file_is_a_failed_load(tmp_path):
    runtime = create_runtime("onnx", Source(files=tmp_path, entry="a/b.onnx"))
    with pytest.raises(LoadFailed, match=r"There is no file a/b\.onnx"):
        runtime.describe()


def test_other_devices_are_refused_for_now(load):
    with pytest.raises(LoadFailed, match="CPU for now, not on 'cuda:0'"):
        load(identity(FLOAT), device="cuda:0")


def external(tmp_path: Path, location: str) -> Any:
    weights = TensorProto(name="w", data_type=FLOAT, dims=[3])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    weights.external_data.add(key="length", value="12")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    return graph([add], [tensor("x")], [tensor("y")], [weights])


def test_external_data_in_the_folder_is_used(load, tmp_path):
    (tmp_path / "weights.bin").write_bytes(np.array([1, 2, 3], "float32").tobytes())
    runtime = load(external(tmp_path, "weights.bin"))
    assert call(runtime, x=np.zeros((1, 3), "float32"))["y"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("how", ["up", "absolute", "link"])
def test_external_data_outside_the_folder_is_refused(load, tmp_path, tmp_path_factory, how):
    outside = tmp_path_factory.mktemp("outside") / "secret.bin"
    outside.write_bytes(np.zeros(3, "float32").tobytes())
    location = {
        "up": f"../{outside.parent.name}/secret.bin",
        "absolute": str(outside),
        "link": "weights.bin",
    }[how]
    if how == "link":
        (tmp_path / "weights.bin").symlink_to(outside)
    with pytest.raises(LoadFailed):
        load(external(tmp_path, location))


def test_external_data_that_is_missing_is_named(load, tmp_path):
    with pytest.raises(LoadFailed, match=r"weights\.bin") as caught:
        load(external(tmp_path, "weights.bin"))
    assert str(tmp_path) not in caught.value.message


def test_what_fails_while_the_graph_runs_is_the_models_failure(load, tmp_path):
    reshape = helper.make_node("Reshape", ["x", "to"], ["y"])
    to = numpy_helper.from_array(np.array([2, 2]), "to")
    runtime = load(graph([reshape], [tensor("x")], [tensor("y", FLOAT, None)], [to]))
    with pytest.raises(ModelFailed, match="could not run the graph") as caught:
        call(runtime, x=np.zeros((1, 3), "float32"))
    assert str(tmp_path) not in caught.value.message
    assert caught.value.exception


def test_symbols_that_disagree_are_the_models_failure(load):
    add = helper.make_node("Add", ["a", "b"], ["y"])
    shapes = [tensor("a", FLOAT, ["n"]), tensor("b", FLOAT, ["n"])]
    runtime = load(graph([add], shapes, [tensor("y", FLOAT, ["n"])]))
    with pytest.raises(ModelFailed):
        call(runtime, a=np.zeros(2, "float32"), b=np.zeros(3, "float32"))
    assert call(runtime, a=np.ones(2, "float32"), b=np.ones(2, "float32"))["y"].tolist() == [2, 2]


def test_threads_setting_reaches_the_session(load):
    runtime = load(identity(FLOAT), threads=1)
    options = runtime._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert load(identity(FLOAT))._session.get_session_options().intra_op_num_threads == 0


def test_not_a_number_passes_through_tensors(load):
    runtime = load(identity(FLOAT))
    received = call(runtime, x=np.array([[math.nan, math.inf, -math.inf]], "float32"))["y"]
    np.testing.assert_array_equal(received, [[math.nan, math.inf, -math.inf]])


def test_graph_runs_in_a_worker_process(worker, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(identity(FLOAT).SerializeToString())
    loaded = worker.load(folder, runtime="onnx")
    assert loaded.signature.inputs[0].dtype == "float32"
    assert worker.value(x=np.ones((2, 3), "float32")).tolist() == [[1, 1, 1]] * 2
    assert worker.predict(x=np.ones((2, 3))).code == "input_invalid"
    assert worker.predict(y=1).details["nearest"] == ["x"]


def test_corrupt_graph_fails_in_a_worker_process_without_a_path(worker, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"corrupt")
    failure = worker.load(folder, runtime="onnx")
    assert failure.code == "load_failed"
    assert str(tmp_path) not in failure.message + str(failure.details)
