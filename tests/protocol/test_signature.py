"""Whether given values fit a signature, and what is said where they don't."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.decoding import decode, dump_json, encode, parse_json
from norman_protocol.errors import InputInvalid
from norman_protocol.signature import (
    Modality,
    Parameter,
    Signature,
    check_inputs,
    describe_parameter,
)
from norman_protocol.tensors import tensor_bytes
from norman_protocol.values import Value


def tensor(dtype: str, *shape: int) -> Value:
    return Value(kind="tensor", dtype=dtype, shape=shape, buffer=bytes(tensor_bytes(dtype, shape)))


IMAGE = Parameter(name="image", modality=Modality.TENSOR, dtype="float32", shape=("batch", 64))
SIGNATURE = Signature(
    inputs=(IMAGE, Parameter(name="top", modality=Modality.INTEGER, required=False, default=3))
)


def check(modality: Modality, value: Value, **more: Any) -> None:
    check_inputs(Signature(inputs=(Parameter(name="x", modality=modality, **more),)), {"x": value})


def test_fitting_values_pass_with_and_without_the_optional_ones() -> None:
    check_inputs(SIGNATURE, {"image": tensor("float32", 3, 64)})
    check_inputs(
        SIGNATURE, {"top": Value(kind="json", buffer=b"1"), "image": tensor("float32", 0, 64)}
    )
    check_inputs(Signature(), {})


def test_a_missing_input_is_named_with_what_it_takes() -> None:
    with pytest.raises(InputInvalid, match=r"'image' \(float32\[batch,64\]\) is missing") as caught:
        check_inputs(SIGNATURE, {})
    assert (caught.value.input, caught.value.expected) == ("image", "float32[batch,64]")


def test_an_unknown_input_is_named_with_the_nearest() -> None:
    with pytest.raises(InputInvalid, match="Did you mean 'image'") as caught:
        check_inputs(SIGNATURE, {"imgae": tensor("float32", 1, 64)})
    assert (caught.value.input, caught.value.nearest) == ("imgae", ["image"])


def test_an_input_unlike_any_gets_the_whole_list() -> None:
    with pytest.raises(InputInvalid, match=r"The inputs are image, top\.") as caught:
        check_inputs(SIGNATURE, {"qqqq": tensor("float32", 1, 64)})
    assert caught.value.nearest == ["image", "top"]
    with pytest.raises(InputInvalid, match="takes no inputs"):
        check_inputs(Signature(), {"x": tensor("bool")})


def test_a_long_list_of_inputs_is_cut() -> None:
    many = Signature(
        inputs=tuple(Parameter(name=f"n{index}", modality=Modality.TEXT) for index in range(500))
    )
    with pytest.raises(InputInvalid) as caught:
        check_inputs(many, {"?": tensor("bool")})
    assert "n9, …." in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (tensor("float64", 1, 64), "float64[1,64]"),
        (tensor("float32", 64), "float32[64]"),
        (tensor("float32", 1, 1, 64), "float32[1,1,64]"),
        (tensor("float32", 1, 63), "float32[1,63]"),
        (tensor("float32"), "float32[]"),
        (Value(kind="text", buffer=b"abc"), "text (3 B)"),
        (Value(kind="bytes", buffer=b"abc"), "bytes (3 B)"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_another_kind_dtype_or_shape_is_refused(value: Value, received: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        check_inputs(SIGNATURE, {"image": value})
    error = caught.value
    assert (error.input, error.expected, error.received) == (
        "image",
        "float32[batch,64]",
        received,
    )
    assert "'image' takes float32[batch,64], not " in error.message


def test_a_wrong_dtype_says_how_to_convert() -> None:
    with pytest.raises(InputInvalid, match=r"\.astype\('float32'\)"):
        check_inputs(SIGNATURE, {"image": tensor("float64", 1, 64)})
    with pytest.raises(InputInvalid, match="array of str"):
        check(Modality.TENSOR, tensor("float64", 1), dtype="string")


@pytest.mark.parametrize(
    ("given", "taken", "hint"),
    [
        ("string", "float32", "Send numbers; .astype('float32') reads text that spells them."),
        ("complex64", "float32", "for example numpy.abs(array).astype('float32')."),
        ("complex64", "complex128", "for example with .astype('complex128')."),
        ("float64", "int32", "Round it first, for example with .round().astype('int32')."),
        ("uint8", "float32", "Convert it, for example with .astype('float32')."),
    ],
)
def test_the_hint_to_convert_fits_what_came(given: str, taken: str, hint: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        check(Modality.TENSOR, tensor(given, 1), dtype=taken)
    assert caught.value.message.endswith(hint)


@pytest.mark.parametrize(
    ("shape", "fitting", "misfits"),
    [
        (None, [(), (3,), (1, 2)], []),
        ((), [()], [(1,)]),
        ((None,), [(0,), (7,)], [(), (1, 1)]),
        (("n", "n"), [(1, 2)], [(1,)]),
        ((2, None), [(2, 0)], [(1, 2), (2,)]),
        ((0,), [(0,)], [(1,)]),
    ],
)
def test_shapes_fit_by_rank_and_by_fixed_sizes(
    shape: Any, fitting: list[tuple[int, ...]], misfits: list[tuple[int, ...]]
) -> None:
    for sizes in fitting:
        check(Modality.TENSOR, tensor("int8", *sizes), shape=shape)
    for sizes in misfits:
        with pytest.raises(InputInvalid):
            check(Modality.TENSOR, tensor("int8", *sizes), shape=shape)


@pytest.mark.parametrize(
    ("modality", "kinds"),
    [
        (Modality.TENSOR, {"tensor", "json"}),
        (Modality.TEXT, {"text", "json", "bytes"}),
        (Modality.INTEGER, {"tensor", "json"}),
        (Modality.FLOAT, {"tensor", "json"}),
        (Modality.BOOLEAN, {"tensor", "json"}),
        (Modality.JSON, {"tensor", "json", "text"}),
        (Modality.FILE, {"bytes", "json"}),
    ],
)
def test_each_modality_takes_its_kinds_and_no_other(modality: Modality, kinds: set[str]) -> None:
    for value in (
        tensor("float64"),
        Value(kind="text", buffer=b"a"),
        Value(kind="json", buffer=b"1"),
        Value(kind="bytes", buffer=b"a"),
    ):
        if value.kind in kinds:
            check(modality, value)
        else:
            with pytest.raises(InputInvalid):
                check(modality, value)


@pytest.mark.parametrize("modality", [Modality.INTEGER, Modality.FLOAT, Modality.BOOLEAN])
def test_one_number_is_asked_for_and_one_is_taken(modality: Modality) -> None:
    check(modality, tensor("int64"))
    check(modality, tensor("int64", 1))
    for shape in ((0,), (2,), (1, 1)):
        with pytest.raises(InputInvalid, match="Send one number"):
            check(modality, tensor("int64", *shape))


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (IMAGE, "float32[batch,64]"),
        (Parameter(name="x", modality=Modality.TENSOR), "tensor"),
        (Parameter(name="x", modality=Modality.TENSOR, dtype="int8"), "int8[…]"),
        (Parameter(name="x", modality=Modality.TENSOR, shape=(None, 2)), "tensor[?,2]"),
        (Parameter(name="x", modality=Modality.TENSOR, dtype="bool", shape=()), "bool[]"),
        (Parameter(name="x", modality=Modality.FILE), "file"),
    ],
)
def test_parameters_are_described(parameter: Parameter, words: str) -> None:
    assert describe_parameter(parameter) == words


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PARAMETERS = st.builds(
    Parameter,
    name=NAMES,
    modality=st.sampled_from(Modality),
    dtype=st.none() | st.sampled_from(["float32", "string"]),
    shape=st.none() | st.lists(st.none() | st.integers(0, 9) | NAMES, max_size=3).map(tuple),
    required=st.booleans(),
    default=st.none() | st.integers(0, 9) | NAMES | st.lists(st.booleans(), max_size=2),
    nullable=st.booleans(),
    description=NAMES,
)


@given(
    st.builds(
        Signature,
        inputs=st.lists(PARAMETERS, max_size=3).map(tuple),
        outputs=st.lists(PARAMETERS, max_size=3).map(tuple),
    )
)
def test_signatures_come_back_through_json(signature: Signature) -> None:
    assert decode(Signature, parse_json(dump_json(encode(signature)))) == signature
