"""Files and texts for inputs that take no file."""

from __future__ import annotations

import io

import numpy as np
import pytest

from norman_jupyter.client.contents import read_content
from norman_jupyter.client.dictionaries import output_bytes
from norman_protocol.arrays import object_to_value, value_to_object
from norman_protocol.errors import InputInvalid
from norman_protocol.signature import Modality, Parameter
from norman_protocol.values import Value


def read(modality: Modality, data: bytes, kind: str = "bytes") -> Value:
    parameter = Parameter(name="x", modality=modality)
    return read_content(parameter, Value(kind=kind, buffer=data))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("modality", "kind", "data", "meant"),
    [
        (Modality.INTEGER, "text", b" 7\n", 7),
        (Modality.INTEGER, "bytes", b"7", 7),
        (Modality.FLOAT, "text", b"0.5", 0.5),
        (Modality.BOOLEAN, "bytes", b"true", True),
        (Modality.TENSOR, "bytes", b"[[1, 2]]", [[1, 2]]),
        (Modality.JSON, "bytes", b'{"a": null}', {"a": None}),
    ],
)
def test_what_is_spelt_is_read(modality: Modality, kind: str, data: bytes, meant: object) -> None:
    found = read(modality, data, kind)
    assert found.kind == "json"
    assert value_to_object(found) == meant


@pytest.mark.parametrize(
    ("modality", "kind"),
    [
        (Modality.TEXT, "bytes"),
        (Modality.TEXT, "text"),
        (Modality.FILE, "bytes"),
        (Modality.IMAGE, "bytes"),
        (Modality.JSON, "text"),
    ],
)
def test_what_is_taken_as_it_is_stays(modality: Modality, kind: str) -> None:
    assert read(modality, b"7", kind) == Value(kind=kind, buffer=b"7")  # type: ignore[arg-type]


@pytest.mark.parametrize("output_format", ["binary", "json"])
def test_outputs_are_inputs_again(output_format: str) -> None:
    array = np.array([[1.5, -2]], np.float32)
    data = output_bytes(object_to_value(array), output_format)  # type: ignore[arg-type]
    again = value_to_object(read(Modality.TENSOR, data))
    np.testing.assert_array_equal(np.asarray(again, np.float32), array)


def test_no_pickle_is_loaded() -> None:
    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    with pytest.raises(InputInvalid, match=r"Input 'x' takes tensor; its \.npy can't be read"):
        read(Modality.TENSOR, file.getvalue())


@pytest.mark.parametrize("data", [b"seven", b"", b"\xff", b"NaN", b"\x93NUMPY"])
def test_what_says_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(InputInvalid, match="Input 'x' takes tensor") as caught:
        read(Modality.TENSOR, data)
    assert caught.value.input == "x"
