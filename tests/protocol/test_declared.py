"""Signatures of a model and its configuration, joined: what fits, and what contradicts."""

from __future__ import annotations

import pytest

from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.declared import check_declaration, declared_signature
from norman_protocol.errors import ConfigurationInvalid
from norman_protocol.media import Layout, Modality
from norman_protocol.signature import Parameter, Signature, describe_parameter, model_signature


def tensor(name="x", dtype="float32", shape=None):
    return Parameter(name=name, modality=Modality.TENSOR, dtype=dtype, shape=shape)


def join(own, declared, *, positional=False):
    described = Signature(inputs=own if isinstance(own, tuple) else (own,))
    declaration = Declaration(inputs=declared if isinstance(declared, tuple) else (declared,))
    return declared_signature(described, declaration, positional=positional).inputs


def photo(**said):
    return DeclaredParameter(**{"title": "Photo", "parameter": "x", "encoding": "png", **said})


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        (None, "float32", Layout()),
        (None, None, Layout()),
        (("batch", 3, None, None), "float32", Layout()),
        ((1, 3, 224, 200), "float32", Layout(height=224, width=200)),
        ((None, None, None, 3), "uint8", Layout(axes="NHWC", dtype="uint8", high=255.0)),
        ((None, None, 4), "float64", Layout(axes="HWC", channels="RGBA", dtype="float64")),
        (
            (1, 8, 8),
            "float16",
            Layout(axes="CHW", channels="L", dtype="float16", height=8, width=8),
        ),
        (
            (8, 8),
            "int8",
            Layout(
                axes="HW", channels="L", dtype="int8", low=-128.0, high=127.0, height=8, width=8
            ),
        ),
        ((1, 5, 8, 8), "float32", None),
    ],
)
def test_the_layout_of_an_image_follows_from_the_models_tensor(shape, dtype, expected):
    if expected is None:
        with pytest.raises(ConfigurationInvalid, match=r"makes a tensor of shape \[1,3,8,8\]"):
            join(tensor(dtype=dtype, shape=shape), photo())
    else:
        (found,) = join(tensor(dtype=dtype, shape=shape), photo())
        assert (found.layout, found.dtype, found.shape) == (expected, None, None)


def test_the_layout_of_a_sound_follows_from_the_models_tensor():
    sound = DeclaredParameter(title="x", encoding="wav", rate_parameter="rate")
    rate = Parameter(name="rate", modality=Modality.INTEGER)
    (found,) = join((tensor(shape=("samples",)), rate), sound)
    assert found.layout == Layout(axes="T", low=-1.0, high=1.0, mono=True)
    assert found.rate_parameter == "rate"
    own = model_signature(Signature(inputs=(found,))).inputs
    assert [(one.name, one.modality) for one in own] == [
        ("x", Modality.TENSOR),
        ("rate", Modality.INTEGER),
    ]


def test_what_is_declared_of_a_layout_counts():
    declared = photo(
        layout={
            "height": 8,
            "width": 8,
            "channels": "L",
            "flatten": True,
            "high": 16,
            "resize": "stretch",
        }
    )
    (found,) = join(tensor(shape=(None, 64)), declared)
    assert found.layout == Layout(
        height=8, width=8, channels="L", flatten=True, high=16.0, resize="stretch"
    )
    (own,) = model_signature(Signature(inputs=(found,))).inputs
    assert describe_parameter(own) == "float32[1,64]"


def test_an_integer_dtype_brings_its_range():
    (found,) = join(tensor(dtype=None), photo(layout={"dtype": "uint8"}))
    assert (found.layout.low, found.layout.high) == (0.0, 255.0)


def test_a_model_that_takes_files_takes_the_file():
    own = Parameter(name="x", modality=Modality.FILE)
    (found,) = join(own, photo())
    assert (found.modality, found.encoding, found.layout) == (Modality.IMAGE, "png", None)
    (own,) = model_signature(Signature(inputs=(found,))).inputs
    assert (own.name, own.modality) == ("x", Modality.FILE)


def test_what_has_no_hints_takes_a_tensor():
    (found,) = join(Parameter(name="x", modality=Modality.JSON), photo())
    assert found.layout == Layout()


def test_what_is_not_declared_keeps_its_name():
    found = join((tensor(), tensor("y")), photo())
    assert [one.name for one in found] == ["Photo", "y"]


def test_a_model_that_describes_no_outputs_has_those_declared():
    declaration = Declaration(outputs=(DeclaredParameter(title="Mirror", encoding="png"),))
    (found,) = declared_signature(Signature(), declaration).outputs
    assert (found.name, found.layout, found.encoding) == ("Mirror", Layout(), "png")


def test_a_modality_alone_has_an_encoding():
    (found,) = join(tensor(), photo(encoding=None, modality=Modality.IMAGE))
    assert found.encoding == "png"


def test_a_number_for_a_tensor_stays_a_tensor():
    declared = DeclaredParameter(title="Gain", parameter="x", encoding="float")
    (found,) = join(tensor(dtype=None), declared)
    assert describe_parameter(found) == "float32[]"


def test_places_are_told_by_order_where_names_count_for_little():
    own = (tensor("input"), tensor("mask"))
    declared = (photo(parameter="image"), DeclaredParameter(title="Mask", parameter="m"))
    found = join(own, declared, positional=True)
    assert [(one.name, one.parameter) for one in found] == [("Photo", "input"), ("Mask", "mask")]
    with pytest.raises(ConfigurationInvalid, match="3 inputs are declared, and the model has 2"):
        join(own, (*declared, DeclaredParameter(title="More")), positional=True)
    with pytest.raises(ConfigurationInvalid, match=r"no input 'imput'.*Did you mean 'input'"):
        join(own, (photo(parameter="imput"), DeclaredParameter(title="mask")), positional=True)


@pytest.mark.parametrize(
    ("own", "declared", "said"),
    [
        (tensor(), photo(parameter="y"), r"no input 'y'"),
        (tensor(), photo(layout={"widht": 3}), r"no 'widht'\. Did you mean width"),
        (tensor(), photo(layout={"width": "3"}), r"layout of 'Photo': width must be"),
        (tensor(), photo(layout={"width": 1 << 21}), "at most 1048576, not 2097152"),
        (tensor(), photo(layout={"axes": "NCHWT"}), r"the axes of image are"),
        (tensor(shape=(1, 3, 8, 8)), photo(layout={"axes": "NHWC"}), r"shape \[1,8,8,3\]"),
        (
            tensor(),
            photo(layout={"dtype": "uint8"}),
            r"has dtype uint8, and the model's is float32",
        ),
        (tensor(dtype="int64"), photo(), "int64"),
        (tensor(), photo(encoding="mp5"), r"no encoding 'mp5'"),
        (tensor(), photo(modality=Modality.AUDIO), r"no encoding 'png' of audio"),
        (tensor(), photo(encoding="utf8"), "is declared as text"),
        (tensor(), photo(encoding="json", dtype="float31"), r"did you mean float32"),
        (tensor(), photo(encoding="tensor", dtype="float64"), "and the model's 'x' is float32"),
        (tensor(shape=(2,)), photo(encoding="tensor", shape=(3,)), r"float32\[2\]"),
        (tensor(), photo(default="a.png"), "image can't have a default value"),
        (tensor(), photo(hidden=True), "a hidden input needs a default"),
        (tensor(), photo(encoding="float", layout={"axes": "T"}), "only images, sound and video"),
        (tensor(), photo(rate_parameter="r"), "only sound and video have a rate"),
        (tensor(), photo(encoding="wav", rate_parameter="r"), "no input 'r'"),
        (tensor(), (photo(), photo(parameter="y")), "Two inputs are titled 'Photo'"),
        (tensor(), (photo(), photo(title="Other")), "Two inputs are declared for the model's 'x'"),
        ((tensor(), tensor("y")), photo(title="y"), "Two inputs are titled 'y'"),
        (tensor(), photo(title=" "), "An input has no title"),
        (
            Parameter(name="x", modality=Modality.TEXT),
            photo(),
            "is declared as image .png., and the model's 'x' is text",
        ),
    ],
)
def test_contradictions_are_told(own, declared, said):
    with pytest.raises(ConfigurationInvalid, match=said):
        join(own, declared)


def test_a_model_py_with_one_output_is_told_how_to_name_several():
    described = Signature(outputs=(tensor("output"),))
    declaration = Declaration(outputs=(photo(parameter="mirrored"),))
    with pytest.raises(ConfigurationInvalid, match=r"Its outputs are output\..* a NamedTuple"):
        declared_signature(described, declaration)


def test_an_output_has_no_default():
    declaration = Declaration(outputs=(DeclaredParameter(title="a", default=1),))
    with pytest.raises(ConfigurationInvalid, match="an output has no default"):
        check_declaration(declaration)


def test_without_a_declaration_nothing_changes():
    signature = Signature(inputs=(tensor(),))
    assert declared_signature(signature, None) is signature
