"""A notebook's kernel, driven as JupyterLab drives it: a session, and one WebSocket for all."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import nbformat
import websocket
from nbformat import NotebookNode

from tools.demo.server import DemoFailed, JupyterServer

__all__ = ["CellRun", "Kernel", "PendingCell", "collect_output", "open_kernel"]

_CONNECT_TIMEOUT_S = 30.0
_OUTPUT_TYPES = ("stream", "display_data", "execute_result", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRun:
    """What running one cell came to.

    Attributes
    ----------
    error
        ``name: message`` of the exception, None where there was none.
    """

    outputs: list[NotebookNode]
    execution_count: int | None
    error: str | None
    duration_s: float


@dataclass(slots=True, kw_only=True)
class PendingCell:
    """What came so far of a cell that runs."""

    outputs: list[NotebookNode] = field(default_factory=list)
    clear_next: bool = False
    reply: dict[str, Any] | None = None
    idle: bool = False


def collect_output(
    pending: PendingCell, message: dict[str, Any], displays: dict[str, list[NotebookNode]]
) -> None:
    """Apply one message of the kernel's output channel, as a front end does.

    Parameters
    ----------
    displays
        The outputs of the whole notebook that can still be updated, by display id.
    """
    kind, content = message["msg_type"], message["content"]
    if kind == "clear_output":
        pending.clear_next = bool(content["wait"])
        if not content["wait"]:
            pending.outputs.clear()
        return
    if kind == "update_display_data":
        for shown in displays.get(content["transient"]["display_id"], ()):
            shown["data"] = _as_node(content["data"])
            shown["metadata"] = _as_node(content["metadata"])
        return
    if kind not in _OUTPUT_TYPES:
        return
    if pending.clear_next:
        pending.outputs.clear()
        pending.clear_next = False
    last = pending.outputs[-1] if pending.outputs else None
    if kind == "stream" and last is not None and last.get("name") == content["name"]:
        last.text += content["text"]
        return
    output = _as_node({"output_type": kind, **content})
    output.pop("transient", None)
    pending.outputs.append(output)
    display_id = content.get("transient", {}).get("display_id")
    if display_id is not None:
        displays.setdefault(display_id, []).append(output)


def _as_node(content: dict[str, Any]) -> NotebookNode:
    node: NotebookNode = nbformat.from_dict(content)  # type: ignore[no-untyped-call]
    return node


class Kernel:
    """A running kernel. Not thread-safe; one cell at a time."""

    def __init__(self, channel: websocket.WebSocket) -> None:
        self._channel = channel
        self._session = uuid.uuid4().hex
        self._displays: dict[str, list[NotebookNode]] = {}

    def run_cell(self, source: str, *, cell_id: str, timeout_s: float) -> CellRun:
        """Execute one cell and gather its outputs.

        Raises
        ------
        DemoFailed
            The kernel died, or the cell took longer than ``timeout_s``.
        """
        began = time.monotonic()
        request_id = uuid.uuid4().hex
        self._channel.send(json.dumps(self._execute_request(request_id, source, cell_id)))
        pending = PendingCell()
        while pending.reply is None or not pending.idle:
            message = self._receive(began + timeout_s, timeout_s)
            if message["msg_type"] == "status" and message["content"]["execution_state"] in (
                "dead",
                "restarting",
            ):
                raise DemoFailed("The kernel died while it ran the cell.")
            if message["parent_header"].get("msg_id") == request_id:
                self._take(pending, message)
        failed = pending.reply["status"] != "ok"
        error = f"{pending.reply.get('ename')}: {pending.reply.get('evalue')}" if failed else None
        return CellRun(
            outputs=pending.outputs,
            execution_count=pending.reply.get("execution_count"),
            error=error,
            duration_s=time.monotonic() - began,
        )

    def _execute_request(self, request_id: str, source: str, cell_id: str) -> dict[str, Any]:
        return {
            "channel": "shell",
            "header": {
                "msg_id": request_id,
                "msg_type": "execute_request",
                "session": self._session,
                "username": "demo",
                "version": "5.4",
            },
            "parent_header": {},
            "metadata": {"cellId": cell_id},
            "content": {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
            "buffers": [],
        }

    def _receive(self, deadline: float, timeout_s: float) -> dict[str, Any]:
        remaining_s = deadline - time.monotonic()
        try:
            if remaining_s <= 0:
                raise TimeoutError
            self._channel.settimeout(remaining_s)
            message: dict[str, Any] = json.loads(self._channel.recv())
        except (TimeoutError, websocket.WebSocketTimeoutException):
            raise DemoFailed(f"The cell wasn't done after {timeout_s:.0f} s.") from None
        except (websocket.WebSocketException, OSError) as error:
            raise DemoFailed(f"The server closed the kernel's channel: {error}") from error
        return message

    def _take(self, pending: PendingCell, message: dict[str, Any]) -> None:
        kind = message["msg_type"]
        if message["channel"] == "shell" and kind == "execute_reply":
            pending.reply = message["content"]
        elif kind == "status":
            pending.idle = message["content"]["execution_state"] == "idle"
        elif message["channel"] == "iopub":
            collect_output(pending, message, self._displays)


@contextmanager
def open_kernel(
    server: JupyterServer, notebook_path: str, *, announce: Callable[[str], None]
) -> Iterator[Kernel]:
    """Open a session for a notebook, which starts a kernel, and end both afterwards.

    Parameters
    ----------
    notebook_path
        Relative to the server's root folder, as in the address bar of Lab.
    announce
        Takes a line for the person who watches.
    """
    body = {
        "path": notebook_path,
        "name": notebook_path.rpartition("/")[2],
        "type": "notebook",
        "kernel": {"name": "python3"},
    }
    with server.client() as client:
        response = client.post("api/sessions", json=body)
        if not response.is_success:
            raise DemoFailed(f"No session: {response.status_code} {response.text[:500]}")
        session = response.json()
        kernel_id = session["kernel"]["id"]
        announce(f"Kernel {kernel_id} runs {notebook_path}")
        host = urlsplit(server.url).netloc
        address = f"ws://{host}/api/kernels/{quote(kernel_id)}/channels"
        try:
            channel = websocket.create_connection(
                address,
                timeout=_CONNECT_TIMEOUT_S,
                header={"Authorization": f"token {server.token}"},
                http_no_proxy=["127.0.0.1"],
            )
            try:
                yield Kernel(channel)
            finally:
                channel.close()
        finally:
            client.delete(f"api/sessions/{quote(session['id'])}").raise_for_status()
