"""Files taken by their descriptors: the right ones, from the right client, each once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
from collections import deque
from pathlib import Path

import pytest

from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Cancel,
    Copying,
    Failure,
    Hello,
    Kept,
    Message,
    Offer,
    Welcome,
    decode_message,
    encode_message,
)
from norman_server.handover import HandoverServer
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

TOKEN = "the token"
HELLO = Hello(oldest_protocol=1, newest_protocol=9, token=TOKEN)
LIMIT_BYTES = 64 << 20


class Client:
    """One connection; its methods block and are called in threads."""

    def __init__(self, path: Path) -> None:
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.settimeout(30)
        self.stream.connect(str(path))
        self.decoder = FrameDecoder()
        self.messages: deque[Message] = deque()
        self.copying: list[int] = []

    def send(self, message: Message, *files: int) -> None:
        frame = b"".join(encode_message(message))
        if files:
            socket.send_fds(self.stream, [frame], list(files))
        else:
            self.stream.sendall(frame)

    def receive(self) -> Message | None:
        while True:
            while not self.messages:
                data = self.stream.recv(65536)
                if not data:
                    return None
                self.messages.extend(map(decode_message, self.decoder.feed(data)))
            message = self.messages.popleft()
            if not isinstance(message, Copying):
                return message
            self.copying.append(message.done_bytes)

    def ask(self, message: Message, *files: int) -> Message | None:
        self.send(message, *files)
        return self.receive()

    def offer(self, path: Path, digest: str | None = None, flags: int = os.O_RDONLY):
        file = os.open(path, flags)
        try:
            return self.ask(Offer(id="1", size_bytes=path.stat().st_size, digest=digest), file)
        finally:
            os.close(file)


@pytest.fixture
def storage(tmp_path):
    with open_storage(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def server(storage, tmp_path):
    server = HandoverServer(
        storage.home.run / "transfer.sock",
        registry=Registry(storage),
        server_id="s",
        token=TOKEN,
        limit_bytes=LIMIT_BYTES,
    )
    server.start()
    yield server
    await server.close()
    assert not (storage.home.run / "transfer.sock").exists()


@pytest.fixture
async def client(server, storage):
    client = await asyncio.to_thread(Client, storage.home.run / "transfer.sock")
    with client.stream:
        answer = await asyncio.to_thread(client.ask, HELLO)
        assert answer == Welcome(protocol=1, server_id="s", executor_id="")
        yield client


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom((33 << 20) + 5))
    return path


def name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_socket_is_for_its_owner_alone(server, storage):
    path = storage.home.run / "transfer.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("named", [True, False])
async def test_file_becomes_a_blob(client, storage, file, named):
    digest = name(file)
    kept = await asyncio.to_thread(client.offer, file, digest if named else None)
    size_bytes = file.stat().st_size
    assert kept == Kept(id="1", digest=digest, size_bytes=size_bytes, copied_bytes=size_bytes)
    assert client.copying == sorted(client.copying)
    assert client.copying[-1] == size_bytes
    assert await Registry(storage).missing([digest]) == ()
    with storage.blobs.open(digest) as blob:
        assert blob.read() == file.read_bytes()


@pytest.mark.parametrize("named", [True, False])
async def test_file_that_is_a_blob_is_not_copied_again(client, storage, file, named):
    await asyncio.to_thread(client.offer, file)
    before = sorted(storage.home.blobs.rglob("*"))
    kept = await asyncio.to_thread(client.offer, file, name(file) if named else None)
    assert (kept.digest, kept.copied_bytes) == (name(file), 0)
    assert sorted(storage.home.blobs.rglob("*")) == before


async def test_other_file_of_the_same_size_is_copied(client, file, tmp_path):
    await asyncio.to_thread(client.offer, file)
    other = tmp_path / "other"
    other.write_bytes(os.urandom(file.stat().st_size))
    kept = await asyncio.to_thread(client.offer, other)
    assert (kept.digest, kept.copied_bytes) == (name(other), other.stat().st_size)


async def test_empty_file(client, tmp_path):
    (tmp_path / "empty").touch()
    kept = await asyncio.to_thread(client.offer, tmp_path / "empty")
    assert kept.digest == hashlib.sha256(b"").hexdigest()


async def test_where_the_reader_stands_does_not_matter_and_is_left(client, file):
    with file.open("rb") as stream:
        stream.seek(1000)
        offer = Offer(id="1", size_bytes=file.stat().st_size)
        kept = await asyncio.to_thread(client.ask, offer, stream.fileno())
        assert kept.digest == name(file)
        assert os.lseek(stream.fileno(), 0, os.SEEK_CUR) == 1000


async def test_wrong_digest_is_refused_and_nothing_kept(client, storage, file):
    refusal = await asyncio.to_thread(client.offer, file, "0" * 64)
    assert (refusal.id, refusal.code) == ("1", "bundle_invalid")
    assert not [path for path in storage.home.blobs.rglob("*") if path.is_file()]
    assert isinstance(await asyncio.to_thread(client.offer, file), Kept)  # the line stands


@pytest.mark.parametrize("digest", ["0" * 63, "../x", "A" * 64])
async def test_malformed_digest_is_refused(client, file, digest):
    refusal = await asyncio.to_thread(client.offer, file, digest)
    assert refusal.code == "request_invalid"


async def test_size_other_than_announced_is_refused(client, file):
    with file.open("rb") as stream:
        for size_bytes in (0, 5, file.stat().st_size + 1):
            offer = Offer(id="1", size_bytes=size_bytes)
            refusal = await asyncio.to_thread(client.ask, offer, stream.fileno())
            assert refusal.code == "bundle_invalid"


async def test_file_over_the_bound_is_refused(client, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(LIMIT_BYTES + 1)
    refusal = await asyncio.to_thread(client.offer, path)
    assert refusal.code == "payload_too_large"


async def test_what_is_no_readable_file_is_refused(client, tmp_path, file):
    os.mkfifo(tmp_path / "pipe")
    refusal = await asyncio.to_thread(
        client.offer, tmp_path / "pipe", None, os.O_RDONLY | os.O_NONBLOCK
    )
    assert refusal.code == "bundle_invalid"
    refusal = await asyncio.to_thread(client.offer, tmp_path, None, os.O_RDONLY | os.O_DIRECTORY)
    assert refusal.code == "bundle_invalid"
    refusal = await asyncio.to_thread(client.offer, file, None, os.O_WRONLY)
    assert refusal.code == "bundle_invalid"


async def test_offer_without_a_file_ends_the_connection(client):
    refusal = await asyncio.to_thread(client.ask, Offer(id="1", size_bytes=5))
    assert (refusal.id, refusal.code) == ("", "protocol_violation")
    assert await asyncio.to_thread(client.receive) is None


async def test_two_files_at_once_end_the_connection(client, file):
    with file.open("rb") as stream:
        files = [stream.fileno()] * 2
        refusal = await asyncio.to_thread(client.ask, Offer(id="1", size_bytes=5), *files)
    assert (refusal.id, refusal.code) == ("", "protocol_violation")


async def test_message_that_has_no_place_ends_the_connection(client):
    refusal = await asyncio.to_thread(client.ask, Cancel(id="1"))
    assert refusal.code == "protocol_violation"


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello(oldest_protocol=1, newest_protocol=1, token="wrong"), "unauthenticated"),
        (Hello(oldest_protocol=1, newest_protocol=1, token="ключ"), "unauthenticated"),
        (Hello(oldest_protocol=99, newest_protocol=99, token=TOKEN), "protocol_violation"),
        (Offer(id="1", size_bytes=0), "protocol_violation"),
    ],
)
async def test_client_that_does_not_belong_here_is_refused(server, storage, hello, code):
    client = await asyncio.to_thread(Client, storage.home.run / "transfer.sock")
    with client.stream:
        refusal = await asyncio.to_thread(client.ask, hello)
        assert isinstance(refusal, Failure)
        assert refusal.code == code
        assert await asyncio.to_thread(client.receive) is None


async def test_bytes_that_are_no_frames_end_the_connection(server, storage):
    client = await asyncio.to_thread(Client, storage.home.run / "transfer.sock")
    with client.stream:
        client.stream.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        refusal = await asyncio.to_thread(client.receive)
        assert refusal.code == "protocol_violation"


async def test_client_that_leaves_in_the_middle_leaves_nothing(server, client, storage, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(LIMIT_BYTES))
    with path.open("rb") as stream:
        client.send(Offer(id="1", size_bytes=LIMIT_BYTES), stream.fileno())
        client.stream.close()
    await server.close()
    assert not [*storage.home.blobs.glob("incoming/*")]


async def test_server_that_stops_ends_its_connections(server, storage):
    client = await asyncio.to_thread(Client, storage.home.run / "transfer.sock")
    with client.stream:
        await asyncio.to_thread(client.ask, HELLO)
        await server.close()
        assert await asyncio.to_thread(client.receive) is None
