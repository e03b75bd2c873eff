from __future__ import annotations

import os
import socket
import threading

import pytest

from norman_protocol.channel import Channel, send_pieces
from norman_protocol.errors import ProtocolViolation
from norman_protocol.frames import join_frame
from norman_protocol.messages import Predict, encode_message
from norman_protocol.values import Value


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    left.settimeout(60)
    right.settimeout(60)
    with left, right:
        yield left, right


def text(size_bytes: int) -> Value:
    return Value(kind="text", buffer=b"x" * size_bytes)


def test_frames_that_come_together_are_received_one_by_one(pair):
    left, right = pair
    data = b"".join(b"".join(encode_message(Predict(id=str(i)))) for i in range(3))
    left.sendall(data)
    channel = Channel(right)
    assert [channel.receive().id for _ in range(3)] == ["0", "1", "2"]


def test_frame_that_comes_byte_by_byte_is_received(pair):
    left, right = pair
    data = b"".join(encode_message(Predict(id="1", values={"t": text(100)})))
    writer = threading.Thread(target=lambda: [left.send(data[i : i + 1]) for i in range(len(data))])
    writer.start()
    message = Channel(right).receive()
    writer.join()
    assert bytes(message.values["t"].buffer) == b"x" * 100


def test_closed_peer_is_the_end(pair):
    left, right = pair
    channel = Channel(right)
    assert not channel.peer_gone()
    left.close()
    assert channel.peer_gone()
    assert channel.receive() is None
    assert not channel.send([b"x"])


def test_peer_is_seen_gone_before_what_it_sent_is_read(pair):
    left, right = pair
    left.sendall(b"".join(encode_message(Predict(id="1"))))
    left.close()
    channel = Channel(right)
    assert channel.peer_gone()
    assert channel.receive().id == "1"


def test_end_inside_a_frame_is_a_violation(pair):
    left, right = pair
    left.sendall(join_frame({"type": "predict", "id": "1"})[:-3])
    left.close()
    with pytest.raises(ProtocolViolation, match="in the middle of a frame"):
        Channel(right).receive()


def test_closed_channel_receives_and_sends_nothing(pair):
    _, right = pair
    channel = Channel(right)
    channel.close()
    assert channel.receive() is None
    assert not channel.send([b"x"])


def test_pieces_beyond_the_socket_buffer_and_the_vector_limit_arrive_in_order(pair):
    left, right = pair
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pieces = [os.urandom(size % 977) for size in range(5_000)]
    pieces[77] = os.urandom(1 << 20)
    pieces[3_000] = memoryview(os.urandom(8 * 1000)).cast("d")
    expected = b"".join(bytes(piece) for piece in pieces)
    writer = threading.Thread(target=send_pieces, args=(left, pieces))
    writer.start()
    received = bytearray()
    while len(received) < len(expected):
        received += right.recv(1 << 16)
    writer.join()
    assert received == expected
