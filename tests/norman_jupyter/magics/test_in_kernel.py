"""The magic in a kernel that the server started: unconfigured, its outputs as they are saved."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jupyter_client.blocking import BlockingKernelClient

_ANSWER_S = 90.0
MODEL = """\
def predict(text: str) -> str:
    return 1 / 0 if text == "raise" else text * 1_000_000
"""


class Kernel:
    """A kernel of a server, and what its cells put out."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Run a cell; return its reply and its outputs as they stand at the end."""
        request = self._client.execute(code)
        outputs: list[dict[str, Any]] = []
        while True:
            message = self._client.get_iopub_msg(timeout=_ANSWER_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind == "update_display_data":
                (shown,) = [one for one in outputs if one.get("transient") == content["transient"]]
                shown.update(content)
            elif kind in {"display_data", "execute_result", "stream", "error"}:
                outputs.append(content)
        return self._reply(request), outputs

    def _reply(self, request: str) -> dict[str, Any]:
        """Return the reply to a request; a slow start leaves replies to other ones before it."""
        while True:
            message = self._client.get_shell_msg(timeout=_ANSWER_S)
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content

    def complete(self, code: str) -> list[str]:
        """Return what TAB offers; asked again while the server's answer may be on its way."""
        deadline = time.monotonic() + _ANSWER_S
        while True:
            reply = self._reply(self._client.complete(code, len(code)))
            if reply["matches"] or time.monotonic() > deadline:
                return reply["matches"]


@pytest.fixture(scope="module")
def kernel(norman_server) -> Iterator[Kernel]:
    headers = {"Authorization": f"token {norman_server.jupyter_token}"}
    kernels = httpx.Client(base_url=f"{norman_server.url}api/", headers=headers, trust_env=False)
    with kernels:
        started = kernels.post("kernels", json={"name": "python3"}, timeout=60).raise_for_status()
        identity = started.json()["id"]
        client = BlockingKernelClient(
            connection_file=str(norman_server.root / "runtime" / f"kernel-{identity}.json")
        )
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=_ANSWER_S)
            kernel = Kernel(client)
            reply, _ = kernel.run(f"%load_ext norman_jupyter\nsource = {MODEL!r}")
            assert reply["status"] == "ok"
            kernel.run("import os\nos.makedirs('kernel_model', exist_ok=True)")
            kernel.run("with open('kernel_model/model.py', 'w') as f: f.write(source)")
            yield kernel
        finally:
            client.stop_channels()
            kernels.delete(f"kernels/{identity}", timeout=60)


@pytest.fixture(scope="module")
def uploaded(kernel) -> list[dict[str, Any]]:
    reply, outputs = kernel.run("%norman upload ./kernel_model --trust")
    assert reply["status"] == "ok", outputs
    return outputs


def test_upload_is_one_output_that_ends_as_the_version(uploaded):
    (only,) = uploaded
    assert "kernel_model@" in only["data"]["text/plain"]
    assert "<table" in only["data"]["text/html"]


def test_origin_is_the_cell(kernel, uploaded):
    _, outputs = kernel.run(
        "v = %norman show kernel_model@latest\n(v.origin.cell_source, v.origin.kernel_id)"
    )
    assert "%norman upload ./kernel_model --trust" in outputs[0]["data"]["text/plain"]
    assert "None" not in outputs[0]["data"]["text/plain"]


def test_result_of_megabytes_is_saved_as_kilobytes(kernel, uploaded):
    reply, outputs = kernel.run("%norman invoke kernel_model text=long")
    assert reply["status"] == "ok", outputs
    (only,) = outputs
    assert len(json.dumps(only)) < 20_000
    assert "4,000,000 characters" in only["data"]["text/html"]


def test_error_is_what_tools_that_run_notebooks_see(kernel, uploaded):
    reply, outputs = kernel.run("%norman invoke kernel_model text=raise")
    assert reply["status"] == "error"
    assert reply["ename"] == "ModelFailed"
    (shown,) = outputs
    text = "\n".join(shown["traceback"])
    assert text.startswith("ModelFailed: ")
    assert 'model.py", line 2, in predict' in text
    assert "norman_jupyter" not in text


def test_tab_completes_through_the_kernel(kernel, uploaded):
    assert kernel.complete("%norman up") == ["upload"]
    assert kernel.complete("%norman invoke kernel_mo") == ["kernel_model"]
    assert kernel.complete("r = %norman invoke kernel_model te") == ["text="]
    assert "kernel_model/" in kernel.complete("%norman upload kernel")


def test_interrupted_call_is_one_line(kernel, uploaded):
    kernel.run("import _thread, threading")
    _, outputs = kernel.run(
        "%norman invoke kernel_model "
        "text={[_thread.interrupt_main(), threading.Event().wait(60), 'never'][2]}"
    )
    (shown,) = outputs
    assert shown["ename"] == "KeyboardInterrupt"
    assert shown["traceback"] == ["Cancelled."]
