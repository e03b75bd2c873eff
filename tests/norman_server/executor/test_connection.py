"""The executor's connection, against a peer that speaks the real protocol over a socket pair."""

from __future__ import annotations

import asyncio
import socket

import pytest

from norman_protocol.errors import (
    ExecutorUnavailable,
    Interrupted,
    ModelNotFound,
)
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Done,
    Forget,
    GetStatus,
    Hello,
    Invoke,
    Message,
    ReplicaChanged,
    Result,
    Timings,
    Welcome,
    decode_message,
    encode_message,
    failure_from_error,
)
from norman_protocol.values import Value
from norman_server.executor.connection import Connection


class Peer:
    """The other end, under the test's control."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self.stream = stream
        self._decoder = FrameDecoder()
        self._messages: list[Message] = []

    async def receive(self) -> Message:
        loop = asyncio.get_running_loop()
        while not self._messages:
            data = await loop.sock_recv(self.stream, 1 << 16)
            assert data, "the connection was closed"
            self._messages += map(decode_message, self._decoder.feed(data))
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        await self.send_bytes(b"".join(encode_message(message)))

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.stream, data)


@pytest.fixture
async def pair():
    ours, theirs = socket.socketpair()
    events = []
    connection = await Connection.open_socket(
        ours,
        lost=lambda: Interrupted("The peer is gone."),
        on_event=events.append,
    )
    peer = Peer(theirs)
    peer.events = events
    yield connection, peer
    connection.close()
    await connection.wait_closed()
    theirs.close()


async def test_answers_reach_who_asked_in_any_order(pair):
    connection, peer = pair
    first = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    second = asyncio.create_task(connection.request("2", GetStatus(id="2")))
    assert isinstance(await peer.receive(), Forget)
    assert isinstance(await peer.receive(), GetStatus)
    await peer.send(Done(id="2"))
    assert await second == Done(id="2")
    assert not first.done()
    await peer.send(Done(id="1"))
    assert await first == Done(id="1")
    assert connection.waiting == 0


async def test_failure_raises_the_error_it_reports(pair):
    connection, peer = pair
    asking = asyncio.create_task(connection.request("1", Forget(id="1", name="digit")))
    await peer.receive()
    error = ModelNotFound("There is no model 'digit'.", name="digit", nearest=["digits"])
    await peer.send(failure_from_error("1", error))
    with pytest.raises(ModelNotFound) as caught:
        await asking
    assert caught.value.nearest == ["digits"]


async def test_greeting_is_answered_by_a_message_without_id(pair):
    connection, peer = pair
    hello = Hello(oldest_protocol=1, newest_protocol=1, token="t", role="relay")
    asking = asyncio.create_task(connection.request("", hello))
    assert await peer.receive() == hello
    welcome = Welcome(protocol=1, server_id="s", executor_id="e")
    await peer.send(welcome)
    assert await asking == welcome


async def test_events_are_handed_on(pair):
    connection, peer = pair
    event = ReplicaChanged(version_id="v", pid=1, started_at=2.0, alive=True)
    asking = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    await peer.send(event)
    await peer.send(Done(id="1"))
    await asking
    assert peer.events == [event]


async def test_end_of_the_peer_fails_what_is_unanswered_and_nothing_later(pair):
    connection, peer = pair
    asking = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    await peer.receive()
    peer.stream.close()
    with pytest.raises(Interrupted):
        await asking
    await connection.wait_closed()
    assert not connection.is_open
    with pytest.raises(ExecutorUnavailable):
        await connection.request("2", Forget(id="2", name="a"))


async def test_peer_that_says_why_it_ends_the_connection_is_quoted(pair):
    connection, peer = pair
    asking = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    await peer.receive()
    await peer.send(failure_from_error("", Interrupted("The executor stopped.")))
    with pytest.raises(Interrupted, match="The executor stopped"):
        await asking
    await connection.wait_closed()


async def test_bytes_that_are_no_frames_end_the_connection(pair):
    connection, peer = pair
    asking = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    await peer.receive()
    await peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(Interrupted):
        await asking
    assert not connection.is_open


async def test_answer_to_a_request_that_was_given_up_is_passed_over(pair):
    connection, peer = pair
    given_up = asyncio.create_task(connection.request("1", Forget(id="1", name="a")))
    await peer.receive()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    await peer.send(Done(id="1"))
    asking = asyncio.create_task(connection.request("2", Forget(id="2", name="a")))
    await peer.receive()
    await peer.send(Done(id="2"))
    assert await asking == Done(id="2")


async def test_large_frame_arrives_whole_though_its_sender_is_cancelled(pair):
    connection, peer = pair
    data = bytes(range(256)) * (1 << 16)  # 16 MiB: more than any socket buffers
    values = {"x": Value(kind="bytes", buffer=data)}
    sending = asyncio.create_task(
        connection.request("1", Invoke(id="1", reference="m", values=values))
    )
    first = await asyncio.get_running_loop().sock_recv(peer.stream, 1 << 16)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    after = asyncio.create_task(connection.request("2", Forget(id="2", name="a")))
    peer._messages += map(decode_message, peer._decoder.feed(first))
    large = await peer.receive()
    assert isinstance(large, Invoke)
    assert bytes(large.values["x"].buffer) == data
    assert await peer.receive() == Forget(id="2", name="a")
    await peer.send(Done(id="2"))
    await after


async def test_large_answer_arrives_whole(pair):
    connection, peer = pair
    data = bytes(range(256)) * (1 << 15)
    result = Result(
        id="1",
        invocation_id="i",
        reference="m@1",
        timings=Timings(),
        values={"y": Value(kind="bytes", buffer=data), "z": Value(kind="text", buffer=b"hi")},
    )
    asking = asyncio.create_task(connection.request("1", Invoke(id="1", reference="m")))
    await peer.receive()
    await peer.send(result)
    answer = await asking
    assert bytes(answer.values["y"].buffer) == data
    assert bytes(answer.values["z"].buffer) == b"hi"


async def test_unexpected_event_is_a_violation_where_nobody_takes_events():
    ours, theirs = socket.socketpair()
    with theirs:
        connection = await Connection.open_socket(ours)
        peer = Peer(theirs)
        await peer.send(ReplicaChanged(version_id="v", pid=1, started_at=2.0, alive=True))
        await connection.wait_closed()
        assert not connection.is_open
