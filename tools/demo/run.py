"""Run the quickstart notebook cell by cell, save it executed, and check what it left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from norman_jupyter import BlockingNorman
from norman_protocol.rest import InvocationSummary, VersionSummary
from tools.demo.home import DemoHome, live_servers, prepare
from tools.demo.kernel import CellRun, Kernel, open_kernel
from tools.demo.report import Claim, describe_calls, describe_versions, unmet_claims
from tools.demo.server import DemoFailed, JupyterServer, start_server

__all__ = ["run_demo"]

_CELL_TIMEOUT_S = 180.0
_CLAIMS = (
    Claim(name="digits", versions=2, active=2),
    Claim(name="speaker", versions=1, active=1),
)


def _say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_demo(source: Path, home: DemoHome) -> None:
    """Execute a notebook in a kernel of a real server, and say what was uploaded and invoked.

    Raises
    ------
    DemoFailed
        A cell failed, or the server's records say something else than the notebook.
    """
    running = live_servers(home)
    if running:
        raise DemoFailed(
            f"A server already uses the demo's home ({running[0].url}, process "
            f"{running[0].server_pid}). Stop it, then run the demo again."
        )
    prepare(home, fresh=True)
    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's
    target = home.notebooks / source.name
    nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
    with start_server(home) as server:
        _say(f"Jupyter server with Norman at {server.url}")
        try:
            with open_kernel(server, source.name, announce=_say) as kernel:
                _run_cells(kernel, notebook)
        finally:
            nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
        _report(server)
    _say(f"\nThe executed notebook is {target}")
    _say("To open it in JupyterLab, with the same models:  make lab")


def _run_cells(kernel: Kernel, notebook: NotebookNode) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for position, cell in enumerate(cells, start=1):
        first_line = cell.source.partition("\n")[0]
        sys.stdout.write(f"[{position:2}/{len(cells)}] {first_line[:76]:76} ")
        sys.stdout.flush()
        try:
            run = kernel.run_cell(cell.source, cell_id=cell.id, timeout_s=_CELL_TIMEOUT_S)
        except BaseException:
            _say("failed")
            raise
        cell.outputs, cell.execution_count = run.outputs, run.execution_count
        _say("failed" if run.error else f"{run.duration_s:7.2f} s")
        if run.error:
            raise DemoFailed(f"Cell {position} of {len(cells)} failed.\n{_error_text(run)}")


def _error_text(run: CellRun) -> str:
    tracebacks = ["\n".join(output.traceback) for output in run.outputs if "traceback" in output]
    return "\n".join(tracebacks) or str(run.error)


def _report(server: JupyterServer) -> None:
    with BlockingNorman(server.url, server.token, transport="rest") as norman:
        versions = _all_versions(norman)
        invocations = _all_invocations(norman)
    _say("\nUploaded")
    _say(describe_versions(versions))
    _say("\nInvoked (times as the executor measured them)")
    _say(describe_calls(invocations))
    unmet = unmet_claims(_CLAIMS, versions, invocations)
    if unmet:
        raise DemoFailed("The server's records differ from the notebook:\n" + "\n".join(unmet))


def _all_versions(norman: BlockingNorman) -> list[VersionSummary]:
    versions: list[VersionSummary] = []
    cursor = None
    while True:
        page = norman.models(cursor=cursor)
        for model in page.items:
            versions += reversed(norman.model(model.name).versions)
        cursor = page.next_cursor
        if cursor is None:
            return versions


def _all_invocations(norman: BlockingNorman) -> list[InvocationSummary]:
    invocations: list[InvocationSummary] = []
    cursor = None
    while True:
        page = norman.invocations(cursor=cursor)
        invocations += page.items
        cursor = page.next_cursor
        if cursor is None:
            return invocations
