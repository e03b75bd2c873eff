"""A real executor process, spoken to as the server and as kernels do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from norman_protocol.arrays import object_to_value, value_to_object
from norman_protocol.declaration import Declaration
from norman_protocol.errors import Interrupted
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Accepted,
    Cancel,
    Configure,
    Configured,
    Deploy,
    Done,
    Ended,
    ExecutorLimits,
    Failure,
    GetStatus,
    Hello,
    Invoke,
    Message,
    ReplicaChanged,
    Result,
    Route,
    RouteTarget,
    Start,
    Started,
    Status,
    Stop,
    Welcome,
    decode_message,
    encode_message,
)

HANG_GUARD_S = 60.0


class Peer:
    """One end of a socket that speaks messages; answers are found by their id."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._stream = stream
        self._decoder = FrameDecoder()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._count = 0
        self.events: list[Message] = []
        self.changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    def next_id(self) -> str:
        self._count += 1
        return str(self._count)

    async def send(self, message: Message) -> None:
        await self.send_bytes(b"".join(encode_message(message)))

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._stream, data)

    def expect(self, request_id: str) -> asyncio.Future[Message]:
        future = asyncio.get_running_loop().create_future()
        if self._reader.done():
            future.set_exception(Interrupted("closed"))
        self._waiting[request_id] = future
        return future

    async def ask(self, message: Any) -> Any:
        future = self.expect(message.id)
        await self.send(message)
        return await self.answer(future)

    async def answer(self, future: asyncio.Future[Message]) -> Any:
        async with asyncio.timeout(HANG_GUARD_S):
            message = await future
        if isinstance(message, Failure):
            raise message.to_error()
        return message

    async def wait_event(self, matches: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(HANG_GUARD_S), self.changed:
            await self.changed.wait_for(lambda: any(map(matches, self.events)))
        return next(event for event in self.events if matches(event))

    async def closed(self) -> None:
        async with asyncio.timeout(HANG_GUARD_S):
            await asyncio.wait([self._reader])

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self._stream.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._stream, 1 << 16):
                for frame in self._decoder.feed(data):
                    await self._take(decode_message(frame))
        except ConnectionError:
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Interrupted("the executor closed the connection"))
                    future.exception()

    async def _take(self, message: Message) -> None:
        future = self._waiting.pop(getattr(message, "id", "?"), None)
        if future is not None and not future.done():
            future.set_result(message)
            return
        async with self.changed:
            self.events.append(message)
            self.changed.notify_all()


class Client(Peer):
    """A kernel's data connection."""

    async def begin_call(
        self, reference: str, timeout_s: float | None = None, **inputs: Any
    ) -> tuple[str, asyncio.Future[Message]]:
        request_id = self.next_id()
        future = self.expect(request_id)
        values = {name: object_to_value(value) for name, value in inputs.items()}
        await self.send(
            Invoke(id=request_id, reference=reference, timeout_s=timeout_s, values=values)
        )
        return request_id, future

    async def call(self, reference: str, timeout_s: float | None = None, **inputs: Any) -> Result:
        _, future = await self.begin_call(reference, timeout_s, **inputs)
        return await self.answer(future)

    async def value(self, reference: str, **inputs: Any) -> Any:
        result = await self.call(reference, **inputs)
        (value,) = result.values.values()
        return value_to_object(value)

    async def cancel(self, request_id: str) -> None:
        await self.send(Cancel(id=request_id))


class Executor:
    """A running executor with everything around it."""

    def __init__(
        self, home: Path, process: subprocess.Popen[bytes], control: Peer, configuration: Configure
    ) -> None:
        self.home = home
        self.process = process
        self.control = control
        self.configuration = configuration
        self.executor_id = ""
        self._clients: list[Client] = []

    @property
    def journal(self) -> list[Accepted | Ended]:
        """Everything recorded so far, in order."""
        records = []
        for segment in sorted((self.home / "journal").glob("*.frames")):
            decoder = FrameDecoder()
            records += [decode_message(frame) for frame in decoder.feed(segment.read_bytes())]
        return records

    def ends(self) -> dict[str, list[str]]:
        ends: dict[str, list[str]] = {}
        for record in self.journal:
            states = ends.setdefault(record.invocation_id, [])
            if isinstance(record, Ended):
                states.append(record.state)
        return ends

    def write_model(self, source: str, files: Mapping[str, str] | None = None) -> Path:
        folder = self.home / f"model-{len(list(self.home.glob('model-*')))}"
        folder.mkdir()
        (folder / "model.py").write_text(textwrap.dedent(source))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        return folder

    async def deploy(
        self,
        name: str,
        files: Path,
        *,
        runtime: str = "python",
        entry: str = "model.py",
        interpreter: str = sys.executable,
        declaration: Declaration | None = None,
        start: bool = True,
    ) -> Started | None:
        version_id = f"{name}-1"
        await self.control.ask(
            Deploy(
                id=self.control.next_id(),
                version_id=version_id,
                reference=f"{name}@1",
                runtime=runtime,
                interpreter=interpreter,
                files=str(files),
                entry=entry,
                declaration=declaration,
                log_path=str(self.home / "logs" / f"{version_id}.log"),
            )
        )
        await self.route(name, "ready")
        return await self.start(name) if start else None

    async def deploy_python(self, name: str, source: str, **options: Any) -> Started | None:
        return await self.deploy(name, self.write_model(source), **options)

    async def route(self, name: str, state: Any, active: bool = True) -> None:
        target = RouteTarget(version_id=f"{name}-1", state=state)
        aliases = {"active": 1} if active else {}
        message = Route(
            id=self.control.next_id(), name=name, versions={"1": target}, aliases=aliases
        )
        assert isinstance(await self.control.ask(message), Done)

    async def start(self, name: str) -> Started:
        return await self.control.ask(Start(id=self.control.next_id(), version_id=f"{name}-1"))

    async def stop(self, name: str, **options: Any) -> Done:
        message = Stop(id=self.control.next_id(), version_id=f"{name}-1", **options)
        return await self.control.ask(message)

    async def status(self) -> Status:
        return await self.control.ask(GetStatus(id=self.control.next_id()))

    async def raw_client(self) -> Client:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.connect(self.configuration.socket_path)
        client = Client(stream)
        self._clients.append(client)
        return client

    async def client(self, role: Any = "kernel", **hello: Any) -> Client:
        client = await self.raw_client()
        token = self.configuration.token if role == "kernel" else self.configuration.relay_token
        options = {"oldest_protocol": 1, "newest_protocol": 1, "token": token, **hello}
        await client.send(Hello(role=role, **options))
        welcome = await client.wait_event(lambda event: isinstance(event, (Welcome, Failure)))
        if isinstance(welcome, Failure):
            raise welcome.to_error()
        return client

    async def worker_pid(self, name: str) -> int:
        status = await self.status()
        (pid,) = [item.pid for item in status.deployments if item.version_id == f"{name}-1"]
        assert pid is not None
        return pid

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def close(self) -> int:
        for client in self._clients:
            await client.close()
        await self.control.close()
        return await asyncio.to_thread(self.process.wait, HANG_GUARD_S)


@asynccontextmanager
async def start_executor(
    home: Path, *, launcher: Sequence[str] = ("-m", "norman_executor"), **limits: Any
) -> AsyncIterator[Executor]:
    for folder in ("journal", "run", "logs"):
        (home / folder).mkdir(exist_ok=True)
    ours, theirs = socket.socketpair()
    with theirs, (home / "logs" / "executor.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - inherits a descriptor, and returns at once
            [sys.executable, *launcher, "--control-fd", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    control = Peer(ours)
    configuration = Configure(
        id=control.next_id(),
        server_id="server",
        token="kernel-token",
        relay_token="relay-token",
        socket_path=str(home / "run" / "executor.sock"),
        journal_folder=str(home / "journal"),
        run_folder=str(home / "run"),
        limits=ExecutorLimits(**limits),
    )
    executor = Executor(home, process, control, configuration)
    try:
        configured = await control.ask(configuration)
        assert isinstance(configured, Configured)
        executor.executor_id = configured.executor_id
        yield executor
        status = await executor.close()
        assert status in (0, -signal.SIGKILL), (home / "logs" / "executor.log").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def home() -> AsyncIterator[Path]:
    # pytest's own folders are too deep for the path of a Unix socket on some machines.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="norman-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
async def executor(home: Path) -> AsyncIterator[Executor]:
    async with start_executor(home) as running:
        yield running


@pytest.fixture
async def executor_with(home: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start an executor with other limits: ``await executor_with(queue_limit=2)``."""
    async with AsyncExitStack() as stack:

        async def start(**limits: Any) -> Executor:
            return await stack.enter_async_context(start_executor(home, **limits))

        yield start


@pytest.fixture
def died() -> Callable[[int], Callable[[Message], bool]]:
    def of(pid: int) -> Callable[[Message], bool]:
        return lambda event: (
            isinstance(event, ReplicaChanged) and event.pid == pid and not event.alive
        )

    return of


@pytest.fixture
def executor_at() -> Callable[..., Any]:
    """Start an executor on a home: ``async with executor_at(home) as executor``."""
    return start_executor
