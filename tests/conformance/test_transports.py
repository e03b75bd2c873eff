"""One behaviour over every way and both drivers: the same tests, six times, on real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import psutil
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from serving import RunningServer, serve

from norman_jupyter import (
    BlockingNorman,
    BundleInvalid,
    Cancelled,
    IdempotencyConflict,
    InputInvalid,
    Interrupted,
    InvocationNotFound,
    InvokeResult,
    LoadFailed,
    Media,
    ModelFailed,
    ModelNotFound,
    NameInvalid,
    Norman,
    NotReady,
    OutputInvalid,
    Progress,
    ReplicaDied,
    RequestInvalid,
    TimedOut,
    TrustRequired,
    Unauthenticated,
    VersionNotFound,
)

COMBINATIONS = [
    pytest.param((transport, driver), id=f"{transport}-{driver}")
    for transport in ("local", "rest", "relayed")
    for driver in ("blocking", "asyncio")
]
"""Relayed: over REST to another Jupyter server on the same home, which passes everything on."""


class Blocking:
    """Calls the blocking client."""

    def __init__(self, **arguments: Any) -> None:
        self.client = BlockingNorman(**arguments)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self.client, name)

    def at_once(self, calls: list[Callable[[Any], Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: call(self.client), calls))


class Asyncio:
    """Calls the asyncio client on a loop that runs during each call."""

    def __init__(self, **arguments: Any) -> None:
        self.runner = asyncio.Runner()
        self.client = Norman(**arguments)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.runner.run(getattr(self.client, name)(*args, **kwargs))

        return call

    def at_once(self, calls: list[Callable[[Any], Any]]) -> list[Any]:
        async def gather() -> list[Any]:
            return await asyncio.gather(*(call(self.client) for call in calls))

        return self.runner.run(gather())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


def connect(
    server: RunningServer, combination: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    transport, driver = combination
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.root / "runtime"))
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    arguments: dict[str, Any] = {"transport": "rest" if transport == "relayed" else transport}
    if transport in ("rest", "relayed"):
        arguments |= {"url": server.url, "token": server.token}
    return {"blocking": Blocking, "asyncio": Asyncio}[driver](**arguments)


@pytest.fixture(params=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture(scope="session")
def relaying_server(norman_server, tmp_path_factory) -> Iterator[RunningServer]:
    home = f"--NormanExtension.home={norman_server.home}"
    with serve(tmp_path_factory.mktemp("relaying"), [home]) as server:
        yield server


@pytest.fixture
def asked_server(combination, request: pytest.FixtureRequest) -> RunningServer:
    """The server that the client talks to."""
    name = "relaying_server" if combination[0] == "relayed" else "norman_server"
    return request.getfixturevalue(name)


@pytest.fixture
def norman(asked_server, combination, monkeypatch) -> Iterator[Any]:
    client = connect(asked_server, combination, monkeypatch)
    yield client
    client.close()


@pytest.fixture
def name(combination, request: pytest.FixtureRequest) -> str:
    """A model's name that no other test uses."""
    test = request.node.originalname.removeprefix("test_")[:60]
    return f"{test}-{'-'.join(combination)}"


def write_model(folder: Path, code: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(textwrap.dedent(code))
    return folder


@pytest.fixture(scope="session")
def echo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives back what it gets, whatever that is, and does worse on request."""
    return write_model(
        tmp_path_factory.mktemp("models") / "echo",
        """
        import os, signal, time
        from typing import Any, TypedDict
        import numpy as np

        class Given(TypedDict, total=False):
            x: np.ndarray
            text: str
            data: Any
            file: bytes

        def predict(
            x: np.ndarray | None = None, text: str | None = None, data: Any = None,
            file: bytes | None = None, act: str = "",
        ) -> Given:
            if act == "raise":
                raise ValueError("no such digit")
            if act == "exit":
                os._exit(3)
            if act == "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            if act.startswith("sleep "):
                open(act.removeprefix("sleep "), "w").close()
                time.sleep(60)
            if act == "bad":
                return {"data": object()}
            if act:
                print(act)
            given = {"x": x, "text": text, "data": data, "file": file}
            return {name: value for name, value in given.items() if value is not None}
        """,
    )


@pytest.fixture
def echo(norman: Any, name: str, echo_folder: Path) -> str:
    """The echo as a model of one's own."""
    norman.upload(echo_folder, name=name, trust=True)
    return name


@pytest.fixture
def shared_echo(norman: Any, echo_folder: Path) -> str:
    """The echo for tests that do it no harm: the same files again are the same version."""
    norman.upload(echo_folder, name="echo", trust=True)
    return "echo"


def linear_model(path: Path, weights: np.ndarray) -> Path:
    size, classes = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", size])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.save(model, path)
    return path


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([1, -2, 3], np.int64),
        np.array([[True, False]]),
        np.array([1.5, np.nan, np.inf], np.float16),
        np.array([1, 2], ">i4"),
        np.array([1 + 2j], np.complex64),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(10)[::-2],
        np.zeros((0, 5), np.float64),
        np.array(["ä", "", "long text"], object),
        np.array([1.0, 2.0], ml_dtypes.bfloat16),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_array_comes_back_as_it_was_sent(norman, shared_echo, array: np.ndarray) -> None:
    result = norman.invoke(shared_echo, x=array)
    back = result["x"]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"text": "Grüße\n\0"}, "Grüße\n\0"),
        ({"text": ""}, ""),
        ({"data": {"a": [1, 2.5, None, True], "ü": "x"}}, {"a": [1, 2.5, None, True], "ü": "x"}),
        ({"data": 3}, 3),
        ({"file": b"\x00\xff"}, b"\x00\xff"),
        ({"file": bytearray(b"abc")}, b"abc"),
    ],
    ids=["text", "empty-text", "json", "number", "bytes", "bytearray"],
)
def test_other_values_come_back_as_they_were_sent(norman, shared_echo, given, expected) -> None:
    assert norman.invoke(shared_echo, **given).value == expected


def test_file_is_read_here_and_sent(norman, shared_echo, tmp_path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(b"\x89PNG")
    assert norman.invoke(shared_echo, {"file": path}).value == b"\x89PNG"


VIEWER = """
    from typing import TypedDict
    import numpy as np

    class Answer(TypedDict):
        seen: bytes
        scores: np.ndarray

    def predict(photo: bytes) -> Answer:
        return {"seen": photo, "scores": np.array([0.25, 0.75])}
"""
VIEWER_CONFIG = """
    [[inputs]]
    display_title = "Photo"
    data_encoding = "png"
    receive_format = "File"
    parameters = [{ parameter_name = "photo", data_encoding = "png" }]

    [[outputs]]
    display_title = "Seen by the model"
    data_encoding = "png"
    receive_format = "File"
    parameters = [{ parameter_name = "seen", data_encoding = "png" }]

    [[outputs]]
    display_title = "scores"
    data_encoding = "tensor"
    receive_format = "Primitive"
    labels = ["no", "yes"]
    parameters = [{ parameter_name = "scores", data_encoding = "tensor" }]
"""


def test_pictures_go_in_and_come_out_as_pictures(norman, name, tmp_path) -> None:
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "model.py").write_text(textwrap.dedent(VIEWER))
    (folder / "norman.toml").write_text(textwrap.dedent(VIEWER_CONFIG))
    norman.upload(folder, name=name, trust=True)
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    given: Any
    for given in (Image.fromarray(pixels), pixels):
        result = norman.invoke(name, Photo=given)
        seen = result["Seen by the model"]
        assert isinstance(seen, Media)
        assert (seen.encoding, seen.display_title) == ("png", "Seen by the model")
        np.testing.assert_array_equal(seen.array(), pixels)
        assert norman.invoke(name, Photo=seen)["Seen by the model"] == seen
    assert result.labels == {"scores": ("no", "yes")}
    assert repr(result).split("\n")[2].split() == ["yes", "0.75", "█" * 18]
    with pytest.raises(InputInvalid, match="'Photo' takes image"):
        norman.invoke(name, Photo=pixels.astype(np.float64))
    states = [item.state for item in norman.invocations(model=name).items]
    assert states == ["succeeded"] * 4  # refused calls are not recorded


def test_large_array_comes_back_as_it_was_sent(norman, shared_echo) -> None:
    array = np.random.default_rng(5).random((2_500, 1_000))
    np.testing.assert_array_equal(norman.invoke(shared_echo, x=array).value, array)


def test_result_is_a_mapping_that_tells_version_time_and_logs(norman, shared_echo) -> None:
    result = norman.invoke(shared_echo, {"text": "a"}, data=[1], act="busy")
    assert isinstance(result, InvokeResult)
    assert dict(result) == {"text": "a", "data": [1]}
    with pytest.raises(OutputInvalid, match="'text', 'data'"):
        _ = result.value
    assert result.version == f"{shared_echo}@1"
    assert result.logs == "busy\n"
    assert set(result.timings) == {"queue", "model", "transfer"}
    assert sum(result.timings.values()) == pytest.approx(result.latency_ms, rel=0.01)
    recorded = norman.invocation(result.id).invocation
    assert (recorded.reference, recorded.state) == (f"{shared_echo}@1", "succeeded")


def test_many_calls_at_once_each_get_their_own_answer(norman, shared_echo) -> None:
    calls = [lambda client, n=n: client.invoke(shared_echo, data={"n": n}) for n in range(24)]
    results = norman.at_once(calls)
    assert [result.value for result in results] == [{"n": n} for n in range(24)]
    assert len({result.id for result in results}) == 24


def test_rows_of_a_frame_are_answered_in_order_with_their_errors(norman, shared_echo) -> None:
    frame = pd.DataFrame(
        {"data": range(40), "act": ["raise" if n == 17 else "" for n in range(40)], "id": "a"},
        index=range(100, 140),
    )
    answers = mapped(norman, shared_echo, frame, in_flight=8)
    assert list(answers.index) == list(frame.index)
    wanted = [n if n != 17 else pd.NA for n in range(40)]
    assert answers["data_output"].tolist() == wanted
    assert answers["error"].dropna().to_dict() == {
        117: f"ModelFailed: {shared_echo}@1 raised ValueError: no such digit."
    }
    assert answers["id"].tolist() == ["a"] * 40


def test_files_of_a_pattern_are_sent(norman, shared_echo, tmp_path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]))
    answers = mapped(norman, shared_echo, {"file": f"{tmp_path}/*.bin"})
    assert answers["file_output"].tolist() == [b"\0", b"\1", b"\2"]
    with pytest.raises(ModelNotFound):
        mapped(norman, "nosuchmodel", [1])


def mapped(norman: Any, *arguments: Any, **options: Any) -> Any:
    if not isinstance(norman, Asyncio):
        return norman.map(*arguments, **options)

    async def collect() -> Any:
        return await norman.client.map(*arguments, **options)

    return norman.runner.run(collect())


# --- uploads --------------------------------------------------------------------------------------


def test_onnx_file_answers_as_onnxruntime_does(norman, name, tmp_path) -> None:
    weights = np.random.default_rng(1).random((4, 3), np.float32)
    path = linear_model(tmp_path / "linear.onnx", weights)
    version = norman.upload(path, name=name, label="first", description="d", tags=["a", "b"])
    assert (version.reference, version.state, version.runtime) == (f"{name}@1", "ready", "onnx")
    assert (version.label, version.description, version.tags) == ("first", "d", ("a", "b"))
    assert version.active
    assert version.origin.source_path == str(path)
    x = np.random.default_rng(2).random((5, 4), np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    np.testing.assert_allclose(norman.invoke(name, x=x)["y"], expected, rtol=1e-5)


def test_progress_is_told_in_order_up_to_ready(norman, name, tmp_path) -> None:
    path = linear_model(
        tmp_path / "m.onnx", np.random.default_rng().random((1_000, 1_000), np.float32)
    )
    told: list[Progress] = []
    norman.upload(path, name=name, on_progress=told.append)
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages == ["hashing", "sending", "loading", "ready"]
    sending = [progress for progress in told if progress.stage == "sending"]
    assert [progress.done_bytes for progress in sending] == sorted(
        progress.done_bytes for progress in sending
    )
    assert sending[-1].done_bytes == sending[-1].total_bytes == path.stat().st_size


def test_same_files_again_are_the_same_version_and_nothing_is_sent(
    norman, echo, echo_folder
) -> None:
    told: list[Progress] = []
    again = norman.upload(echo_folder, name=echo, trust=True, on_progress=told.append)
    assert (again.number, again.created) == (1, False)
    assert all(p.total_bytes == 0 for p in told if p.stage == "sending")


def test_second_version_takes_over_unless_it_shall_not(norman, name, tmp_path) -> None:
    for value in (1, 2, 3):
        folder = write_model(tmp_path / "m", f"def predict() -> int:\n    return {value}\n")
        norman.upload(folder, name=name, trust=True, activate=value != 3)
    answers = {ref: norman.invoke(ref).value for ref in (name, f"{name}@1", f"{name}@latest")}
    assert answers == {name: 2, f"{name}@1": 1, f"{name}@latest": 3}
    detail = norman.model(name)
    assert [version.number for version in detail.versions] == [3, 2, 1]
    assert detail.model.active == 2


def test_name_is_the_folders_by_default(norman, combination, tmp_path) -> None:
    folder = write_model(
        tmp_path / f"My model {'-'.join(combination)}", "def predict() -> int: return 1"
    )
    assert norman.upload(folder, trust=True).name == f"My-model-{'-'.join(combination)}"


def test_code_is_not_sent_without_trust(norman, name, echo_folder) -> None:
    with pytest.raises(TrustRequired, match="--trust"):
        norman.upload(echo_folder, name=name)
    with pytest.raises(ModelNotFound):
        norman.model(name)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('no weights')\ndef predict() -> int: return 1", "no weights"),
        (
            """class Model:
                def load(self, files, device): raise OSError('no file')
                def predict(self) -> int: return 1
            """,
            "no file",
        ),
        ("import os; os._exit(4)", "4"),
    ],
    ids=["import", "load", "exit"],
)
def test_version_that_cannot_load_fails_with_its_own_reason(
    norman, name, tmp_path, code, error
) -> None:
    norman.upload(
        write_model(tmp_path / "good", "def predict() -> int: return 7"), name=name, trust=True
    )
    with pytest.raises((LoadFailed, ReplicaDied), match=error):
        norman.upload(write_model(tmp_path / "bad", code), name=name, trust=True)
    assert norman.invoke(name).value == 7  # what served before serves on
    assert norman.version(f"{name}@2").state == "failed"
    with pytest.raises(NotReady):
        norman.invoke(f"{name}@2")


def test_load_failure_carries_the_models_traceback(norman, name, tmp_path) -> None:
    folder = write_model(tmp_path / "bad", "def load_weights():\n    1 / 0\n\nload_weights()\n")
    with pytest.raises(LoadFailed) as caught:
        norman.upload(folder, name=name, trust=True)
    assert "ZeroDivisionError" in caught.value.traceback
    assert "model.py" in caught.value.traceback


def test_corrupt_model_is_refused(norman, name, tmp_path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x0a" + bytes(range(200)))
    with pytest.raises(BundleInvalid, match=r"'broken\.onnx' is no ONNX model: "):
        norman.upload(path, name=name)
    with pytest.raises(ModelNotFound):
        norman.model(name)


def test_model_the_runtime_refuses_fails_with_its_words(norman, name, tmp_path) -> None:
    path = linear_model(tmp_path / "m.onnx", np.ones((4, 3), np.float32))
    norman.upload(path, name=name)
    path.write_bytes(path.read_bytes().replace(b"MatMul", b"MatMux"))
    with pytest.raises(LoadFailed, match=r"can't open m\.onnx.*No Op registered for MatMux"):
        norman.upload(path, name=name)
    failed = norman.version(f"{name}@2")
    assert (failed.state, failed.error.code) == ("failed", "load_failed")
    assert norman.version(name).number == 1
    deployed = {one.reference: one for one in norman.status().executor.deployments}
    assert f"{name}@2" not in deployed or deployed[f"{name}@2"].pid is None


def test_missing_path_names_what_is_there(norman, echo_folder) -> None:
    with pytest.raises(BundleInvalid, match="Did you mean 'echo'"):
        norman.upload(echo_folder.parent / "ecko")


# --- mistakes -------------------------------------------------------------------------------------


def test_unknown_model_and_version_are_told_with_what_there_is(norman, shared_echo) -> None:
    with pytest.raises(ModelNotFound) as caught:
        norman.invoke(shared_echo[:-1])
    assert shared_echo in caught.value.nearest
    with pytest.raises(VersionNotFound) as missing:
        norman.invoke(f"{shared_echo}@9")
    assert missing.value.versions == [1]
    for reference in (f"{shared_echo}@9", f"{shared_echo}@nobody"):
        with pytest.raises(VersionNotFound):
            norman.version(reference)


@pytest.mark.parametrize("reference", ["", "a b", "x@", "x@0", "../x"])
def test_what_is_no_reference_is_refused(norman, reference: str) -> None:
    with pytest.raises(NameInvalid):
        norman.invoke(reference)


def test_inputs_that_do_not_fit_are_refused_with_what_would(norman, name, tmp_path) -> None:
    norman.upload(linear_model(tmp_path / "m.onnx", np.zeros((4, 3), np.float32)), name=name)
    good = np.zeros((1, 4), np.float32)
    for inputs, message in (
        ({"X": good}, "no input 'X'.*x"),
        ({}, "'x' .*is missing"),
        ({"x": good, "y": good}, "no input 'y'"),
        ({"x": good.astype(np.float64)}, "astype"),
        ({"x": np.zeros((1, 5), np.float32)}, "float32"),
        ({"x": "text"}, "not text"),
    ):
        with pytest.raises(InputInvalid, match=message):
            norman.invoke(name, inputs)


def test_inputs_are_checked_here_before_anything_is_sent(norman, shared_echo) -> None:
    for call, message in (
        (lambda: norman.invoke(shared_echo, {"text": "a"}, text="b"), "given twice"),
        (lambda: norman.invoke(shared_echo, "text"), "Inputs have names"),
        (lambda: norman.invoke(shared_echo, text=object()), "can't be sent"),
        (lambda: norman.invoke(shared_echo, file=Path("/nowhere/x.png")), "can't be read"),
        (lambda: norman.invoke(shared_echo, timeout_s=-1), "positive"),
    ):
        with pytest.raises(InputInvalid, match=message):
            call()


def test_models_own_exception_points_into_its_code(norman, shared_echo) -> None:
    with pytest.raises(ModelFailed) as caught:
        norman.invoke(shared_echo, act="raise")
    error = caught.value
    assert "no such digit" in error.message
    assert "model.py" in error.traceback
    assert "norman_worker" not in error.traceback
    assert norman.invocation(error.invocation_id).invocation.state == "failed"


def test_output_that_cannot_be_sent_is_the_models_fault(norman, shared_echo) -> None:
    with pytest.raises(OutputInvalid):
        norman.invoke(shared_echo, act="bad")


@pytest.mark.parametrize("act", ["exit", "segfault"])
def test_worker_that_dies_fails_one_call_and_the_next_gets_a_new_one(
    norman, shared_echo, act
) -> None:
    with pytest.raises(ReplicaDied):
        norman.invoke(shared_echo, act=act)
    assert norman.invoke(shared_echo, text="again").value == "again"


def test_deadline_ends_a_call_that_takes_too_long(norman, shared_echo, tmp_path) -> None:
    with pytest.raises(TimedOut) as caught:
        norman.invoke(shared_echo, act=f"sleep {tmp_path / 'begun'}", timeout_s=0.5)
    assert caught.value.timeout_s == pytest.approx(0.5)
    assert norman.invoke(shared_echo, text="again").value == "again"


# --- questions ------------------------------------------------------------------------------------


def test_models_are_listed_page_by_page_and_searched(norman, name, echo_folder) -> None:
    names = [f"{name}-{letter}" for letter in "ab"]
    for one in names:
        norman.upload(echo_folder, name=one, trust=True)
    first = norman.models(search=name, limit=1)
    second = norman.models(search=name, limit=1, cursor=first.next_cursor)
    assert [item.name for item in (*first.items, *second.items)] == names
    assert second.next_cursor is None


def test_version_logs_and_status_are_told(norman, shared_echo) -> None:
    norman.invoke(shared_echo, act="printed")
    assert norman.version(shared_echo).signature.inputs[0].name == "x"
    assert "printed" in norman.logs(f"{shared_echo}@1").text
    status = norman.status()
    assert status.executor.state == "ready"
    assert f"{shared_echo}@1" in {one.reference for one in status.executor.deployments}


def test_invocations_are_listed_newest_first_and_by_state(norman, echo) -> None:
    first, second = (norman.invoke(echo, text=text) for text in "ab")
    with pytest.raises(ModelFailed):
        norman.invoke(echo, act="raise")
    page = norman.invocations(model=echo, limit=2)
    assert page.items[0].state == "failed"
    assert page.items[1].id == second.id
    rest = norman.invocations(model=echo, limit=2, cursor=page.next_cursor)
    assert [item.id for item in rest.items] == [first.id]
    failed = norman.invocations(model=echo, state="failed")
    assert [item.error_code for item in failed.items] == ["model_failed"]
    detail = norman.invocation(first.id)
    assert detail.inputs == {"text": "a"}


def test_unknown_invocation_is_not_found(norman) -> None:
    with pytest.raises(InvocationNotFound):
        norman.invocation("0" * 32)


def test_impossible_page_is_refused(norman) -> None:
    with pytest.raises(RequestInvalid):
        norman.models(limit=-1)


# --- servers --------------------------------------------------------------------------------------


def test_wrong_token_is_refused_over_every_way(asked_server, combination, monkeypatch) -> None:
    client = connect(asked_server, ("rest", combination[1]), monkeypatch)
    client.close()
    driver = Blocking if combination[1] == "blocking" else Asyncio
    client = driver(url=asked_server.url, token="wrong")
    with pytest.raises(Unauthenticated):
        client.invoke("anything")
    client.close()


def test_jupyters_own_token_will_do(asked_server, combination) -> None:
    driver = Blocking if combination[1] == "blocking" else Asyncio
    client = driver(url=f"{asked_server.url}lab?token={asked_server.jupyter_token}")
    assert client.status().server_id == asked_server.record.server_id
    client.close()


@pytest.fixture(scope="module")
def mortal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose executor may be killed."""
    with serve(tmp_path_factory.mktemp("mortal")) as server:
        yield server


def test_killed_executor_interrupts_the_call_and_the_next_one_is_served(
    mortal_server, combination, monkeypatch, echo_folder, name, tmp_path
) -> None:
    # As users have it, the fast path falls back to REST while there is no executor.
    transport = "auto" if combination[0] == "local" else "rest"
    client = connect(mortal_server, (transport, combination[1]), monkeypatch)
    client.upload(echo_folder, name=name, trust=True)
    executor = mortal_server.wait_executor()
    workers = psutil.Process(executor).children(recursive=True)
    begun = tmp_path / "begun"
    os.mkfifo(begun)

    def kill_when_it_runs() -> None:
        begun.read_bytes()  # waits until the model opens the other end
        os.kill(executor, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_it_runs)
    killer.start()
    with pytest.raises(Interrupted):
        client.invoke(name, act=f"sleep {begun}")
    killer.join()
    assert client.invoke(name, text="again").value == "again"
    states = [item.state for item in client.invocations(model=name).items]
    assert sorted(states) == ["interrupted", "succeeded"]
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    client.close()


# --- downloads ------------------------------------------------------------------------------------


def test_download_gives_back_what_was_uploaded(norman, name, echo_folder, tmp_path) -> None:
    files = {"model.py": (echo_folder / "model.py").read_bytes(), "empty": b"", "sub/run": b"#!"}
    files["sub/large.bin"] = os.urandom((3 << 20) + 1)
    source = tmp_path / "source"
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    (source / "sub" / "run").chmod(0o755)
    norman.upload(source, name=name, trust=True)
    told: list[Progress] = []
    folder = norman.download(name, tmp_path / "back", on_progress=told.append)
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == files
    assert os.access(folder / "sub" / "run", os.X_OK)
    assert not os.access(folder / "model.py", os.X_OK)
    assert told[-1].stage == "ready"


def test_download_of_what_is_not_there_names_the_nearest(norman, shared_echo, tmp_path) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean echo"):
        norman.download("ecco", tmp_path / "back")
    assert not list(tmp_path.iterdir())


# --- models in this process -----------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "norman"


def same(left: Any, right: Any) -> bool:
    if isinstance(right, (np.ndarray, np.generic)):
        return (
            type(left) is type(right)
            and left.dtype == right.dtype
            and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
        )
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(
    "x",
    [
        np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4),
        [[1, 2.5, -3, 4]],
        np.zeros((0, 4), np.float32),
    ],
    ids=["array", "lists", "nothing"],
)
def test_loaded_graph_answers_as_the_service_does(norman, name, tmp_path, cache, x) -> None:
    weights = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
    norman.upload(linear_model(tmp_path / "linear.onnx", weights), name=name)
    model = norman.load(name)
    local, served = model(x=x), norman.invoke(name, x=x)
    assert list(local) == list(served)
    assert all(same(local[output], served[output]) for output in served)
    assert type(model.native).__name__ == "InferenceSession"


LOADED = """
    from typing import NamedTuple
    import numpy as np
    import helper

    class Answer(NamedTuple):
        x: np.ndarray
        text: str
        count: int
        share: float
        sure: bool
        data: object

    class Model:
        def load(self, files, device):
            self.words = (files / "words.txt").read_text().split()

        def predict(self, x: np.ndarray, text: str = "", n: int = 1, scale: float = 2.0) -> Answer:
            import late
            return Answer(x * scale, helper.shout(text), np.int64(n), np.float32(0.5),
                          np.bool_(n > 1), {"words": self.words, "late": late.VALUE})
"""


@pytest.fixture
def loaded_folder(tmp_path) -> Path:
    folder = write_model(tmp_path / "shouting", LOADED)
    (folder / "helper.py").write_text("def shout(text):\n    return text.upper()\n")
    (folder / "late.py").write_text("VALUE = 7\n")
    (folder / "words.txt").write_text("one two")
    return folder


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.arange(3, dtype=np.int32)},
        {"x": [[1, 2], [3, 4]], "text": "hey", "n": 3, "scale": 1},
        {"x": np.array([np.nan, 1.0]), "n": np.int64(4), "scale": np.float64(0.1)},
    ],
    ids=["array", "lists", "scalars"],
)
def test_loaded_code_answers_as_the_service_does(
    norman, name, loaded_folder, cache, inputs
) -> None:
    norman.upload(loaded_folder, name=name, trust=True)
    model = norman.load(name)
    local, served = model.predict(inputs), norman.invoke(name, inputs)
    assert list(local) == list(served)
    assert all(same(local[output], served[output]) for output in served), (local, dict(served))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": np.zeros(2), "y": 1},
        {"x": [[1], [2, 3]]},
        {"x": np.zeros(2), "n": 1.5},
        {"x": np.zeros(2), "n": None},
        {"x": np.zeros(2), "text": 3},
        {"x": "zero"},
    ],
    ids=["missing", "unknown", "ragged", "fraction", "null", "number", "text"],
)
def test_loaded_model_refuses_what_the_service_refuses(
    norman, name, loaded_folder, cache, inputs
) -> None:
    norman.upload(loaded_folder, name=name, trust=True)
    model = norman.load(name)
    for call in (model, lambda given: norman.invoke(name, given)):
        with pytest.raises(InputInvalid):
            call(inputs)


def test_loaded_code_raises_what_it_raises(norman, name, loaded_folder, cache) -> None:
    norman.upload(loaded_folder, name=name, trust=True)
    with pytest.raises(ModelFailed):
        norman.invoke(name, x=["a", "b"], scale=0.5)
    with pytest.raises(TypeError):
        norman.load(name)(x=["a", "b"], scale=0.5)


def test_kept_files_that_changed_are_fetched_again(norman, name, loaded_folder, cache) -> None:
    norman.upload(loaded_folder, name=name, trust=True)
    norman.load(name)
    (kept,) = (cache / "bundles").iterdir()
    (kept / "model.py").chmod(0o644)
    (kept / "model.py").write_text("raise SystemExit('not what was trusted')")
    assert norman.load(name)(x=[1])["text"] == ""


def test_failed_version_cannot_be_loaded(norman, name, tmp_path, cache) -> None:
    folder = write_model(tmp_path / "bad", "raise OSError('no weights')")
    with pytest.raises(LoadFailed):
        norman.upload(folder, name=name, trust=True)
    with pytest.raises(NotReady, match="never loaded"):
        norman.load(f"{name}@1")
    assert not cache.exists()


def test_a_call_is_submitted_and_fetched_later(norman, name, norman_server, tmp_path):
    upload_code(norman, tmp_path, name, "def predict(x: int) -> int:\n    return x + 1\n")
    submission = norman.submit(name, x=1, idempotency_key=f"{name}-key")
    result = fetch(norman, submission, 30)
    assert (result["output"], result.id, result.version) == (2, submission.id, f"{name}@1")
    assert norman.submit(name, x=1, idempotency_key=f"{name}-key").id == submission.id
    with pytest.raises(IdempotencyConflict) as caught:
        norman.submit(name, x=2, idempotency_key=f"{name}-key")
    assert caught.value.invocation_id == submission.id
    again = norman.replay(submission.id)
    assert (again["output"], norman.invocation(again.id).invocation.replay_of) == (2, result.id)
    before = datetime.now(UTC)
    norman.invoke(name, x=5)
    assert len(norman.invocations(model=name, since=before).items) == 1


def test_a_submitted_call_is_cancelled(norman, name, tmp_path):
    gate = tmp_path / "gate"
    upload_code(
        norman,
        tmp_path,
        name,
        "import os, time\ndef predict(gate: str) -> str:\n    open(gate, 'w').close()\n"
        "    while os.path.exists(gate):\n        time.sleep(0.01)\n    return gate\n",
    )
    submission = norman.submit(name, gate=str(gate))
    with pytest.raises(TimedOut, match="goes on"):
        fetch(norman, submission, 0.05)
    assert norman.cancel(submission.id).invocation.state == "cancelled"
    gate.unlink(missing_ok=True)
    with pytest.raises(Cancelled):
        fetch(norman, submission, 30)
    with pytest.raises(InvocationNotFound):
        norman.cancel("none")


def upload_code(norman, folder: Path, name: str, source: str) -> None:
    model = folder / "model"
    model.mkdir()
    (model / "model.py").write_text(source)
    norman.upload(model, name=name, trust=True)


def fetch(norman, submission: Any, timeout_s: float) -> Any:
    if isinstance(norman, Asyncio):
        return norman.runner.run(submission.wait(timeout_s))
    return submission.wait(timeout_s)
