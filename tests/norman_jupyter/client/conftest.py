"""An executor and a REST API that speak the real protocols and do as a test says."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from website import Website, open_website

from norman_protocol.decoding import dump_json, encode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Cancel,
    Failure,
    Hello,
    Invoke,
    Message,
    Result,
    Timings,
    Welcome,
    decode_message,
    encode_message,
)
from norman_protocol.rest import ExecutorStatus, ServerStatus

HANG_GUARD_S = 30.0
SERVER_ID = "server-1"
TOKEN = "extension-token"


class Peer:
    """The executor's end of one connection."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._decoder = FrameDecoder()
        self._writing = threading.Lock()

    def send(self, message: Message) -> None:
        with self._writing:
            self._stream.sendall(b"".join(encode_message(message)))

    def send_bytes(self, data: bytes) -> None:
        self._stream.sendall(data)

    def echo(self, call: Invoke) -> None:
        self.send(
            Result(
                id=call.id,
                invocation_id=f"invocation-{call.id}",
                reference=f"{call.reference}@1",
                timings=Timings(queue_s=0.001, model_s=0.002, total_s=0.004),
                values=call.values,
            )
        )

    def fail(self, call_id: str, code: str, message: str = "no") -> None:
        self.send(Failure(id=call_id, code=code, message=message))

    def end(self) -> None:
        with_reset = struct.pack("ii", 1, 0)
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, with_reset)
        self._stream.shutdown(socket.SHUT_RDWR)

    def messages(self) -> Iterator[Message]:
        while True:
            received = self._stream.recv(1 << 20)
            if not received:
                return
            for frame in self._decoder.feed(received):
                yield decode_message(frame)


class FakeExecutor:
    """A data socket. `on_call` decides what happens to each Invoke; it echoes by default."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.server_id = SERVER_ID
        self.protocol = 1
        self.dying = False
        self.token = TOKEN
        self.on_call: Callable[[Peer, Invoke], None] = lambda peer, call: peer.echo(call)
        self.hellos: list[Hello] = []
        self._changed = threading.Condition()
        self._taken_back: set[str] = set()
        self.received: queue.Queue[Message] = queue.Queue()
        self._streams: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(64)
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def end_connections(self) -> None:
        """End every connection, as an executor that is killed does; the next ones are taken."""
        for stream in self._streams:
            with suppress(OSError):  # the client was first
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANG_GUARD_S)
        self._streams, self._threads = [], []

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(HANG_GUARD_S)
        self._listener.close()
        self.end_connections()
        Path(self.path).unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(stream,))
            self._streams.append(stream)
            self._threads.append(thread)
            thread.start()

    def _serve(self, stream: socket.socket) -> None:
        calls: set[str] = set()
        with stream, suppress(OSError):  # it ends from one side or the other
            peer = Peer(stream)
            for message in peer.messages():
                if isinstance(message, Invoke):
                    calls.add(message.id)
                self._take(peer, message)
        self._take_back(calls)

    def _take_back(self, calls: set[str]) -> None:
        with self._changed:
            self._taken_back |= calls
            self._changed.notify_all()

    def _take(self, peer: Peer, message: Message) -> None:
        if isinstance(message, Hello):
            with self._changed:
                self.hellos.append(message)
                self._changed.notify_all()
            if self.dying:
                peer.end()
                return
            if message.token != self.token:
                peer.fail("", "unauthenticated", "The token is wrong.")
                peer.end()
                return
            peer.send(
                Welcome(protocol=self.protocol, server_id=self.server_id, executor_id="executor-1")
            )
            return
        self.received.put(message)
        if isinstance(message, Cancel):
            self._take_back({message.id})
        if isinstance(message, Invoke):
            self.on_call(peer, message)

    def wait_hellos(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.hellos) >= count, HANG_GUARD_S)

    def wait_taken_back(self, call_id: str) -> None:
        """Wait until the call was cancelled, or its connection ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: call_id in self._taken_back, HANG_GUARD_S)

    def next_message(self) -> Message:
        return self.received.get(timeout=HANG_GUARD_S)


class Request:
    """What a request to the fake API was."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.connection = handler.connection

    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, dict[str, str], bytes]


def json_answer(body: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, dump_json(encode(body))


class FakeApi:
    """A REST API whose routes are functions; each call is kept in `requests`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.routes: dict[str, Callable[[Request], Answer]] = {"GET status": self._status}
        self.server_id = SERVER_ID
        self.token = TOKEN
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                request = Request(self)
                api.requests.append(request)
                answer = api.answer(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                with suppress(BrokenPipeError):  # the client has left
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = _answer

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, request: Request) -> Answer | None:
        path = request.path.removeprefix("/norman/api/v1/").partition("?")[0]
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return json_answer({"code": "unauthenticated", "message": "wrong token"}, 401)
        route = self.routes.get(f"{request.method} {path}")
        if route is None:
            return json_answer({"message": "Not Found"}, 404)
        return route(request)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(HANG_GUARD_S)
        self._server.server_close()

    def _status(self, request: Request) -> Answer:
        return json_answer(
            ServerStatus(
                server_id=self.server_id,
                version="0.1.0",
                protocol=1,
                model_count=0,
                executor=ExecutorStatus(state="ready"),
            )
        )


@pytest.fixture
def site() -> Iterator[Website]:
    with open_website() as site:
        yield site


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a short path: a socket's has room for a hundred characters."""
    folder = Path(tempfile.mkdtemp(prefix="norman-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def executor(socket_folder: Path) -> Iterator[FakeExecutor]:
    fake = FakeExecutor(str(socket_folder / "data.sock"))
    yield fake
    fake.close()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.close()


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DiscoveryRecord]:
    """Leave the record of a server, which this process is, in a runtime folder of its own."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    for name in ("NORMAN_URL", "NORMAN_TOKEN", "JUPYTER_SERVER_URL", "JUPYTER_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def write(
        api: FakeApi, executor: FakeExecutor | None = None, **changes: Any
    ) -> DiscoveryRecord:
        record = DiscoveryRecord(
            **{
                "server_id": api.server_id,
                "url": api.url,
                "token": api.token,
                "server_pid": os.getpid(),
                "server_started_at": psutil.Process().create_time(),
                "socket_path": executor.path if executor else None,
                "version": "0.1.0",
                **changes,
            }
        )
        path = folder / discovery_file_name(record.server_pid)
        path.touch(mode=0o600)
        path.write_bytes(dump_json(encode(record)))
        return record

    return write
