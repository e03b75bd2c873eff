"""Frames: whole, split anywhere, several in a row, and received in place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.errors import PayloadTooLarge, ProtocolViolation, RequestInvalid
from norman_protocol.frames import (
    ALIGNMENT_BYTES,
    PREFIX_BYTES,
    Frame,
    FrameDecoder,
    FrameLimits,
    decode_frame,
    encode_frame,
    frame_bytes,
    join_frame,
)

HEADERS = st.dictionaries(
    st.text(max_size=8).filter(lambda key: key != "buffers"),
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.text(max_size=20),
    max_size=4,
)
FRAMES = st.tuples(HEADERS, st.lists(st.binary(max_size=200), max_size=4))


def plain(frame: Frame) -> tuple[dict[str, object], list[bytes]]:
    return frame.header, [bytes(buffer) for buffer in frame.buffers]


@given(FRAMES)
def test_a_frame_comes_back(content: tuple[dict[str, object], list[bytes]]) -> None:
    assert plain(decode_frame(join_frame(*content))) == content


@given(st.lists(FRAMES, max_size=4), st.data())
def test_frames_split_anywhere_come_back_in_order(
    contents: list[tuple[dict[str, object], list[bytes]]], data: st.DataObject
) -> None:
    stream = b"".join(join_frame(*content) for content in contents)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    decoder = FrameDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [plain(frame) for frame in decoder.feed(stream[start:end])]
    assert found == contents
    assert decoder.idle


def test_frames_fed_byte_by_byte_come_back() -> None:
    frame = join_frame({"type": "x"}, [b"abc", b"", b"d" * 70])
    decoder = FrameDecoder()
    found = [plain(whole) for byte in frame * 3 for whole in decoder.feed(bytes([byte]))]
    assert found == [({"type": "x"}, [b"abc", b"", b"d" * 70])] * 3


@given(st.lists(st.binary(max_size=150), min_size=1, max_size=5))
def test_buffers_are_aligned_and_padded_with_zeros(buffers: list[bytes]) -> None:
    frame = join_frame({"type": "x"}, buffers)
    body = frame[PREFIX_BYTES + int.from_bytes(frame[4:8], "little") :]
    offset = 0
    for buffer in buffers:
        end = offset + len(buffer)
        assert body[offset:end] == buffer
        offset = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        assert not body[end:offset].strip(b"\0")
    assert offset == len(body)


def test_large_headers_and_bodies_come_back_through_the_place_handed_out() -> None:
    header = {"type": "x", "text": "ü" * 300_000}
    buffers = [b"a" * 3_000_001, b"b" * 70_000]
    stream = memoryview(join_frame(header, buffers) + join_frame({"type": "y"}))
    decoder = FrameDecoder()
    found = []
    while stream:
        target = decoder.receive_buffer()
        size_bytes = min(len(target), len(stream), 50_000)
        target[:size_bytes] = stream[:size_bytes]
        target.release()
        decoder.received(size_bytes)
        stream = stream[size_bytes:]
        found += [plain(frame) for frame in decoder.frames()]
    assert found == [(header, buffers), ({"type": "y"}, [])]
    assert decoder.idle


def test_buffers_outlive_the_decoder_and_the_next_frames() -> None:
    decoder = FrameDecoder()
    (first,) = decoder.feed(join_frame({}, [b"first" * 20]))
    (second,) = decoder.feed(join_frame({}, [b"other" * 20]))
    del decoder
    assert bytes(first.buffers[0]) == b"first" * 20
    assert bytes(second.buffers[0]) == b"other" * 20


def test_received_buffers_are_read_only() -> None:
    data = join_frame({}, [b"abc"])
    for frame in (decode_frame(bytearray(data)), *FrameDecoder().feed(data)):
        buffer = frame.buffers[0]
        assert isinstance(buffer, memoryview)
        with pytest.raises(TypeError):
            buffer[0] = 1


def test_buffers_of_any_item_size_are_sent_as_bytes_and_not_copied() -> None:
    numbers = memoryview(bytearray(range(16))).cast("I")
    pieces = encode_frame({}, [numbers])
    assert len(pieces) == 3
    sent = pieces[1]
    assert isinstance(sent, memoryview)
    assert sent.obj is numbers.obj
    assert bytes(decode_frame(b"".join(pieces)).buffers[0]) == bytes(range(16))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_a_header_that_json_cannot_say_is_refused_by_the_sender(value: object) -> None:
    with pytest.raises(RequestInvalid):
        encode_frame({"x": value})


def test_lone_surrogates_of_a_header_become_question_marks() -> None:
    frame = decode_frame(join_frame({"file_name": "caf\udce9.png"}))
    assert frame.header == {"file_name": "caf?.png"}


def test_too_many_buffers_are_refused_by_the_sender() -> None:
    assert len(decode_frame(join_frame({}, [b""] * 4096)).buffers) == 4096
    with pytest.raises(PayloadTooLarge) as caught:
        encode_frame({}, [b""] * 4097)
    assert caught.value.limit_bytes == 4096


def test_frame_bytes_says_how_far_a_frame_reaches() -> None:
    first, second = join_frame({"n": 1}, [b"abc"]), join_frame({"n": 2})
    stream = first + second
    assert frame_bytes(stream[:PREFIX_BYTES]) == len(first)
    assert frame_bytes(stream[len(first) :]) == len(second)
    with pytest.raises(ProtocolViolation):
        frame_bytes(stream[1:])
    with pytest.raises(PayloadTooLarge):
        frame_bytes(first, FrameLimits(body_bytes=63))


def test_a_decoder_without_bytes_is_idle_and_gives_nothing() -> None:
    decoder = FrameDecoder()
    assert decoder.idle
    assert list(decoder.frames()) == []
    assert list(decoder.feed(b"")) == []


def test_of_a_key_given_twice_in_a_header_the_last_counts() -> None:
    text = b'{"type":"done","type":"stop"}'
    frame = decode_frame(b"NRMN" + len(text).to_bytes(4, "little") + bytes(8) + text)
    assert frame.header == {"type": "stop"}
