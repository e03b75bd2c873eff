"""A real server for tests: its own process, its own home, on a free loopback port."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import httpx

from norman_protocol.decoding import decode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name
from norman_protocol.rest import API_PATH

__all__ = [
    "JUPYTER_SERVER",
    "NORMAN_SERVE",
    "RunningServer",
    "explained",
    "launch",
    "serve",
    "until",
    "upload",
]

T = TypeVar("T")

_HANG_GUARD_S = 60.0
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02


@dataclass(slots=True, kw_only=True)
class RunningServer:
    """A server that answers.

    Attributes
    ----------
    url, token, record
        What the discovery file says; the token is the extension's.
    jupyter_token
        Jupyter's own.
    environment
        Set for the server; a kernel or client that is to find it runs with the same.
    """

    url: str
    token: str
    record: DiscoveryRecord
    process: subprocess.Popen[bytes]
    home: Path
    root: Path
    jupyter_token: str
    environment: dict[str, str] = field(repr=False)

    @property
    def api_url(self) -> str:
        return f"{self.url}{API_PATH}/"

    @property
    def log_text(self) -> str:
        return (self.root / "server.log").read_text(errors="replace")

    def client(self, **headers: str) -> httpx.Client:
        """Return an HTTP client of the API with the extension's token."""
        return httpx.Client(
            base_url=self.api_url,
            headers={"Authorization": f"Bearer {self.token}", **headers},
            timeout=60.0,
            trust_env=False,
        )

    def wait_executor(self, *, other_than: int | None = None) -> int:
        """Wait until an executor serves (a new one, if told) and return its process id."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            answer = httpx.get(
                f"{self.api_url}status",
                headers={"Authorization": f"Bearer {self.token}"},
                trust_env=False,
                timeout=10.0,
            )
            if answer.status_code == 200:
                executor = answer.json()["executor"]
                if executor["state"] == "ready" and executor["pid"] != other_than:
                    pid: int = executor["pid"]
                    return pid
            time.sleep(_POLL_S)
        raise TimeoutError(f"no executor within {_START_TIMEOUT_S} s:\n{self.log_text}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server and wait until it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


NORMAN_SERVE = ("-m", "norman_server")
JUPYTER_SERVER = (
    "-m",
    "jupyter_server",
    "--ServerApp.jpserver_extensions={'norman_server': True}",
)


@contextmanager
def launch(
    root: Path, options: Sequence[str] = (), launcher: Sequence[str] = NORMAN_SERVE
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """Start a Jupyter server in the folder ``root`` and end it; wait for nothing.

    Gives the process and its environment, in which JUPYTER_TOKEN is Jupyter's token.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NORMAN_")},
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_TOKEN": secrets.token_hex(16),
        "IPYTHONDIR": str(root / "ipython"),
    }
    work = root / "work"
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *launcher, "--ServerApp.ip=127.0.0.1"]
    if not any(option.startswith("--ServerApp.port=") for option in options):
        command.append("--ServerApp.port=0")
    command += ["--allow-root", "--no-browser", f"--ServerApp.root_dir={work}", *options]
    with (root / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process, environment
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def serve(
    root: Path, options: Sequence[str] = (), launcher: Sequence[str] = NORMAN_SERVE
) -> Iterator[RunningServer]:
    """Run a server in the folder ``root``; a second one there finds what the first one kept."""
    with launch(root, options, launcher) as (process, environment):
        record = _wait_record(root, process)
        server = RunningServer(
            url=record.url,
            token=record.token,
            record=record,
            process=process,
            home=root / "data" / "norman",
            root=root,
            jupyter_token=environment["JUPYTER_TOKEN"],
            environment=environment,
        )
        server.wait_executor()
        yield server
        server.stop()


def _wait_record(root: Path, process: subprocess.Popen[bytes]) -> DiscoveryRecord:
    path = root / "runtime" / discovery_file_name(process.pid)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            return decode(DiscoveryRecord, json.loads(path.read_text()))
        time.sleep(_POLL_S)
    raise TimeoutError(f"the server didn't start:\n{(root / 'server.log').read_text()}")


def until(condition: Callable[..., T], *arguments: Any) -> T:
    """Wait until something holds, with a guard against hanging, and return what it gives."""
    deadline = time.monotonic() + _HANG_GUARD_S
    while not (value := condition(*arguments)):
        assert time.monotonic() < deadline, f"{condition} {arguments} never held"
        time.sleep(_POLL_S)
    return value


def upload(
    client: httpx.Client, name: str, files: dict[str, bytes], **settings: Any
) -> dict[str, Any]:
    """Upload files over plain REST, wait until the version isn't loading, and return it."""
    manifest = [
        {"path": path, "digest": sha256(data).hexdigest(), "size_bytes": len(data)}
        for path, data in sorted(files.items())
    ]
    for data in files.values():
        client.put(f"blobs/{sha256(data).hexdigest()}", content=data).raise_for_status()
    answer = client.post(
        f"models/{name}/versions", json={"manifest": {"files": manifest}, **settings}
    )
    assert answer.status_code in {200, 202}, answer.text
    number = answer.json()["number"]
    while True:
        answer = client.get(f"models/{name}/versions/{number}", params={"wait_s": 30})
        version: dict[str, Any] = answer.json()
        if version["state"] != "loading":
            return version


def explained(root: Path, environment: dict[str, str]) -> Callable[[], httpx.Response]:
    """Return what asks a server that may not be able to serve; Jupyter itself must answer."""
    record = until(lambda: next((root / "runtime").glob("jpserver-*.json"), None))
    facts = until(lambda: json.loads(record.read_text() or "null"))
    headers = {"Authorization": f"token {environment['JUPYTER_TOKEN']}"}

    def ask() -> httpx.Response | None:
        assert httpx.get(f"{facts['url']}api/kernels", headers=headers).status_code == 200
        answer = httpx.get(f"{facts['url']}norman/api/v1/models", headers=headers)
        starting = answer.status_code == 503 and "is starting" in answer.json()["message"]
        return None if starting else answer

    return lambda: until(ask)
