"""Rows matched to the inputs of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from norman_jupyter.client.fitting import fit_value, plan_fit, settle
from norman_jupyter.client.tables import read_table
from norman_protocol.errors import InputInvalid
from norman_protocol.media import Layout, Modality
from norman_protocol.signature import Parameter, Signature

IMAGE = Parameter(name="image", modality=Modality.TENSOR, dtype="float32", shape=("n", 2))
TOP = Parameter(name="top", modality=Modality.INTEGER, required=False, default=3)
NOTE = Parameter(name="note", modality=Modality.TEXT, required=False)
PHOTO = Parameter(name="photo", modality=Modality.IMAGE, encoding="png", layout=Layout())
SIGNATURE = Signature(inputs=(IMAGE, TOP, NOTE))


def tensor(*shape, dtype="float32"):
    return Parameter(name="x", modality=Modality.TENSOR, dtype=dtype, shape=shape)


def refusal(signature, data, **constants):
    with pytest.raises(InputInvalid) as caught:
        plan_fit(signature, read_table(data), constants)
    return caught.value.message


def test_columns_are_matched_by_name_and_others_kept_aside():
    frame = pd.DataFrame({"id": [1], "image": [[1.0, 2.0]], "top": [5]})
    fit = plan_fit(SIGNATURE, read_table(frame), {"note": "a"})
    assert fit.aside == ("id",)
    (row,) = read_table(frame).rows()
    assert fit.inputs(row) == ({"note": "a", "image": [[1.0, 2.0]], "top": 5}, True)


def test_what_has_no_name_is_the_only_input_that_must_be_given():
    fit = plan_fit(SIGNATURE, read_table([[1.0, 2.0]]), {"top": 1})
    assert fit.single == "image"
    assert fit.inputs([1.0, 2.0]) == ({"top": 1, "image": [[1.0, 2.0]]}, True)
    assert plan_fit(Signature(inputs=(TOP,)), read_table([1]), {}).single == "top"


@pytest.mark.parametrize(
    ("cell", "is_given"),
    [
        (None, False),
        (pd.NA, False),
        (pd.NaT, False),
        (float("nan"), False),
        (0, True),
        (np.int64(0), True),
    ],
)
def test_empty_cell_leaves_an_optional_input_out(cell, is_given):
    fit = plan_fit(SIGNATURE, read_table([{"image": [1.0, 2.0], "top": cell}]), {})
    inputs, _ = fit.inputs({"image": [1.0, 2.0], "top": cell})
    assert ("top" in inputs) is is_given


def test_nan_is_a_number_and_none_a_value_where_they_are_one():
    score = Parameter(name="score", modality=Modality.FLOAT)
    maybe = Parameter(name="maybe", modality=Modality.TEXT, nullable=True)
    row = {"score": float("nan"), "maybe": None}
    inputs, _ = plan_fit(Signature(inputs=(score, maybe)), read_table([row]), {}).inputs(row)
    assert set(inputs) == {"score", "maybe"}


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (tensor("n", 2), [1.0, 2.0], [[1.0, 2.0]]),
        (tensor("n", 2), [[1.0, 2.0]], None),
        (tensor("n", 2), np.ones(2, np.float32), np.ones((1, 2), np.float32)),
        (tensor("n", 1), 5.0, [[5.0]]),
        (tensor("n"), np.float64(5), [5.0]),
        (tensor(1, 3, None, None), np.ones((3, 4, 5)), np.ones((1, 3, 4, 5))),
        (tensor(2, 2), [1.0, 2.0], None),
        (tensor("n", 2), "text", None),
        (tensor("n", 2), {"a": 1}, None),
        (tensor("n", dtype="string"), "text", ["text"]),
        (tensor("n"), [[[1]]], None),
        (Parameter(name="x", modality=Modality.TENSOR), [1], None),
        (PHOTO, np.ones((3, 4, 5), np.float32), np.ones((1, 3, 4, 5), np.float32)),
        (PHOTO, b"\x89PNG", None),
        (TOP, [1], None),
    ],
)
def test_leading_axes_are_added_where_they_may_be_one(parameter, value, expected):
    fitted, lifted = fit_value(parameter, value)
    assert lifted is (expected is not None)
    if expected is None:
        assert fitted is value
    else:
        assert np.shape(fitted) == np.shape(expected)
        np.testing.assert_array_equal(fitted, expected)


def test_text_for_an_image_names_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seven.png").write_bytes(b"")
    assert fit_value(PHOTO, "seven.png")[0].name == "seven.png"
    for wrong in ("eight.png", ".", "\0", ""):
        with pytest.raises(InputInvalid, match="no file is called"):
            fit_value(PHOTO, wrong)


def test_outputs_lose_the_axis_that_the_inputs_got():
    outputs = {"label": np.array([7]), "scores": np.ones((1, 3)), "text": "a", "many": np.ones(3)}
    cells = settle(outputs, lifted=True)
    assert (cells["label"], type(cells["label"]), cells["text"]) == (7, int, "a")
    assert (cells["scores"].shape, cells["many"].shape) == ((3,), (3,))
    kept = settle(outputs, lifted=False)
    assert (kept["label"].shape, kept["scores"].shape) == ((1,), (1, 3))


@pytest.mark.parametrize(
    ("data", "constants", "part"),
    [
        (pd.DataFrame({"imge": [[1.0]]}), {}, "looks like 'image'"),
        (pd.DataFrame({"image": [[1.0]], "topp": [1]}), {}, "looks like 'top'"),
        (pd.DataFrame({"id": [1]}), {}, "'image' (float32[n,2]) has no column"),
        (pd.DataFrame({"image": [[1.0]]}), {"image": [1]}, "given twice"),
        (pd.DataFrame({"image": [[1.0]]}), {"tpo": 1}, "Did you mean 'top'"),
        ([1], {"image": [[1.0, 2.0]], "top": 1, "note": "a"}, "no input that a row"),
        ([1], {"image": [[1.0, 2.0]]}, "takes several: 'top', 'note'"),
        (np.ones((3, 5), np.float32), {}, "takes float32[n,2], not float32[1,5]"),
        (np.ones((3, 2)), {}, ".astype('float32')"),
    ],
)
def test_what_no_row_would_fit_is_refused_before_anything_is_sent(data, constants, part):
    assert part in refusal(SIGNATURE, data, **constants)


def test_row_without_names_among_others_fails_alone():
    fit = plan_fit(SIGNATURE, read_table(iter([{"image": [1.0, 2.0]}])), {})
    with pytest.raises(InputInvalid, match="an int"):
        fit.inputs(5)
