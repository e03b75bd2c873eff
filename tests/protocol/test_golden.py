"""The bytes on the wire stay what they are: both ways, encoding and decoding."""

from __future__ import annotations

import runpy
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from norman_protocol import messages
from norman_protocol.arrays import value_to_array
from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import FrameDecoder, decode_frame, frame_bytes
from norman_protocol.messages import Message, Predict, decode_message, encode_message
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value

FOLDER = Path(__file__).with_name("golden")
MAKER = runpy.run_path(str(Path(__file__).with_name("make_golden.py")))
MESSAGES: dict[str, Message] = MAKER["golden_messages"]()


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def plain(message: Message) -> Any:
    """Return a message with its buffers as bytes, comparable whatever they are views of."""
    values = getattr(message, "values", {})
    return (
        type(message),
        {name: getattr(message, name) for name in message.__slots__ if name != "values"},
        {
            name: (value.kind, value.dtype, value.shape, value.file_name, bytes(value.buffer))
            for name, value in values.items()
        },
    )


def test_every_message_type_and_dtype_has_a_golden_file() -> None:
    names = {path.stem for path in FOLDER.iterdir()}
    assert names == set(MESSAGES)
    types = [getattr(getattr(messages, name), "TYPE", "") for name in messages.__all__]
    assert {f"message_{name}" for name in types if name} <= names
    assert {f"tensor_{dtype}" for dtype in DTYPES} <= names


@pytest.mark.parametrize("name", MESSAGES)
def test_encoding_gives_the_golden_bytes(name: str) -> None:
    assert b"".join(encode_message(MESSAGES[name])) == read(name)


@pytest.mark.parametrize("name", MESSAGES)
def test_decoding_the_golden_bytes_gives_the_message(name: str) -> None:
    data = read(name)
    assert plain(decode_message(decode_frame(data))) == plain(MESSAGES[name])
    assert frame_bytes(data) == len(data)


@pytest.mark.parametrize("dtype", DTYPES)
def test_golden_tensors_hold_their_arrays(dtype: str) -> None:
    message = decode_message(decode_frame(read(f"tensor_{dtype}")))
    assert isinstance(message, Predict)
    array = value_to_array(message.values["x"])
    expected = MAKER["example_array"](dtype)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_a_frame_built_by_hand_from_the_specification_is_understood() -> None:
    header = (
        b'{"future":{"a":[1.5]},"type":"predict","id":"1","values":{"b":{"kind":"text"},'
        b'"a":{"kind":"tensor","dtype":"uint4","shape":[3],"future":1}},"buffers":[3,2]}'
    )
    body = b"abc".ljust(64, b"\0") + b"\x21\x03".ljust(64, b"\0")
    frame = b"NRMN" + struct.pack("<IQ", len(header), len(body)) + header + body
    message = decode_message(decode_frame(frame))
    assert plain(message) == plain(
        Predict(
            id="1",
            values={
                "b": Value(kind="text", buffer=b"abc"),
                "a": Value(kind="tensor", dtype="uint4", shape=(3,), buffer=b"\x21\x03"),
            },
        )
    )
    assert value_to_array(message.values["a"]).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_file_cut_anywhere_is_no_frame(name: str) -> None:
    data = read(name)
    for end in range(len(data)):
        with pytest.raises(ProtocolViolation):
            decode_frame(data[:end])
        decoder = FrameDecoder()
        assert list(decoder.feed(data[:end])) == []
        assert decoder.idle is (end == 0)
