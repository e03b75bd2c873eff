"""Every example of a notebook against a real server, executor and worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from norman_jupyter.magics import load_ipython_extension
from norman_jupyter.magics.extension import NormanMagics
from norman_protocol.errors import (
    BundleInvalid,
    InputInvalid,
    LoadFailed,
    ModelFailed,
    ModelNotFound,
    ReplicaDied,
    TimedOut,
    TrustRequired,
    Unauthenticated,
    VersionNotFound,
)
from norman_protocol.identifiers import new_id

ANSWER = """\
import logging
import os
import signal


def predict(text: str, times: int = 1, loud: bool = False) -> str:
    print("asked:", text)
    if text == "raise":
        raise ValueError("no answer to this")
    if text == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    answer = text * times
    return answer.upper() if loud else answer
"""

NO_WEIGHTS = """\
class Model:
    def load(self, files, device):
        raise OSError("no weights")

    def predict(self, x: int) -> int:
        return x
"""


GATED = """\
import pathlib
import time


def predict(number: int) -> int:
    if number == 5:
        pathlib.Path(%r, "held").touch()
        time.sleep(600)
    return number * 2
"""


def write_linear_model(path: Path, slope: float) -> None:
    """Write y = slope * x as ONNX, for rows of four numbers."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "slope"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor("slope", TensorProto.FLOAT, [1], [slope])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


@pytest.fixture
def live(shell, norman_server, monkeypatch, capsys, make_notebook):
    """A notebook beside a running server; ``model`` is a name that no other test uses."""
    monkeypatch.setenv("NORMAN_URL", norman_server.url)
    monkeypatch.setenv("NORMAN_TOKEN", norman_server.token)
    load_ipython_extension(shell)
    notebook = make_notebook(shell)
    notebook.shell.user_ns["model"] = f"m{new_id()}"
    yield notebook
    installed = NormanMagics.installed_in(shell)
    if installed is not None:
        installed.uninstall()


@pytest.fixture
def onnx_model(live, tmp_path):
    write_linear_model(tmp_path / "linear.onnx", 2.0)
    return live.run("%norman upload ./linear.onnx --name {model}")


@pytest.fixture
def answer_model(live, tmp_path):
    folder = tmp_path / "answer"
    folder.mkdir()
    (folder / "model.py").write_text(ANSWER)
    return live.run("%norman upload ./answer --name {model} --trust")


def test_upload_shows_the_version_with_its_signature(live, tmp_path):
    write_linear_model(tmp_path / "linear.onnx", 2.0)
    live.attach_frontend()
    version = live.run(
        "%norman upload ./linear.onnx --name {model} --version-label first "
        "--description 'doubles' --tag a --tag b"
    )
    assert (version.state, version.active, version.number) == ("ready", True, 1)
    assert (version.label, version.description, version.tags) == ("first", "doubles", ("a", "b"))
    assert version.origin.source_path == str(tmp_path / "linear.onnx")
    (shown,) = live.outputs()
    assert "float32[rows,4]" in shown["text/plain"]
    assert "hashed" in shown["text/plain"]


def test_aliases_and_versions_are_moved_shown_and_compared(live, answer_model, tmp_path):
    (tmp_path / "answer" / "model.py").write_text(ANSWER.replace("text * times", "text"))
    live.run("%norman upload ./answer --name {model} --trust")
    live.run("%norman alias {model+'@1'} production --why 'it repeats';")
    live.run("result = %norman invoke {model+'@production'} text=a times=3")
    assert live.run("result.value") == "aaa"
    assert live.run("change = %norman rollback {model}\nchange.after") == 1
    live.printed()
    live.run("%norman history {model}")
    assert "it repeats" in live.printed()
    live.run("%norman show {model+'@1'}")
    assert "active, production" in live.printed()
    live.run("%norman edit {model+'@2'} --version-label short --tag mine;")
    live.run("%norman diff {model+'@1'} {model+'@2'}")
    shown = live.printed()
    assert "model.py" in shown
    assert "short" in shown
    live.run("%norman versions {model}")
    assert "active, production" in live.printed()
    error, shown = live.fail("%norman invoke {model+'@prodution'} text=a")
    assert isinstance(error, VersionNotFound)
    assert "@production?" in shown


def test_invoke_gives_a_mapping(live, onnx_model):
    live.run("import numpy as np\nx = np.arange(8, dtype=np.float32).reshape(2, 4)")
    live.run("result = %norman invoke {model} x=x")
    np.testing.assert_allclose(live.run("result.value"), np.arange(8).reshape(2, 4) * 2)
    assert live.run("list(result)") == ["y"]
    assert live.run("result.version") == onnx_model.reference
    assert live.run("result.latency_ms") > 0
    assert set(live.run("result.timings")) == {"queue", "model", "transfer"}
    live.printed()
    live.run("result")
    shown = live.printed()
    assert "y (float32[2, 4])" in shown
    assert onnx_model.reference in shown


def test_invoke_takes_literals_and_expressions(live, onnx_model):
    live.run("import numpy as np\nrow = np.ones(4, np.float32)")
    assert live.run("r = %norman invoke {model} x=[[1.0, 2.0, 3.0, 4.0]]\nr.value.tolist()") == [
        [2, 4, 6, 8]
    ]
    assert live.run("r = %norman invoke {model}@1 x={row[None, :] * 3}\nr.value.tolist()") == [
        [6, 6, 6, 6]
    ]


def test_second_version_becomes_active_unless_told_not_to(live, onnx_model, tmp_path):
    write_linear_model(tmp_path / "linear.onnx", 3.0)
    second = live.run("%norman upload ./linear.onnx --name {model} --no-activate")
    assert (second.number, second.active) == (2, False)
    write_linear_model(tmp_path / "linear.onnx", 4.0)
    third = live.run("%norman upload ./linear.onnx --name {model}")
    assert (third.number, third.active) == (3, True)
    live.run("r = %norman invoke {model} x=[[1.0, 1.0, 1.0, 1.0]]")
    assert live.run("r.value[0, 0]") == 4
    assert live.run("r.version").endswith("@3")
    live.printed()
    live.run("%norman show {model}")
    shown = live.printed()
    assert all(f"@{number}" in shown for number in (1, 2, 3))


def test_same_upload_again_is_the_same_version(live, onnx_model):
    again = live.run("%norman upload ./linear.onnx --name {model}")
    assert (again.number, again.created) == (1, False)
    assert "nothing was added" in live.printed()


def test_model_of_code_answers_text(live, answer_model):
    live.run("word = 'ho'\nr = %norman invoke {model} text=word times=3 loud=True")
    assert live.run("r.value") == "HOHOHO"
    live.printed()
    live.run("r")
    assert "asked: ho" in live.printed()
    assert live.run("r = %norman invoke {model} text='word'\nr.value") == "word"
    assert live.run("r = %norman invoke {model} text=plain\nr.value") == "plain"


def test_own_exception_of_a_model_points_into_its_source(live, answer_model):
    error, shown = live.fail("%norman invoke {model} text=raise")
    assert isinstance(error, ModelFailed)
    line = ANSWER.splitlines().index('        raise ValueError("no answer to this")') + 1
    assert f'model.py", line {line}, in predict' in shown
    assert 'raise ValueError("no answer to this")' in shown
    assert "asked: raise" in shown
    assert "norman_jupyter" not in shown
    assert "norman_worker" not in shown


def test_model_that_dies_is_served_again(live, answer_model):
    error, shown = live.fail("%norman invoke {model} text=die")
    assert isinstance(error, ReplicaDied)
    assert len(shown.strip().splitlines()[0]) < 400
    assert live.run("r = %norman invoke {model} text=again\nr.value") == "again"


def test_listings(live, answer_model):
    name = live.shell.user_ns["model"]
    for line in ("models --search {model}", "show {model}", "show {model}@latest", "status"):
        live.printed()
        live.run(f"%norman {line}")
        shown = live.printed()
        assert line == "status" or name in shown
    assert "ready" in shown
    live.run("%norman show {model}@1")
    shown = live.printed()
    for part in ("text", "times", "default 1", "model.py", "trust", "created", "python"):
        assert part in shown
    live.run("r = %norman invoke {model} text=hello")
    live.printed()
    live.run("%norman logs {model}")
    assert live.printed()


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        ("upload ./nosuch", BundleInvalid, "nosuch"),
        ("upload ./linea.onnx", BundleInvalid, "linear.onnx"),
        ("upload ./empty", BundleInvalid, "empty"),
        ("upload ./untrusted", TrustRequired, "--trust"),
        ("upload ./broken.onnx --name {model}-broken", BundleInvalid, "is no ONNX model"),
        ("invoke nosuchmodel x=1", ModelNotFound, "nosuchmodel"),
        ("invoke {model}@7 x=1", VersionNotFound, "7"),
        ("invoke {model} y=1", InputInvalid, "The inputs are x."),
        ("invoke {model}", InputInvalid, "'x' (float32[rows,4]) is missing"),
        ("invoke {model} x={[[1.0] * 3]}", InputInvalid, "x"),
        ("invoke {model} x=hello", InputInvalid, "was taken as text"),
        ("invoke {model} x={rows.astype('float64')}", InputInvalid, ".astype('float32')"),
        ("invoke {model} x=rows[0]", InputInvalid, "x={rows[0]}"),
        ("show nosuchmodel", ModelNotFound, "nosuchmodel"),
        ("logs nosuchmodel", ModelNotFound, "nosuchmodel"),
    ],
)
def test_mistake_gets_one_clear_line(line, kind, part, live, onnx_model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "untrusted").mkdir()
    (tmp_path / "untrusted" / "model.py").write_text(ANSWER)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x08 this is no model")
    live.run("import numpy as np\nrows = np.ones((2, 4), np.float32)")
    live.attach_frontend()
    error, shown = live.fail(f"%norman {line}")
    assert isinstance(error, kind)
    (only,) = shown.strip().splitlines()
    assert only.startswith(f"{kind.__name__}: ")
    assert part in only
    assert "norman_jupyter" not in shown
    assert "Traceback" not in shown
    assert str(tmp_path / "..") not in shown


def test_model_the_runtime_refuses_fails_and_leaves_the_active_version_alone(
    live, onnx_model, norman_server, tmp_path
):
    executor = psutil.Process(norman_server.wait_executor())
    before = {worker.pid for worker in executor.children()}
    path = tmp_path / "linear.onnx"
    path.write_bytes(path.read_bytes().replace(b"Mul", b"Mux"))
    error, shown = live.fail("%norman upload ./linear.onnx --name {model}")
    assert type(error) is LoadFailed
    assert error.code == "load_failed"
    (only,) = shown.strip().splitlines()[-1:]
    assert only.startswith("LoadFailed: onnxruntime ")
    assert "can't open linear.onnx" in only
    assert "No Op registered for Mux" in only
    failed = live.run("%norman show {model}@2")
    assert (failed.state, failed.active, failed.error.code) == ("failed", False, "load_failed")
    assert live.run("%norman show {model}").version.reference == onnx_model.reference
    assert {worker.pid for worker in executor.children()} <= before
    assert live.run("r = %norman invoke {model} x=[[1.0, 1.0, 1.0, 1.0]]\nr.value[0, 0]") == 2


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("raise RuntimeError('at import')\n", "RuntimeError: at import"),
        (
            NO_WEIGHTS,
            "OSError: no weights",
        ),
    ],
)
def test_failed_load_points_into_the_model_and_leaves_the_active_version(
    source, part, live, answer_model, tmp_path
):
    (tmp_path / "answer" / "model.py").write_text(source)
    error, shown = live.fail("%norman upload ./answer --name {model} --trust")
    assert isinstance(error, LoadFailed)
    assert part in shown
    assert "model.py" in shown
    assert "norman_worker" not in shown
    assert live.run("r = %norman invoke {model} text=still\nr.value") == "still"
    live.printed()
    live.run("%norman show {model}@2")
    assert part in live.printed()


def test_tab_completes_models_versions_and_inputs(live, answer_model):
    name = live.shell.user_ns["model"]
    # An answer that TAB doesn't wait for is there for the next TAB; here it is awaited.
    NormanMagics(live.shell, completion_wait_s=60).install()
    assert name in live.complete(f"%norman invoke {name[:-2]}")
    assert f"{name}@1" in live.complete(f"%norman show {name}@")
    assert live.complete(f"%norman invoke {name} ") == ["text=", "times=", "loud="]


def test_upload_from_a_terminal(live, tmp_path):
    write_linear_model(tmp_path / "linear.onnx", 2.0)
    live.run("%norman upload ./linear.onnx --name {model}")
    shown = live.printed()
    assert shown.index("hashing") < shown.index("float32[rows,4]")
    assert shown.count("float32[rows,4]") == 2


def test_five_thousand_rows_of_a_frame_with_one_bad_row_in_the_middle(live, answer_model):
    live.run(
        "import pandas as pd\n"
        "texts = [f'row {n}' if n != 2500 else 'raise' for n in range(5000)]\n"
        "df = pd.DataFrame({'text': texts, 'id': range(5000)}, index=range(7, 5007))"
    )
    live.attach_frontend()
    frame = live.run("%norman invoke {model} --over df --into answers times=2")
    assert list(frame.columns) == ["text", "id", "output", "error"]
    assert list(frame.index) == list(range(7, 5007))
    good = frame[frame["error"].isna()]
    assert len(good) == 4999
    assert (good["output"] == good["text"] * 2).all()
    (failed,) = frame["error"].dropna().items()
    assert failed[0] == 2507
    assert failed[1].startswith("ModelFailed: ")
    assert "no answer to this" in failed[1]
    line = live.outputs()[0]["text/plain"]
    assert "5,000 of 5,000 rows in" in line
    assert "1 failed · " in line
    assert "not sent: id" in line
    assert live.run("answers is _norman")


def test_interrupt_of_ten_rows_keeps_what_is_done(live, tmp_path):
    folder = tmp_path / "gated"
    folder.mkdir()
    (folder / "model.py").write_text(GATED % str(tmp_path))
    live.run("%norman upload ./gated --name {model} --trust")
    interrupt = (
        "import pathlib, signal, threading\n"
        "def interrupt():\n"
        "    while not pathlib.Path('held').exists(): pass\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "thread = threading.Thread(target=interrupt)\n"
        "thread.start()\n"
    )
    error, shown = live.fail(
        interrupt + "%norman invoke {model} --over {list(range(10))} --into kept --in-flight 3"
    )
    live.run("thread.join()")
    assert isinstance(error, KeyboardInterrupt)
    assert "kept (5 rows): kept and %norman last give it" in shown
    kept = live.run("kept")
    assert kept["number"].tolist() == list(range(10))
    assert kept["output"].tolist()[:5] == [0, 2, 4, 6, 8]
    assert kept["error"].tolist() == [None] * 5 + ["not done: interrupted"] * 5
    answer = live.run("r = %norman invoke {model} number=21\nr.value")
    assert answer == 42


def test_cell_s_body_is_the_text_or_an_object_of_inputs(live, answer_model):
    live.run("r = get_ipython().run_cell_magic('norman', 'invoke {model} times=2', 'one\\ntwo\\n')")
    assert live.run("r.value") == "one\ntwoone\ntwo"
    result = live.run('%%norman invoke {model}\n{"text": "a", "times": 3, "loud": true}\n')
    assert result.value == "AAA"
    error, shown = live.fail('%%norman invoke {model}\n{"txet": "a"}\n')
    assert isinstance(error, InputInvalid)
    assert "'text'" in shown
    assert live.run("%norman last").value == "AAA"


def test_connect_asks_the_server_and_hides_the_token(
    live, answer_model, norman_server, monkeypatch
):
    monkeypatch.delenv("NORMAN_URL")
    monkeypatch.delenv("NORMAN_TOKEN")
    monkeypatch.setenv("MY_TOKEN", norman_server.token)
    live.shell.user_ns["url"] = norman_server.url
    live.printed()
    live.run("%norman connect {url} --token-env MY_TOKEN")
    shown = live.printed()
    assert norman_server.url in shown
    assert norman_server.token not in shown
    assert live.run("r = %norman invoke {model} text=a\nr.value") == "a"
    monkeypatch.setenv("WRONG", "x" * 20)
    error, shown = live.fail("%norman connect {url} --token-env WRONG")
    assert isinstance(error, Unauthenticated)
    assert "x" * 20 not in shown
    assert live.run("r = %norman invoke {model} text=a\nr.value") == "a"
    live.printed()
    live.run("%norman connect {url + '?token=' + __import__('os').environ['MY_TOKEN']}")
    shown = live.printed()
    assert norman_server.token not in shown
    assert "--token-env NAME keeps it out" in shown
    assert live.run("r = %norman invoke {model} text=b\nr.value") == "b"


def test_defaults_of_a_project_and_a_notebook_hold(live, answer_model, tmp_path):
    name = live.shell.user_ns["model"]
    (tmp_path / "pyproject.toml").write_text(f'[tool.norman]\nmodel = "{name}"\n')
    assert live.run("r = %norman invoke text=a\nr.value") == "a"
    assert live.run("%norman show").model.model.name == name
    live.run("%norman config timeout=0.000001;")
    error, _ = live.fail("%norman invoke text=a")
    assert isinstance(error, TimedOut)
    live.run("%norman config timeout=;")
    assert live.run("r = %norman invoke text=a\nr.value") == "a"
