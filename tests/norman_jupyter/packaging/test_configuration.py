"""The dictionary of the Norman SDK, norman.toml and keywords, into what is published."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_jupyter.client.dictionaries import read_call
from norman_jupyter.packaging.configuration import (
    ASSET_KEYS,
    MODEL_KEYS,
    OUTPUT_FORMATS,
    SOURCES,
    Asset,
    Configuration,
    Layer,
    join_layers,
    read_configuration,
    read_folder_layer,
    read_layer,
)
from norman_jupyter.packaging.parameters import (
    LAYOUT_KEYS,
    PARAMETER_KEYS,
    RECEIVE_FORMATS,
    SIGNATURE_KEYS,
)
from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import ConfigurationInvalid
from norman_protocol.media import ENCODINGS, Modality

GUIDE: dict[str, Any] = {
    "name": "image_reverser_model",
    "version_label": "beta",
    "short_description": "A simple model that mirrors images.",
    "long_description": "Demonstrates image reversal for onboarding.",
    "assets": [{"asset_name": "weights", "data": "./model.pt"}],
    "inputs": [
        {
            "display_title": "Input Image",
            "data_encoding": "png",
            "receive_format": "File",
            "parameters": [{"parameter_name": "image", "data_encoding": "png"}],
        }
    ],
    "outputs": [
        {
            "display_title": "Output Image",
            "data_encoding": "png",
            "receive_format": "File",
            "parameters": [{"parameter_name": "mirror_image", "data_encoding": "png"}],
        }
    ],
}
"""As Norman's own guide writes it."""


def read(**content: Any) -> Configuration:
    return read_configuration(Layer(place="the configuration", content=content))


def read_input(**content: Any) -> DeclaredParameter:
    declaration = read(inputs=[{"display_title": "Sound", **content}]).declaration
    assert declaration is not None
    return declaration.inputs[0]


def refusal(**content: Any) -> ConfigurationInvalid:
    with pytest.raises(ConfigurationInvalid) as caught:
        read(**content)
    return caught.value


def input_refusal(**content: Any) -> ConfigurationInvalid:
    return refusal(inputs=[{"display_title": "Sound", **content}])


def test_the_guides_dictionary_is_read() -> None:
    assert read(**GUIDE) == Configuration(
        name="image_reverser_model",
        label="beta",
        description="A simple model that mirrors images.",
        long_description="Demonstrates image reversal for onboarding.",
        assets=(Asset(name="weights", data="./model.pt"),),
        declaration=Declaration(
            inputs=(DeclaredParameter(title="Input Image", parameter="image", encoding="png"),),
            outputs=(
                DeclaredParameter(title="Output Image", parameter="mirror_image", encoding="png"),
            ),
        ),
    )


def test_every_key_of_the_sdk_is_taken() -> None:
    found = read(
        **GUIDE
        | {
            "model_class": "vision",
            "model_type": "Pytorch_jit",
            "output_format": "Binary",
            "hosting_location": "Internal",
            "url": "",
            "request_type": "Post",
            "http_headers": {},
            "user_added_tags": [{"name": "demo"}, "mine", {"name": "demo"}],
            "inputs": [
                {
                    **GUIDE["inputs"][0],
                    "data_modality": "Image",
                    "data_domain": "photographs",
                    "hidden": False,
                    "default_value": None,
                    "http_location": "Body",
                }
            ],
        }
    )
    assert found.tags == ("demo", "mine", "class:vision")
    assert found.declaration is not None
    assert found.declaration.runtime == "torchscript"
    assert found.declaration.output_format == "binary"
    assert found.declaration.inputs[0].description == "photographs"
    assert found.declaration.inputs[0].modality is None  # the encoding says it


def test_an_empty_configuration_declares_nothing() -> None:
    assert read() == Configuration()


def test_a_second_parameter_of_a_sound_is_its_rate() -> None:
    both = [
        {"parameter_name": "samples", "data_encoding": "wav"},
        {"parameter_name": "rate", "data_encoding": "integer"},
    ]
    long = read_input(data_encoding="wav", parameters=both)
    short = read_input(data_encoding="WAVE", parameter="samples", rate_parameter="rate")
    assert (long.parameter, long.rate_parameter, long.encoding) == ("samples", "rate", "wav")
    assert long == short


def test_what_the_sdk_has_no_word_for_is_taken_too() -> None:
    found = read_input(
        data_modality="tensor",
        parameter="scores",
        dtype="float32",
        shape=["batch", "?", 3],
        labels=["cat", "dog", "eel"],
        description="of each class",
    )
    assert found == DeclaredParameter(
        title="Sound",
        parameter="scores",
        modality=Modality.TENSOR,
        dtype="float32",
        shape=("batch", None, 3),
        labels=("cat", "dog", "eel"),
        description="of each class",
    )
    layout = {"axes": "NHWC", "mean": [0.5, 0.5, 0.5], "height": 8, "width": 8, "resize": "fit"}
    assert read_input(data_encoding="png", layout=layout).layout == layout
    alike = read_input(data_encoding="png", layout={"mean": 0.5, "std": 2})
    assert alike.layout == {"mean": [0.5], "std": [2]}


@pytest.mark.parametrize(
    ("encoding", "written", "meant"),
    [
        ("integer", "7", 7),
        ("float", 0.5, 0.5),
        ("boolean", "true", True),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("utf8", "7", "7"),
    ],
)
def test_defaults_are_read_by_what_the_input_is(encoding: str, written: Any, meant: Any) -> None:
    assert read_input(data_encoding=encoding, default_value=written, hidden=True).default == meant


@pytest.mark.parametrize(
    ("content", "key", "nearest"),
    [
        ({"nmae": "digits"}, "nmae", "name"),
        ({"inputs": [{"display_titel": "x"}]}, "display_titel", "display_title"),
        (
            {"inputs": [{"display_title": "x", "parameters": [{"paramter_name": "y"}]}]},
            "paramter_name",
            "parameter_name",
        ),
        ({"inputs": [{"display_title": "x", "layout": {"hieght": 1}}]}, "hieght", "height"),
        ({"assets": [{"asset_nam": "x"}]}, "asset_nam", "asset_name"),
        ({"user_added_tags": [{"nam": "x"}]}, "nam", "name"),
    ],
)
def test_an_unknown_key_at_any_depth_names_the_nearest(
    content: dict[str, Any], key: str, nearest: str
) -> None:
    error = refusal(**content)
    assert error.field == key
    assert nearest in error.nearest
    assert f"Did you mean {nearest!r}" in error.message


@pytest.mark.parametrize(
    ("content", "nearest"),
    [
        ({"model_type": "Pytorch-jit"}, "Pytorch_jit"),
        ({"output_format": "Jason"}, "Json"),
        ({"runtime": "onx"}, "onnx"),
        ({"inputs": [{"display_title": "x", "receive_format": "Fill"}]}, "File"),
        ({"inputs": [{"display_title": "x", "data_modality": "imagge"}]}, "image"),
        ({"inputs": [{"display_title": "x", "data_encoding": "pmg"}]}, "png"),
        ({"inputs": [{"display_title": "x", "dtype": "flot32"}]}, "float32"),
        ({"assets": [{"asset_name": "x", "data": b"", "source": "Lynk"}]}, "Link"),
    ],
)
def test_an_unknown_choice_names_the_nearest(content: dict[str, Any], nearest: str) -> None:
    assert nearest in refusal(**content).nearest


@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_two_of_one_title_are_refused(key: str) -> None:
    twice = [{"display_title": "Photo"}, {"display_title": "Photo"}]
    error = refusal(**{key: twice})
    assert error.field == "Photo"
    assert f"Two {key}" in error.message


def test_an_encoding_of_another_modality_is_refused() -> None:
    error = input_refusal(data_modality="audio", data_encoding="png")
    assert "no encoding 'png' of audio" in error.message
    assert "inputs[0]" in error.message


@pytest.mark.parametrize("model_type", ["Transformer_hf", "Api"])
def test_model_types_that_come_later_say_what_to_do_meanwhile(model_type: str) -> None:
    error = refusal(model_type=model_type)
    assert "comes later" in error.message
    assert "model.py" in error.message


@pytest.mark.parametrize(
    "content",
    [
        {"url": "https://models.example"},
        {"http_headers": {"X-Key": "secret-of-mine"}},
        {"hosting_location": "External"},
    ],
)
def test_what_only_a_remote_model_has_is_refused(content: dict[str, Any]) -> None:
    error = refusal(**content)
    assert error.field in content
    assert "secret-of-mine" not in error.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data_encoding": "png", "receive_format": "Primitive"}, "say 'File'"),
        ({"data_encoding": "utf8", "layout": {"axes": "CHW"}}, "this is text"),
        ({"data_encoding": "png", "layout": {"height": "tall"}}, "can't be read"),
        ({"data_encoding": "png", "layout": "NCHW"}, "is a dictionary"),
        ({"data_encoding": "png", "rate_parameter": "rate", "parameter": "x"}, "sound and video"),
        ({"hidden": True}, "needs a 'default_value'"),
        ({"hidden": "yes"}, "true or false"),
        ({"data_encoding": "integer", "default_value": "seven"}, "no integer"),
        ({"shape": [1.5]}, "holds sizes"),
        ({"labels": "cat"}, "is a list"),
        ({"labels": [1]}, "list of texts"),
        ({"parameter": "x", "parameters": [{"parameter_name": "x"}]}, "says the same"),
        ({"parameters": [{"data_encoding": "png"}]}, "'parameter_name'"),
        (
            {
                "data_encoding": "png",
                "parameters": [{"parameter_name": "x", "data_encoding": "wav"}],
            },
            "is wav, which is audio",
        ),
        ({"display_title": "x" * 201}, "longer than 200"),
        ({"display_title": 3}, "is a text"),
    ],
)
def test_what_contradicts_itself_is_refused(content: dict[str, Any], said: str) -> None:
    assert said in input_refusal(**content).message


def test_runtime_and_model_type_must_agree() -> None:
    assert read(model_type="pytorch_jit", runtime="torchscript").declaration == Declaration(
        runtime="torchscript"
    )
    assert (
        "means the runtime torchscript" in refusal(model_type="Pytorch_jit", runtime="onnx").message
    )


@pytest.mark.parametrize("entry", ["../model.pt", "/model.pt", "a\\b.pt", "a//b"])
def test_an_entry_stays_in_the_folder(entry: str) -> None:
    assert refusal(entry=entry).field == "entry"


def test_assets_are_named_once_and_have_data() -> None:
    twice = [{"asset_name": "weights", "data": b"1"}, {"asset_name": "weights", "data": b"2"}]
    assert "stands twice" in refusal(assets=twice).message
    assert "is missing" in refusal(assets=[{"asset_name": "weights"}]).message
    assert read(assets=[{"asset_name": "w", "data": b"1", "source": "primitive"}]).assets == (
        Asset(name="w", data=b"1", source="Primitive"),
    )


def test_later_layers_win_key_by_key() -> None:
    found = join_layers(
        [
            Layer(
                place="norman.toml",
                content={
                    "model_type": "Pytorch_jit",
                    "entry": "a.pt",
                    "inputs": [{"display_title": "x"}],
                },
            ),
            Layer(place="c.json", content={"inputs": [{"display_title": "y"}], "name": "n"}),
            Layer(place="the call", content={"runtime": "python", "name": None}),
        ]
    )
    assert found.name == "n"
    assert found.declaration == Declaration(
        runtime="python", entry="a.pt", inputs=(DeclaredParameter(title="y"),)
    )


def test_a_fault_names_the_layer_that_has_it() -> None:
    layers = [Layer(place="norman.toml", content={}), Layer(place="c.toml", content={"nam": 1})]
    with pytest.raises(ConfigurationInvalid, match=r"'nam' in c\.toml"):
        join_layers(layers)


def test_toml_and_json_files_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "norman.toml").write_text(
        '[[inputs]]\ndisplay_title = "Photo"\ndata_encoding = "png"\n'
        'parameters = [{parameter_name = "image"}]\nlayout = {height = 8, width = 8}\n'
    )
    layer = read_folder_layer(tmp_path)
    assert layer is not None
    (tmp_path / "c.json").write_text(json.dumps(layer.content))
    other = read_layer(tmp_path / "c.json")
    assert read_configuration(layer) == read_configuration(other)
    assert read_configuration(layer).declaration is not None
    assert read_folder_layer(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.toml", b"name = ", "is no TOML"),
        ("c.json", b"{'name': 1}", "is no JSON"),
        ("c.json", b"[1]", "holds no object"),
        ("c.toml", b"\xff\xfe", "no text in UTF-8"),
        ("c.toml", b"#" * (1 << 21), "longer than"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=said):
        read_layer(tmp_path / name)


def test_a_missing_file_or_another_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"'c\.toml' can't be read: No such file"):
        read_layer(tmp_path / "c.toml")
    with pytest.raises(ConfigurationInvalid, match="no regular file"):
        read_layer(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="not int"):
        read_layer(3)  # type: ignore[arg-type]  # what a user may pass


def test_a_folders_configuration_names_no_assets(tmp_path: Path) -> None:
    (tmp_path / "norman.toml").write_text('[[assets]]\nasset_name = "w"\n')
    with pytest.raises(ConfigurationInvalid, match="no 'assets'"):
        read_folder_layer(tmp_path)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from([*ENCODINGS, *SOURCES, *RECEIVE_FORMATS, "torchscript", "Pytorch_jit", "?"]),
)
KEYS = sorted({*MODEL_KEYS, *SIGNATURE_KEYS, *ASSET_KEYS, *PARAMETER_KEYS, *LAYOUT_KEYS})


def tables(keys: Iterable[str]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(sorted(keys)), VALUES, max_size=6)


VALUES = st.deferred(
    lambda: st.one_of(
        SCALARS,
        st.lists(st.one_of(SCALARS, tables(KEYS), tables(SIGNATURE_KEYS)), max_size=3),
        tables(LAYOUT_KEYS),
        tables(PARAMETER_KEYS),
        st.dictionaries(SCALARS.filter(lambda key: not isinstance(key, list)), SCALARS, max_size=2),
    )
)


@given(content=st.one_of(tables(MODEL_KEYS), VALUES))
def test_whatever_is_written_is_read_or_refused_in_words(content: Any) -> None:
    try:
        found = join_layers([Layer(place="it", content=content)])
    except ConfigurationInvalid:
        return
    if found.declaration is not None:
        dump_json(encode(found.declaration))


@given(
    content=st.fixed_dictionaries(
        {"inputs": st.lists(tables(SIGNATURE_KEYS), min_size=1, max_size=2)}
    )
)
def test_whatever_is_written_of_an_input_is_read_or_refused_in_words(content: Any) -> None:
    try:
        found = join_layers([Layer(place="it", content=content)])
    except ConfigurationInvalid:
        return
    assert found.declaration is not None
    dump_json(encode(found.declaration))


DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def blocks(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_documents_examples_are_read() -> None:
    (example,) = blocks("toml")
    found = join_layers([Layer(place="norman.toml", content=tomllib.loads(example))])
    assert found.declaration is not None
    assert [one.title for one in found.declaration.inputs] == ["Photo", "Strength"]
    code, _ = blocks("python")
    dictionaries = [
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
    ]
    uploaded, called = dictionaries
    assert join_layers([Layer(place="it", content=uploaded)]).assets
    assert read_call(called).outputs == {"Output Image": "bytes"}


def test_the_document_names_every_key_and_value() -> None:
    said = set(re.findall(r"`([\w-]+)`", DOCUMENT.read_text(encoding="utf-8")))
    keys = {*MODEL_KEYS, *SIGNATURE_KEYS, *ASSET_KEYS, *PARAMETER_KEYS, *LAYOUT_KEYS}
    assert keys <= said
    assert {*ENCODINGS, *SOURCES, *OUTPUT_FORMATS, *RECEIVE_FORMATS} <= said
    assert {one.value for one in Modality} <= said
