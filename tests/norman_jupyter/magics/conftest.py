"""A fresh IPython shell for each test, and a client that answers without a server."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from norman_jupyter.client.progress import Progress
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.magics.extension import NormanMagics
from norman_protocol.errors import ModelNotFound, NormanError
from norman_protocol.rest import (
    ExecutorStatus,
    FileEntry,
    LogText,
    Manifest,
    ModelDetail,
    ModelPage,
    ModelSummary,
    Origin,
    ServerStatus,
    VersionDetail,
    VersionState,
    VersionSummary,
)
from norman_protocol.signature import Modality, Parameter, Signature

SIGNATURE = Signature(
    inputs=(
        Parameter(name="image", modality=Modality.TENSOR, dtype="float32", shape=("n", 64)),
        Parameter(name="top", modality=Modality.INTEGER, required=False, default=3),
    ),
    outputs=(Parameter(name="label", modality=Modality.TENSOR, dtype="int64", shape=("n",)),),
)


def make_version(name: str = "digits", number: int = 1, **changes: Any) -> VersionDetail:
    facts: dict[str, Any] = {
        "id": f"{number:032x}",
        "reference": f"{name}@{number}",
        "name": name,
        "number": number,
        "state": "ready",
        "active": True,
        "label": None,
        "description": None,
        "tags": (),
        "runtime": "onnx",
        "entry": "model.onnx",
        "interpreter": None,
        "signature": SIGNATURE,
        "manifest": Manifest(files=(FileEntry(path="model.onnx", digest="0" * 64, size_bytes=10),)),
        "bundle_digest": "0" * 64,
        "size_bytes": 10,
        "load_s": 0.25,
        "created_at": "2031-05-06T07:08:09+00:00",
        "created_by": "ada",
        "origin": Origin(),
        "trust": None,
        "error": None,
    }
    return VersionDetail(**{**facts, **changes})


class FakeClient:
    """Answers as a server with one model would; what it was asked is in ``calls``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.failure: BaseException | None = None
        self.outputs: dict[str, Any] = {"label": np.array([7])}
        self.version_facts: dict[str, Any] = {}
        self.model_facts: dict[str, dict[str, Any]] = {"digits": {}, "answers": {}}
        self.version_states: dict[int, VersionState] = {}
        self.is_closed = False

    def _note(self, _verb: str, *arguments: Any, **options: Any) -> None:
        self.calls.append((_verb, arguments, options))
        if self.failure is not None:
            raise self.failure

    def upload(
        self, source: Any, *, on_progress: Callable[[Progress], None], **options: Any
    ) -> VersionDetail:
        on_progress(Progress(stage="hashing", done_bytes=10, total_bytes=10, message="hashing"))
        self._note("upload", source, **options)
        on_progress(Progress(stage="sending", done_bytes=5, total_bytes=10, message="sending"))
        on_progress(Progress(stage="sending", done_bytes=10, total_bytes=10, message="sending"))
        on_progress(Progress(stage="loading", message="loading digits@1"))
        on_progress(Progress(stage="ready", message="digits@1 is ready"))
        return make_version(options["name"] or "digits", **self.version_facts)

    def download(
        self, reference: str, folder: Any = None, *, on_progress: Callable[[Progress], None]
    ) -> Path:
        on_progress(Progress(stage="receiving", done_bytes=0, total_bytes=10, message="receiving"))
        self._note("download", reference, folder)
        on_progress(Progress(stage="receiving", done_bytes=10, total_bytes=10, message="receiving"))
        on_progress(Progress(stage="ready", message="digits@1 is here"))
        return Path("/work") / (folder or "digits-1")

    def invoke(
        self, reference: str, /, inputs: Any = None, *, timeout_s: float | None = None
    ) -> InvokeResult:
        self._note("invoke", reference, inputs, timeout_s=timeout_s)
        return InvokeResult(
            outputs=self.outputs,
            id="0123",
            version="digits@1",
            latency_ms=1.5,
            timings={"queue": 0.1, "model": 1.0, "transfer": 0.4},
        )

    def models(
        self, *, search: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> ModelPage:
        self._note("models", search=search)
        names = [name for name in self.model_facts if (search or "") in name]
        return ModelPage(items=tuple(self._summary(name) for name in names))

    def _summary(self, name: str) -> ModelSummary:
        facts: dict[str, Any] = {
            "name": name,
            "active": 1,
            "latest": 2,
            "version_count": 2,
            "state": "ready",
            "description": "reads digits",
            "tags": (),
            "runtime": "onnx",
            "updated_at": "2031-05-06T07:08:09+00:00",
        }
        return ModelSummary(**{**facts, **self.model_facts[name]})

    def model(self, name: str) -> ModelDetail:
        self._note("model", name)
        if name != "digits":
            raise ModelNotFound(f"There is no model {name!r}.", name=name, nearest=["digits"])
        versions = tuple(
            VersionSummary(
                reference=f"{name}@{number}",
                name=name,
                number=number,
                state=self.version_states.get(number, "ready"),
                active=number == 1,
                label=None,
                runtime="onnx",
                size_bytes=10,
                created_at="2031-05-06T07:08:09+00:00",
                created_by="ada",
            )
            for number in (2, 1)
        )
        return ModelDetail(model=self._summary(name), versions=versions)

    def version(self, reference: str) -> VersionDetail:
        self._note("version", reference)
        return make_version(**self.version_facts)

    def logs(self, reference: str) -> LogText:
        self._note("logs", reference)
        return LogText(reference="digits@1", text="loaded weights\n", truncated=False)

    def status(self) -> ServerStatus:
        self._note("status")
        executor = ExecutorStatus(state="ready", pid=4711, uptime_s=12.5)
        return ServerStatus(
            server_id="5e4", version="0.1.0", protocol=1, model_count=1, executor=executor
        )

    def close(self) -> None:
        self.is_closed = True


class Notebook:
    """A shell with a frontend that updates outputs in place, as a kernel has one."""

    def __init__(self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell = shell
        self._capsys = capsys
        self.publisher = CapturingDisplayPublisher(parent=shell)

    def run(self, cell: str) -> Any:
        """Run a cell that must succeed and return its last value."""
        result = self.shell.run_cell(cell, store_history=True)
        assert result.success, self.printed()
        return result.result

    def fail(self, cell: str) -> tuple[BaseException, str]:
        """Run a cell that must fail; return the error and what is shown of it."""
        self._capsys.readouterr()
        result = self.shell.run_cell(cell, store_history=True)
        assert not result.success
        return result.error_in_exec, self.printed()

    def printed(self) -> str:
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def attach_frontend(self) -> None:
        self.shell.display_pub = self.publisher

    def outputs(self) -> list[dict[str, Any]]:
        """Outputs as they stand after all updates."""
        shown: dict[str, dict[str, Any]] = {}
        for output in self.publisher.outputs:
            shown[output["transient"]["display_id"]] = output["data"]
        return list(shown.values())

    def complete(self, line: str) -> list[str]:
        """Return what TAB offers at the end of a line, through IPython's own interface."""
        with provisionalcompleter():
            return [item.text for item in self.shell.Completer.completions(line, len(line))]


@pytest.fixture
def shell(tmp_path, monkeypatch) -> Iterator[InteractiveShell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    main = sys.modules["__main__"]
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell(config=config)
    yield made
    made.restore_sys_module_state()
    atexit.unregister(made.atexit_operations)
    made.atexit_operations()
    sys.modules["__main__"] = main


@pytest.fixture
def make_client() -> Callable[[], FakeClient]:
    return FakeClient


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def make_notebook(capsys) -> Callable[[InteractiveShell], Notebook]:
    return lambda shell: Notebook(shell, capsys)


@pytest.fixture
def notebook(shell, client, capsys) -> Notebook:
    NormanMagics(shell, connect=lambda: client, completion_wait_s=60).install()
    return Notebook(shell, capsys)


@pytest.fixture
def plain_error() -> NormanError:
    return ModelNotFound("There is no model 'digit'. Did you mean 'digits'?", name="digit")
