"""A real worker process: the zipapp, started as the executor starts it, over a socket pair."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from norman_executor.archive import build_archive
from norman_protocol.arrays import object_to_value, value_to_object
from norman_protocol.frames import FrameDecoder
from norman_protocol.messages import (
    Failure,
    Load,
    Loaded,
    Message,
    Predict,
    Prediction,
    decode_message,
    encode_message,
)
from norman_protocol.values import Value

HANG_GUARD_S = 60.0


class WorkerProcess:
    """Speaks the worker channel, and keeps what the process wrote."""

    def __init__(self, archive: Path, folder: Path, interpreter: str) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True)
        self._log = folder / "log"
        self.connection, inherited = socket.socketpair()
        self.connection.settimeout(HANG_GUARD_S)
        self._decoder = FrameDecoder()
        self._frames: list[Any] = []
        with inherited, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [interpreter, str(archive), "--socket-fd", str(inherited.fileno())],
                pass_fds=[inherited.fileno()],
                cwd=self.scratch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, message: Message) -> None:
        self.connection.sendall(b"".join(encode_message(message)))

    def receive(self) -> Message | None:
        while not self._frames:
            data = self.connection.recv(1 << 20)
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return decode_message(self._frames.pop(0))

    def ask(self, message: Message) -> Any:
        self.send(message)
        return self.receive()

    def load(self, files: Path, runtime: str = "python", entry: str = "", **rest: Any) -> Any:
        entry = entry or {"python": "model.py", "onnx": "model.onnx"}.get(runtime, "model")
        return self.ask(
            Load(id="load", reference="m@1", runtime=runtime, files=str(files), entry=entry, **rest)
        )

    def predict(self, inputs: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        objects = {**(inputs or {}), **named}
        values = {
            name: item if isinstance(item, Value) else object_to_value(item, name=name)
            for name, item in objects.items()
        }
        return self.ask(Predict(id="call", values=values))

    def value(self, **named: Any) -> Any:
        """Predict, and return the only output as an object."""
        answer = self.predict(**named)
        assert isinstance(answer, Prediction), answer
        (value,) = answer.values.values()
        return value_to_object(value)

    def wait(self) -> int:
        return self.process.wait(HANG_GUARD_S)

    def close(self) -> None:
        self.connection.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(HANG_GUARD_S)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def start_worker(archive: Path, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    workers: list[WorkerProcess] = []

    def start(interpreter: str = sys.executable) -> WorkerProcess:
        worker = WorkerProcess(archive, tmp_path / f"worker-{len(workers)}", interpreter)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(start_worker: Callable[..., WorkerProcess]) -> WorkerProcess:
    return start_worker()


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of files given as ``model_py="…"``; ``__`` in a name stands for the dot."""

    def write(source: str = "", **others: str) -> Path:
        folder = tmp_path / "the-version"
        folder.mkdir(exist_ok=True)
        if source:
            (folder / "model.py").write_text(textwrap.dedent(source))
        for name, text in others.items():
            path = folder / name.replace("__", ".")
            path.write_text(textwrap.dedent(text))
        return folder

    return write


@pytest.fixture
def serve(worker: WorkerProcess, write_model: Callable[..., Path]) -> Callable[..., WorkerProcess]:
    """Load a ``model.py`` from its source into a worker."""

    def load(source: str, **others: str) -> WorkerProcess:
        answer = worker.load(write_model(source, **others))
        assert isinstance(answer, Loaded), answer
        return worker

    return load


@pytest.fixture
def refuse_load(worker: WorkerProcess, write_model: Callable[..., Path]) -> Callable[..., Failure]:
    """Load a ``model.py`` that can't be loaded, and return the failure."""

    def load(source: str, **others: str) -> Failure:
        folder = write_model(source, **others)
        answer = worker.load(folder)
        assert isinstance(answer, Failure), answer
        assert str(folder) not in answer.message + str(answer.details)
        return answer

    return load
