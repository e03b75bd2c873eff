"""Hostile bytes meet one of two errors, quickly, and get no memory for what they only claim."""

from __future__ import annotations

import runpy
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.arrays import value_to_object
from norman_protocol.decoding import dump_json
from norman_protocol.errors import (
    InputInvalid,
    PayloadTooLarge,
    ProtocolViolation,
    RequestInvalid,
)
from norman_protocol.frames import FrameDecoder, FrameLimits, decode_frame
from norman_protocol.messages import Message, decode_message

ATTACKS = sorted(Path(__file__).with_name("attacks").iterdir())
GOLDEN = sorted(Path(__file__).with_name("golden").iterdir())
REFUSALS = {"violation": ProtocolViolation, "too_large": PayloadTooLarge}
PREFIX = struct.Struct("<4sIQ")


def use(message: Message) -> None:
    """Take a message as a worker would: every value becomes an object."""
    for value in getattr(message, "values", {}).values():
        value_to_object(value)


def take_whole(data: bytes) -> None:
    use(decode_message(decode_frame(data)))


def take_stream(data: bytes, *, step: int | None = None) -> None:
    """Take bytes as a connection does that ends after them."""
    decoder = FrameDecoder()
    for start in range(0, len(data), step or len(data) or 1):
        for frame in decoder.feed(data[start : start + (step or len(data))]):
            use(decode_message(frame))
    if not decoder.idle:
        raise ProtocolViolation("The connection ended in the middle of a frame.")


def test_the_folder_holds_what_the_script_writes() -> None:
    maker = runpy.run_path(str(Path(__file__).with_name("make_attacks.py")))
    expected = {f"{name}.violation.bin": data for name, data in maker["VIOLATIONS"].items()}
    expected |= {f"{name}.too_large.bin": data for name, data in maker["TOO_LARGE"].items()}
    assert {path.name: path.read_bytes() for path in ATTACKS} == expected


@pytest.mark.parametrize("take", [take_whole, take_stream])
@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_attack_is_refused(path: Path, take: Callable[[bytes], None]) -> None:
    data = path.read_bytes()
    expected = REFUSALS[path.stem.rpartition(".")[2]]
    if take is take_whole and expected is PayloadTooLarge:
        assert len(data) < 64, "the length lies"
    tracemalloc.start()
    try:
        with pytest.raises(expected) as caught:
            take(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * 1024 * 1024 + 40 * len(data)
    assert len(caught.value.message) < 1000
    assert caught.value.message.isprintable()


def test_half_a_million_buffers_are_refused() -> None:
    header = b'{"type":"done","id":"1","buffers":[' + b"0," * 499_999 + b"0]}"
    with pytest.raises(ProtocolViolation, match="buffers"):
        take_stream(PREFIX.pack(b"NRMN", len(header), 0) + header)


@pytest.mark.parametrize("claimed_bytes", [1 << 20, 1 << 27, 2 << 30])
def test_a_claimed_body_takes_memory_only_as_it_comes(claimed_bytes: int) -> None:
    header = b'{"type":"predict","id":"1","values":{"x":{"kind":"bytes"}},"buffers":[%d]}'
    header %= claimed_bytes
    data = PREFIX.pack(b"NRMN", len(header), claimed_bytes) + header + b"x" * 1000
    process = psutil.Process()
    decoders = [FrameDecoder() for _ in range(4)]
    before_bytes = process.memory_info().rss
    for decoder in decoders:
        assert list(decoder.feed(data)) == []
    assert process.memory_info().rss - before_bytes < 16 << 20


def test_a_mapped_body_arrives_whole() -> None:
    content = bytes(range(256)) * (3 << 12)
    header = b'{"type":"predict","id":"1","values":{"x":{"kind":"bytes"}},"buffers":[%d]}'
    header %= len(content)
    data = PREFIX.pack(b"NRMN", len(header), len(content)) + header + content
    decoder = FrameDecoder()
    frames = list(decoder.feed(data * 2))
    assert decoder.idle
    assert [bytes(frame.buffers[0]) == content for frame in frames] == [True, True]
    assert frames[0].buffers[0].readonly


def test_limits_are_inclusive() -> None:
    limits = FrameLimits(header_bytes=40, body_bytes=128, buffers=2)
    for header, body_bytes, refusal in (
        (b'{"type":"x","buffers":[64,64]}'.ljust(40), 128, None),
        (b'{"type":"x","buffers":[64,64]}'.ljust(41), 128, PayloadTooLarge),
        (b'{"type":"x","buffers":[64,65]}', 192, PayloadTooLarge),
        (b'{"type":"x","buffers":[64,0,0]}', 64, ProtocolViolation),
    ):
        data = PREFIX.pack(b"NRMN", len(header), body_bytes) + header + bytes(body_bytes)
        for take in (lambda data: decode_frame(data, limits), FrameDecoder(limits).feed):
            if refusal is None:
                assert take(data)
            else:
                with pytest.raises(refusal):
                    list(take(data))


def refused_or_taken(take: Callable[[bytes], None], data: bytes) -> None:
    try:
        take(data)
    except (ProtocolViolation, PayloadTooLarge):
        pass
    except (RequestInvalid, InputInvalid):  # sound frames whose values say something impossible
        decode_message(decode_frame(data))


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_raise_nothing_else(data: bytes, magic: bool) -> None:
    data = b"NRMN" + data if magic else data
    refused_or_taken(take_whole, data)
    refused_or_taken(take_stream, data)


@given(st.binary(max_size=300), st.binary(max_size=128))
def test_random_headers_raise_nothing_else(header: bytes, body: bytes) -> None:
    refused_or_taken(take_stream, PREFIX.pack(b"NRMN", len(header), len(body)) + header + body)


TYPES = sorted(path.stem.removeprefix("message_") for path in GOLDEN if "message_" in path.stem)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["tensor", "string", "float32", "int4", "bytes", "json", "text", "done"])
    | st.text(max_size=5),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "id", "values", "buffers", "kind", "dtype", "shape", "x"]),
            parts,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES)},
        optional={
            "id": JSON,
            "values": st.dictionaries(
                st.text(max_size=2),
                st.fixed_dictionaries(
                    {"kind": st.sampled_from(["tensor", "text", "json", "bytes"])},
                    optional={
                        "dtype": st.sampled_from(["string", "int4", "float32", "bool"]) | JSON,
                        "shape": st.lists(st.integers(-1, 5), max_size=3) | JSON,
                        "file_name": JSON,
                    },
                )
                | JSON,
                max_size=2,
            ),
            "buffers": st.lists(st.sampled_from([0, 4, 12, 64]), max_size=2) | JSON,
            "signature": JSON,
            "caller": JSON,
            "details": JSON,
        },
    ),
    st.binary(max_size=64),
    st.sampled_from([0, 64, 128]),
)
def test_plausible_headers_raise_nothing_else(
    header: dict[str, object], start: bytes, body_bytes: int
) -> None:
    text = dump_json(header, surrogates="replace")
    body = start.ljust(body_bytes, b"\0")[:body_bytes]
    refused_or_taken(take_whole, PREFIX.pack(b"NRMN", len(text), body_bytes) + text + body)


@given(st.sampled_from(GOLDEN), st.data())
def test_golden_bytes_with_a_few_changed_raise_nothing_else(
    path: Path, data: st.DataObject
) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    refused_or_taken(take_whole, bytes(content))
