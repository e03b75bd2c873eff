from __future__ import annotations

import typing
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict, Union

import numpy as np
import numpy.typing as npt
import pytest

from norman_protocol.errors import InputInvalid
from norman_protocol.signature import Modality, Parameter
from norman_worker.coercion import File
from norman_worker.runtimes.annotations import HintUnknown, is_stream, read_hint
from norman_worker.runtimes.files import safe_file_name


class Row(TypedDict):
    a: int


UserId = NewType("UserId", str)
X = Parameter(name="x", modality=Modality.JSON)


def adapted(hint: Any, value: Any) -> Any:
    adapt = read_hint(hint).adapt
    assert adapt is not None
    with ExitStack() as stack:
        return adapt(X, value, stack)


@pytest.mark.parametrize(
    ("hint", "modality", "dtype"),
    [
        (np.ndarray, Modality.TENSOR, None),
        (npt.NDArray[np.float32], Modality.TENSOR, "float32"),
        (npt.NDArray[np.float64], Modality.TENSOR, "float64"),
        (npt.NDArray[np.int64], Modality.TENSOR, "int64"),
        (npt.NDArray[np.uint8], Modality.TENSOR, "uint8"),
        (npt.NDArray[np.bool_], Modality.TENSOR, "bool"),
        (npt.NDArray[np.str_], Modality.TENSOR, "string"),
        (npt.NDArray[np.complex64], Modality.TENSOR, "complex64"),
        (npt.NDArray[np.floating], Modality.TENSOR, None),
        (npt.NDArray[Any], Modality.TENSOR, None),
        (npt.ArrayLike, Modality.TENSOR, None),
        (np.ndarray[tuple[int, int], np.dtype[np.float16]], Modality.TENSOR, "float16"),
        (str, Modality.TEXT, None),
        (UserId, Modality.TEXT, None),
        (Literal["a", "b"], Modality.TEXT, None),
        (int, Modality.INTEGER, None),
        (np.int32, Modality.INTEGER, None),
        (Literal[1, 2], Modality.INTEGER, None),
        (float, Modality.FLOAT, None),
        (np.float32, Modality.FLOAT, None),
        (int | float, Modality.FLOAT, None),
        (bool, Modality.BOOLEAN, None),
        (np.bool_, Modality.BOOLEAN, None),
        (bytes, Modality.FILE, None),
        (bytearray, Modality.FILE, None),
        (Path, Modality.FILE, None),
        (PathLike, Modality.FILE, None),
        (list, Modality.JSON, None),
        (list[str], Modality.JSON, None),
        (Sequence[float], Modality.JSON, None),
        (tuple[int, ...], Modality.JSON, None),
        (dict, Modality.JSON, None),
        (Mapping[str, int], Modality.JSON, None),
        (typing.Dict[str, int], Modality.JSON, None),  # noqa: UP006 - old hints are common
        (Row, Modality.JSON, None),
        (Any, Modality.JSON, None),
        (object, Modality.JSON, None),
        (int | str, Modality.JSON, None),
        (Literal["a", 1], Modality.JSON, None),
    ],
)
def test_hint_means_a_modality(hint, modality, dtype):
    read = read_hint(hint)
    assert (read.modality, read.dtype) == (modality, dtype)


@pytest.mark.parametrize("hint", [str | None, Optional[str], Union[None, str], Optional[UserId]])  # noqa: UP007, UP045
def test_optional_is_nullable(hint):
    read = read_hint(hint)
    assert (read.modality, read.nullable) == (Modality.TEXT, True)


def test_optional_of_several_is_nullable_json():
    read = read_hint(int | str | None)
    assert (read.modality, read.nullable) == (Modality.JSON, True)


def test_optional_array_keeps_its_dtype():
    read = read_hint(npt.NDArray[np.int8] | None)
    assert (read.modality, read.dtype, read.nullable) == (Modality.TENSOR, "int8", True)


def test_first_text_of_annotated_is_the_description():
    read = read_hint(Annotated[npt.NDArray[np.float32] | None, 3, "an image", "more"])
    assert (read.modality, read.dtype, read.nullable) == (Modality.TENSOR, "float32", True)
    assert read.description == "an image"


def test_not_required_is_not_required():
    assert not read_hint(NotRequired[int]).required
    assert read_hint(int).required


@pytest.mark.parametrize("hint", [complex, set, set[int], type, Parameter])
def test_unknown_hint_names_itself_and_the_known_ones(hint):
    with pytest.raises(HintUnknown, match=r"Known are numpy\.ndarray") as caught:
        read_hint(hint)
    assert hint.__name__ in str(caught.value)


@pytest.mark.parametrize("hint", [Iterator[str], Generator[str, None, None], typing.AsyncIterator])
def test_streams_are_recognised(hint):
    assert is_stream(hint)


@pytest.mark.parametrize("hint", [list[str], str, Any, None])
def test_single_answers_are_no_streams(hint):
    assert not is_stream(hint)


def test_list_takes_lists_and_arrays_only():
    assert adapted(list[int], [1, 2]) == [1, 2]
    assert adapted(list[int], np.array([1, 2])) == [1, 2]
    for other in ({"a": 1}, "text", None, 3):
        with pytest.raises(InputInvalid, match="takes a list"):
            adapted(list, other)


def test_tuple_is_made_from_a_list():
    assert adapted(tuple[int, int], [1, 2]) == (1, 2)
    with pytest.raises(InputInvalid, match="takes a list"):
        adapted(tuple, {})


@pytest.mark.parametrize("hint", [dict[str, int], Row])
def test_dictionary_takes_objects_only(hint):
    assert adapted(hint, {"a": 1}) == {"a": 1}
    for other in ([1], "text", np.zeros(2)):
        with pytest.raises(InputInvalid, match="takes an object"):
            adapted(hint, other)


def test_literal_takes_its_choices_only():
    assert adapted(Literal["fast", "best"], "best") == "best"
    with pytest.raises(InputInvalid, match="one of 'fast', 'best', not 'slow'") as caught:
        adapted(Literal["fast", "best"], "slow")
    assert caught.value.input == "x"
    with pytest.raises(InputInvalid):
        adapted(Literal[1, 2], True)  # equal to 1, and not meant


def test_numpy_scalars_are_made():
    value = adapted(np.float32, 1.5)
    assert (value, type(value)) == (1.5, np.float32)
    assert type(adapted(np.int16, 3)) is np.int16


def test_array_of_text_becomes_numpys_text():
    array = adapted(npt.NDArray[np.str_], np.array(["a", "bc"], object))
    assert array.dtype == np.dtype("<U2")


def test_bytes_are_the_files_content():
    assert adapted(bytes, File(content=memoryview(b"abc"))) == b"abc"
    value = adapted(bytearray, File(content=b"abc"))
    assert (value, type(value)) == (b"abc", bytearray)


def test_path_exists_under_its_name_as_long_as_the_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapt = read_hint(Path).adapt
    assert adapt is not None
    with ExitStack() as stack:
        path = adapt(X, File(content=b"png", name="../a b.png"), stack)
        other = adapt(X, File(content=b"other", name="a b.png"), stack)
        assert path.name == "a b.png"
        assert path.is_absolute()
        assert tmp_path in path.parents
        assert (path.read_bytes(), other.read_bytes()) == (b"png", b"other")
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.png", "a.png"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a.txt", "a.txt"),
        ("", "file"),
        (None, "file"),
        ("..", "file"),
        ("dir/", "file"),
        ("nul\0l\n.txt", "null.txt"),
        ("ü.jpg", "ü.jpg"),
    ],
)
def test_names_from_outside_are_made_safe(name, safe):
    assert safe_file_name(name) == safe


def test_long_name_keeps_its_suffix():
    name = safe_file_name("ü" * 300 + ".jpeg")
    assert len(name.encode()) <= 200
    assert name.endswith("ü.jpeg")
