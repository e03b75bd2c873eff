"""A fresh IPython shell for each test, and a client that answers without a server."""

from __future__ import annotations

import atexit
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from norman_jupyter.client.inspection import InspectedFile, Inspection
from norman_jupyter.client.mapping import MapProgress
from norman_jupyter.client.progress import Progress
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.magics.extension import NormanMagics
from norman_protocol.errors import InvocationNotFound, ModelNotFound, NormanError
from norman_protocol.messages import Caller, Timings
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    AliasSummary,
    Deletion,
    Difference,
    DiskUsage,
    DoctorReport,
    ExecutorStatus,
    FileEntry,
    Finding,
    GarbageReport,
    InvocationDetail,
    InvocationPage,
    InvocationSummary,
    LogText,
    Manifest,
    ModelDetail,
    ModelPage,
    ModelSummary,
    Origin,
    ServerStatus,
    VersionDetail,
    VersionDiff,
    VersionPage,
    VersionState,
    VersionSummary,
    VersionUsage,
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


def make_invocation(invocation_id: str, **changes: Any) -> InvocationDetail:
    item = InvocationSummary(
        id=invocation_id,
        reference="digits@1",
        version_id="1" * 32,
        state="succeeded",
        caller=Caller(user="ada"),
        accepted_at="2031-05-06T07:08:09+00:00",
        ended_at="2031-05-06T07:08:10+00:00",
        timings=Timings(queue_s=0.1, model_s=0.5, total_s=1.0),
        input_bytes=8,
        output_bytes=8,
        error_code=None,
    )
    facts: dict[str, Any] = {
        "invocation": item,
        "inputs": {"image": {"dtype": "float32", "shape": [1, 2], "data": [[1.0, None]]}},
        "outputs": {"label": {"dtype": "int64", "shape": [1], "data": [7]}},
        "error": None,
        "logs": "",
    }
    return InvocationDetail(**{**facts, **changes})


class FakeClient:
    """Answers as a server with one model would; what it was asked is in ``calls``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.failure: BaseException | None = None
        self.outputs: dict[str, Any] = {"label": np.array([7])}
        self.version_facts: dict[str, Any] = {}
        self.model_facts: dict[str, dict[str, Any]] = {"digits": {}, "answers": {}}
        self.version_states: dict[int, VersionState] = {}
        self.version_count = 2
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

    def upload_model(
        self, config: Any, *, on_progress: Callable[[Progress], None], **options: Any
    ) -> VersionDetail:
        self._note("upload_model", config, **options)
        on_progress(Progress(stage="ready", message="digits@1 is ready"))
        return make_version(options["name"] or "digits", **self.version_facts)

    def inspect(self, source: Any = None, **options: Any) -> Inspection:
        self._note("inspect", source, **options)
        return Inspection(
            name=options["name"] or "digits",
            runtime="onnx",
            entry="digits.onnx",
            files=(InspectedFile(path="digits.onnx", size_bytes=10),),
            size_bytes=10,
            signature=None,
            is_described=False,
            needs_trust=False,
            trust_findings=(),
            expected_memory_bytes=64 << 20,
        )

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

    def map(
        self,
        reference: str,
        data: Any,
        /,
        inputs: Any = None,
        *,
        in_flight: int = 16,
        timeout_s: float | None = None,
        on_progress: Callable[[MapProgress], None],
    ) -> pd.DataFrame:
        options = {"in_flight": in_flight, "timeout_s": timeout_s}
        on_progress(MapProgress(done=1, failed=0, total=2))
        self._note("map", reference, data, inputs, **options)
        on_progress(MapProgress(done=2, failed=1, total=2))
        frame = pd.DataFrame({"label": [7, None], "error": [None, "ModelFailed: no"]})
        frame.attrs["norman"] = {"version": "digits@1", "not_sent": ["id"]}
        return frame

    def models(
        self, *, search: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> ModelPage:
        self._note("models", search=search)
        names = [name for name in self.model_facts if (search or "") in name]
        start = int(cursor or 0)
        shown = names[start : start + limit]
        following = str(start + limit) if start + limit < len(names) else None
        return ModelPage(items=tuple(map(self._summary, shown)), next_cursor=following)

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

    def versions(self, name: str, *, limit: int = 50, cursor: str | None = None) -> VersionPage:
        self._note("versions", name, limit=limit, cursor=cursor)
        left = self.version_count if cursor is None else int(cursor)
        numbers = range(left, max(left - limit, 0), -1)
        items = tuple(
            VersionSummary(
                reference=f"{name}@{number}",
                name=name,
                number=number,
                state="ready",
                active=False,
                label=None,
                runtime="onnx",
                size_bytes=10,
                created_at="2031-05-06T07:08:09+00:00",
                created_by="ada",
            )
            for number in numbers
        )
        return VersionPage(items=items, next_cursor=str(left - limit) if left > limit else None)

    def aliases(self, name: str, *, limit: int = 50, cursor: str | None = None) -> AliasPage:
        self._note("aliases", name)
        items = tuple(
            AliasSummary(
                alias=alias,
                number=1,
                reference=f"{name}@1",
                state="ready",
                changed_at="2031-05-06T07:08:09+00:00",
                changed_by="ada",
                why=None,
            )
            for alias in ("active", "production")
        )
        return AliasPage(name=name, items=items)

    def _change(self, name: str, alias: str, after: int | None, why: str | None) -> AliasChange:
        return AliasChange(
            name=name,
            alias=alias,
            action="set",
            before=1,
            after=after,
            changed_at="2031-05-06T07:08:09+00:00",
            changed_by="ada",
            why=why,
        )

    def set_alias(self, name: str, alias: str, version: int, why: str | None = None) -> AliasChange:
        self._note("set_alias", name, alias, version, why)
        return self._change(name, alias, version, why)

    def delete_alias(self, name: str, alias: str, why: str | None = None) -> AliasChange:
        self._note("delete_alias", name, alias, why)
        return self._change(name, alias, None, why)

    def rollback(
        self, name: str, to: int | None = None, alias: str = "active", why: str | None = None
    ) -> AliasChange:
        self._note("rollback", name, to, alias, why)
        return self._change(name, alias, to or 1, why)

    def history(
        self,
        name: str,
        alias: str | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AliasHistory:
        self._note("history", name, alias, limit=limit)
        return AliasHistory(name=name, items=(self._change(name, "active", 2, "better"),))

    def diff(self, before: str, after: str) -> VersionDiff:
        self._note("diff", before, after)
        label = Difference(name="label", before=None, after="better")
        return VersionDiff(
            before=before, after=after, signature=(), files=(), environment=(), settings=(label,)
        )

    def edit(self, reference: str, **texts: Any) -> VersionDetail:
        self._note("edit", reference, **texts)
        return make_version(**self.version_facts)

    def delete(self, reference: str, *, stop: bool = False) -> Deletion:
        self._note("delete", reference, stop=stop)
        return Deletion(name="digits", versions=(reference,), freed_later_bytes=10)

    def delete_model(self, name: str) -> Deletion:
        self._note("delete_model", name)
        versions = (f"{name}@1", f"{name}@2")
        return Deletion(name=name, versions=versions, aliases=("active",), whole=True)

    def collect_garbage(self, *, dry_run: bool = False) -> GarbageReport:
        self._note("collect_garbage", dry_run=dry_run)
        return GarbageReport(dry_run=dry_run, blobs=3, blob_bytes=3000, waiting=1, grace_s=3600)

    def disk(self, name: str | None = None) -> DiskUsage:
        self._note("disk", name)
        item = VersionUsage(
            reference="digits@2", blob_bytes=20, shared_bytes=10, tree_bytes=4096, log_bytes=0
        )
        sizes = {
            field.name: 1000
            for field in dataclasses.fields(DiskUsage)
            if field.name.endswith("_bytes")
        }
        return DiskUsage(items=(item,), version_count=1, **sizes)

    def doctor(self, *, repair: bool = False, deep: bool = False) -> DoctorReport:
        self._note("doctor", repair=repair, deep=deep)
        finding = Finding(
            check="orphans",
            severity="warning",
            subject="0",
            message="The tree 0 belongs to no version.",
            repairable=True,
            repaired=repair,
        )
        return DoctorReport(checks=("disk", "orphans"), findings=() if deep else (finding,))

    def logs(self, reference: str, *, after: int | None = None) -> LogText:
        self._note("logs", reference)
        return LogText(reference="digits@1", text="loaded weights\n", truncated=False)

    def invocations(self, **options: Any) -> InvocationPage:
        self._note("invocations", **options)
        last = options.get("cursor")
        items = tuple(
            make_invocation(f"{number:032x}").invocation for number in range(options["limit"])
        )
        return InvocationPage(items=items, next_cursor=None if last else items[-1].id)

    def invocation(self, invocation_id: str) -> InvocationDetail:
        self._note("invocation", invocation_id)
        if invocation_id.startswith("f"):
            raise InvocationNotFound("There is none.", id=invocation_id)
        return make_invocation(invocation_id)

    def replay(self, invocation_id: str, reference: str | None = None) -> InvokeResult:
        self._note("replay", invocation_id, reference)
        return InvokeResult(
            outputs=self.outputs, id="0456", version=reference or "digits@1", latency_ms=1.5
        )

    def cancel(self, invocation_id: str) -> InvocationDetail:
        self._note("cancel", invocation_id)
        found = make_invocation(invocation_id)
        ended = dataclasses.replace(found.invocation, state="cancelled", error_code="cancelled")
        return dataclasses.replace(found, invocation=ended, outputs=None)

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
