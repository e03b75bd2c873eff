"""A Jupyter server with the extension, as a child process: start it, wait for it, end it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from norman_protocol.rest import API_PATH
from tools.demo.home import DemoHome, server_environment

__all__ = ["DemoFailed", "JupyterServer", "free_port", "jupyter_options", "start_server"]

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_POLL_INTERVAL_S = 0.1
_LOG_TAIL_BYTES = 4000


class DemoFailed(Exception):
    """The demo didn't show what it promises; the message says what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JupyterServer:
    """A running server: its base URL, ending in ``/``, and the token that opens it."""

    url: str
    token: str
    pid: int

    def client(self) -> httpx.Client:
        """Return an HTTP client for this server; who calls closes it."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"token {self.token}"},
            timeout=30.0,
            trust_env=False,  # no proxy stands between a machine and itself
        )


def jupyter_options(home: DemoHome, given: Sequence[str] = ()) -> list[str]:
    """Return the options that every server of the demo takes, without those that are given.

    Jupyter makes a list of an option that comes twice, and then refuses it.
    """
    names = {option.partition("=")[0] for option in given}
    options = {
        ("--ServerApp.ip", "--ip"): "127.0.0.1",
        ("--ServerApp.root_dir", "--notebook-dir"): str(home.notebooks),
        ("--ServerApp.jpserver_extensions",): "{'norman_server': True}",
    }
    if os.geteuid() == 0:  # Jupyter refuses root unless told; containers often have nobody else
        options["--ServerApp.allow_root", "--allow-root"] = "True"
    return [
        f"{spellings[0]}={value}"
        for spellings, value in options.items()
        if names.isdisjoint(spellings)
    ]


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def start_server(home: DemoHome) -> Iterator[JupyterServer]:
    """Start a Jupyter server without Lab, wait until models can be called, and end it at the end.

    Raises
    ------
    DemoFailed
        The server didn't start, or it left processes behind.
    """
    port, token = free_port(), secrets.token_hex(24)
    environment = server_environment(home, os.environ)
    environment["JUPYTER_TOKEN"] = token  # on the command line everybody could read it
    command = [sys.executable, "-m", "jupyter_server", "--no-browser"]
    command += [*jupyter_options(home), f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    with home.server_log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us, and we end the server in order
        )
    server = JupyterServer(url=f"http://127.0.0.1:{port}/", token=token, pid=process.pid)
    try:
        _wait_until_ready(server, process, home)
        yield server
    finally:
        remaining = _stop(process)
    if remaining:
        raise DemoFailed(f"The server left processes behind: {', '.join(remaining)}.")


def _wait_until_ready(
    server: JupyterServer, process: subprocess.Popen[bytes], home: DemoHome
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    answer = "none"
    with server.client() as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _not_started(f"ended with status {process.returncode}", home)
            try:
                response = client.get(f"{API_PATH}/status")
            except httpx.TransportError as error:
                answer = repr(error)
            else:
                answer = f"{response.status_code} {response.text[:500]}"
                if response.is_client_error:  # Jupyter loads its extensions before it listens
                    raise _not_started("runs, without the extension", home)
                if response.is_success and response.json()["executor"]["state"] == "ready":
                    return
            time.sleep(_POLL_INTERVAL_S)
    told = f"wasn't ready after {_START_TIMEOUT_S:.0f} s; its last answer: {answer}"
    raise _not_started(told, home)


def _not_started(told: str, home: DemoHome) -> DemoFailed:
    return DemoFailed(f"The Jupyter server {told}. Its log:\n{_log_tail(home)}")


def _log_tail(home: DemoHome) -> str:
    return home.server_log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")


def _stop(process: subprocess.Popen[bytes]) -> list[str]:
    """End the server and all that it started; return what it did not end by itself."""
    if process.poll() is not None:
        return []
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=_STOP_TIMEOUT_S)
    remaining = []
    for child in alive:
        try:
            remaining.append(f"{child.pid} ({' '.join(child.cmdline())[:200]})")
            child.kill()
        except psutil.NoSuchProcess:
            continue
    return remaining
