"""The ways to the model: in process, through Norman, and through the reference service.

A new row is one more context manager that yields a call, and its line in `rows`.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import numpy as np
import onnxruntime

from benchmarks.measure import Call, Row
from benchmarks.tiny_model import INPUT, MODEL_VARIABLE, OUTPUT, SAMPLE
from norman_jupyter import BlockingNorman
from norman_protocol.discovery import DiscoveryRecord
from norman_protocol.rest import API_PATH
from tools.demo.server import free_port

__all__ = [
    "FASTAPI_ROWS",
    "FAST_PATH",
    "IN_PROCESS",
    "REST",
    "TUNED_ROW",
    "Setting",
    "rows",
    "start_fastapi",
]

IN_PROCESS = "onnxruntime in process"
FAST_PATH = "Norman, same host"
REST = "Norman over REST"
REST_JSON = "Norman over REST, JSON by http.client"
FASTAPI_ROWS = ("FastAPI, called by http.client", "FastAPI, called by httpx")
"""As ``pip install fastapi uvicorn`` gives it; the reference."""
TUNED_ROW = "FastAPI with uvloop and httptools, called by http.client"
"""As ``uvicorn[standard]`` gives it."""

_START_TIMEOUT_S = 30.0
_JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the rows call: the model's file, and the services that serve it."""

    model_path: Path
    model_name: str
    norman: DiscoveryRecord
    fastapi_url: str
    tuned_url: str


def rows(setting: Setting) -> Sequence[Row]:
    """Return every row, the references last."""
    by_http_client, by_httpx = FASTAPI_ROWS
    opened: dict[str, Callable[[Setting], AbstractContextManager[Call]]] = {
        IN_PROCESS: _in_process,
        FAST_PATH: functools.partial(_norman, transport="local"),
        REST: functools.partial(_norman, transport="rest"),
        REST_JSON: _norman_json,
        by_http_client: lambda setting: _fastapi_http_client(setting.fastapi_url),
        by_httpx: lambda setting: _fastapi_httpx(setting.fastapi_url),
        TUNED_ROW: lambda setting: _fastapi_http_client(setting.tuned_url),
    }
    return [
        Row(name=name, open=functools.partial(open_, setting)) for name, open_ in opened.items()
    ]


@contextmanager
def _in_process(setting: Setting) -> Iterator[Call]:
    session = onnxruntime.InferenceSession(
        str(setting.model_path), providers=["CPUExecutionProvider"]
    )
    yield lambda: session.run(None, {INPUT: SAMPLE})[0]


@contextmanager
def _norman(setting: Setting, transport: Literal["local", "rest"]) -> Iterator[Call]:
    with BlockingNorman(setting.norman.url, transport=transport) as norman:
        yield lambda: norman.invoke(setting.model_name, features=SAMPLE)[OUTPUT]


@contextmanager
def _norman_json(setting: Setting) -> Iterator[Call]:
    headers = {**_JSON_HEADERS, "Authorization": f"Bearer {setting.norman.token}"}
    connection = http.client.HTTPConnection(urlsplit(setting.norman.url).netloc)

    def call() -> np.ndarray:
        body = json.dumps({"reference": setting.model_name, "inputs": {INPUT: SAMPLE.tolist()}})
        answer = _post(connection, f"/{API_PATH}/invocations", body, headers)
        return np.asarray(answer["outputs"][OUTPUT]["data"], np.float32)

    try:
        yield call
    finally:
        connection.close()


@contextmanager
def _fastapi_http_client(url: str) -> Iterator[Call]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def call() -> np.ndarray:
        body = json.dumps({INPUT: SAMPLE.tolist()})
        answer = _post(connection, "/predict", body, _JSON_HEADERS)
        return np.asarray(answer[OUTPUT], np.float32)

    try:
        yield call
    finally:
        connection.close()


def _post(
    connection: http.client.HTTPConnection, path: str, body: str, headers: dict[str, str]
) -> dict[str, Any]:
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
    answer: dict[str, Any] = json.loads(content)
    return answer


@contextmanager
def _fastapi_httpx(url: str) -> Iterator[Call]:
    with httpx.Client(base_url=url, trust_env=False) as client:

        def call() -> np.ndarray:
            response = client.post("/predict", json={INPUT: SAMPLE.tolist()})
            response.raise_for_status()
            return np.asarray(response.json()[OUTPUT], np.float32)

        yield call


@contextmanager
def start_fastapi(model_path: Path, *, tuned: bool) -> Iterator[str]:
    """Run the reference service in one process of uvicorn; yield its URL.

    Parameters
    ----------
    tuned
        With uvloop and httptools, which ``uvicorn[standard]`` brings; else with what uvicorn
        itself depends on: asyncio's own loop, and h11.

    Raises
    ------
    RuntimeError
        It ended, or didn't answer in time.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.fastapi_app:app"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    loop, parser = ("uvloop", "httptools") if tuned else ("asyncio", "h11")
    command += ["--loop", loop, "--http", parser]
    # Rows take turns: a connection lies idle for longer than uvicorn's 5 s on a busy machine.
    command += ["--timeout-keep-alive", "600"]
    process = subprocess.Popen(command, env={**os.environ, MODEL_VARIABLE: str(model_path)})
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_answering(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_until_answering(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"uvicorn ended with status {process.returncode}.")
        try:
            httpx.get(f"{url}/openapi.json", timeout=5.0, trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"The reference service didn't answer in {_START_TIMEOUT_S:.0f} s.")
