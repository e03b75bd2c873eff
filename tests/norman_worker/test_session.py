from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from norman_protocol.frames import join_frame
from norman_protocol.messages import Failure, GetStatus, Load, Loaded, Predict, Prediction
from norman_protocol.values import Value

ECHO = """
def predict(text: str) -> str:
    return text
"""


def test_worker_ends_with_zero_when_the_executor_closes(worker):
    worker.connection.close()
    assert worker.wait() == 0


def test_worker_ends_when_the_executor_closes_after_calls(serve):
    worker = serve(ECHO)
    assert worker.value(text="hi") == "hi"
    worker.connection.close()
    assert worker.wait() == 0


def test_load_answers_signature_duration_and_memory(worker, write_model):
    answer = worker.load(write_model(ECHO))
    assert isinstance(answer, Loaded)
    assert answer.id == "load"
    assert [parameter.name for parameter in answer.signature.inputs] == ["text"]
    assert [parameter.name for parameter in answer.signature.outputs] == ["output"]
    assert answer.load_s > 0
    if sys.platform == "linux":
        assert answer.memory_bytes > 1 << 20


def test_calls_are_answered_in_order_by_id(serve):
    worker = serve(ECHO)
    for number in range(20):
        value = Value(kind="text", buffer=str(number).encode())
        worker.send(Predict(id=f"id-{number}", values={"text": value}))
    answers = [worker.receive() for _ in range(20)]
    assert [answer.id for answer in answers] == [f"id-{number}" for number in range(20)]
    assert [bytes(answer.values["output"].buffer) for answer in answers] == [
        str(number).encode() for number in range(20)
    ]


def test_large_values_travel_whole(serve):
    worker = serve("def predict(data: bytes) -> bytes:\n    return data[::-1]\n")
    data = os.urandom(30 << 20)
    assert worker.value(data=data) == data[::-1]


def test_many_outputs_need_more_than_one_system_call(serve):
    count = os.sysconf("SC_IOV_MAX") + 50
    worker = serve(f"""
from typing import TypedDict
Many = TypedDict("Many", {{f"o{{i}}": str for i in range({count})}})
def predict() -> Many:
    return {{f"o{{i}}": "x" * (i % 70) for i in range({count})}}
""")
    answer = worker.predict()
    assert isinstance(answer, Prediction)
    assert {name: value.size_bytes for name, value in answer.values.items()} == {
        f"o{index}": index % 70 for index in range(count)
    }


def test_predict_before_load_is_not_ready(worker):
    answer = worker.predict()
    assert (answer.code, answer.id) == ("not_ready", "call")


def test_second_load_is_refused(serve, write_model):
    worker = serve(ECHO)
    answer = worker.load(write_model(ECHO))
    assert answer.code == "conflict"
    assert worker.value(text="still") == "still"


def test_load_after_a_failed_one_is_refused(worker, write_model):
    assert worker.load(write_model("1 / 0")).code == "load_failed"
    assert worker.load(write_model(ECHO)).code == "conflict"
    assert worker.predict(text="x").code == "not_ready"


def test_unknown_runtime_names_the_known_ones(worker, write_model):
    answer = worker.load(write_model(ECHO), runtime="cobol")
    assert answer.code == "runtime_missing"
    assert "'cobol'" in answer.message
    assert "onnx, python" in answer.message


def test_message_that_no_worker_takes_ends_the_process(worker):
    worker.send(GetStatus(id="1"))
    assert worker.receive() is None
    assert worker.wait() == 1
    assert "A worker takes no get_status message" in worker.log


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", join_frame({"type": "load", "id": 3}), b"NRMN\xff\xff\xff\xff"],
)
def test_bytes_that_are_no_message_end_the_process(worker, data):
    worker.connection.sendall(data)
    worker.connection.shutdown(socket.SHUT_WR)
    assert worker.receive() is None
    assert worker.wait() == 1
    assert "ProtocolViolation" in worker.log


def test_model_that_kills_itself_closes_the_socket_and_leaves_a_trace(serve):
    worker = serve("""
import os, signal
def predict() -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
""")
    assert worker.predict() is None
    assert worker.wait() == -signal.SIGSEGV
    assert "Segmentation fault" in worker.log
    assert "in predict" in worker.log


def test_model_that_leaves_the_process_closes_the_socket(serve):
    worker = serve("import os\ndef predict() -> int:\n    os._exit(7)\n")
    assert worker.predict() is None
    assert worker.wait() == 7


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("raise ValueError('not an image')", "m@1 raised ValueError: not an image."),
        ("raise SystemExit(3)", "m@1 called sys.exit(3)."),
        ("raise KeyboardInterrupt", "m@1 raised KeyboardInterrupt."),
        ("raise MemoryError", "m@1 raised MemoryError."),
        (
            "(lambda f: f(f))(lambda f: f(f))",
            "m@1 raised RecursionError: maximum recursion depth exceeded",
        ),
        ("input()", "m@1 raised EOFError: EOF when reading a line."),
        ("raise ValueError('\\ud800')", "m@1 raised ValueError: \\ud800."),
        ("raise type('Odd', (BaseException,), {'__str__': None})", "m@1 raised"),
    ],
)
def test_whatever_predict_raises_is_the_models_failure_and_the_next_call_is_served(
    serve, statement, said
):
    worker = serve(f"""
def predict(fine: bool = False) -> str:
    if fine:
        return "fine"
    print("about to fail")
    {statement}
""")
    answer = worker.predict()
    assert isinstance(answer, Failure)
    assert answer.code == "model_failed"
    assert answer.message.startswith(said)
    assert answer.details["reference"] == "m@1"
    assert answer.details["logs"] == "about to fail\n"
    assert 'File "model.py", line 6, in predict' in answer.details["traceback"]
    assert worker.value(fine=True) == "fine"


def test_deep_recursion_is_reported_in_bounded_text(serve):
    worker = serve("""
def down(n):
    return down(n + 1) if n % 2 else up(n + 1)
def up(n):
    return down(n)
def predict() -> int:
    raise ValueError("x" * 1_000_000) from RuntimeError("y" * 1_000_000)
""")
    answer = worker.predict()
    assert answer.code == "model_failed"
    assert len(answer.message) < 500
    assert len(answer.details["exception"]) < 5_000
    assert len(answer.details["traceback"]) < 40_000
    assert "left out here" in answer.details["traceback"]


def test_model_may_refuse_its_input_but_no_other_error_of_ours_passes(serve):
    worker = serve("""
from norman_protocol.errors import InputInvalid, Unauthenticated
def predict(n: int) -> int:
    raise (InputInvalid("n is too small", input="n") if n < 0 else Unauthenticated("no"))
""")
    refused = worker.predict(n=-1)
    assert (refused.code, refused.message) == ("input_invalid", "n is too small")
    assert worker.predict(n=1).code == "model_failed"


def test_inputs_are_checked_by_the_worker_too(serve):
    worker = serve(ECHO)
    assert worker.predict(txt="x").details["nearest"] == ["text"]
    assert worker.predict().code == "input_invalid"
    assert worker.predict(text=3).code == "input_invalid"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b"\xff", "not UTF-8"),
        (b"[1, 2", "not JSON"),
    ],
)
def test_json_that_is_none_is_an_invalid_input(serve, text, said):
    worker = serve("def predict(data):\n    return data\n")
    answer = worker.predict(data=Value(kind="json", buffer=text))
    assert answer.code == "input_invalid"
    assert answer.details["input"] == "data"
    assert said in answer.message
    assert worker.value(data=[1]) == [1]


def test_signature_that_no_frame_can_hold_is_refused(refuse_load):
    failure = refuse_load("""
from typing import TypedDict
Many = TypedDict("Many", {f"{'n' * 190}{i}": str for i in range(4_090)})
def predict() -> Many:
    return {}
""")
    assert failure.code == "load_failed"
    assert "Put many values into one tensor" in failure.message


def test_name_that_no_frame_can_hold_is_refused(refuse_load):
    failure = refuse_load(f"def predict({'n' * 201}: str) -> str:\n    return ''\n")
    assert failure.message.endswith("is longer than 200 characters.")


def test_too_many_outputs_are_refused(worker, write_model):
    answer = worker.load(
        write_model("""
from typing import TypedDict
Many = TypedDict("Many", {f"o{i}": str for i in range(4_500)})
def predict() -> Many:
    return dict.fromkeys(Many.__annotations__, "")
""")
    )
    assert isinstance(answer, Loaded)
    failure = worker.predict()
    assert failure.code == "output_invalid"
    assert "4500 outputs" in failure.message


@pytest.mark.skipif(sys.platform != "linux", reason="fork while threads run is for Linux")
def test_forked_child_of_a_model_never_answers(serve):
    worker = serve("""
import os
def predict(n: int) -> int:
    if os.fork() == 0:
        return -1
    os.wait()
    return n
""")
    assert [worker.value(n=number) for number in range(3)] == [0, 1, 2]


def test_program_that_a_model_starts_does_not_hold_the_socket(serve):
    worker = serve("""
import subprocess, sys
def predict() -> int:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                             stdin=subprocess.PIPE, close_fds=False)
    predict.child = child
    return child.pid
""")
    child = worker.value()
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.wait()
    try:
        assert worker.receive() is None
    finally:
        os.kill(child, signal.SIGKILL)


def test_worker_writes_nothing_into_the_version(serve, tmp_path):
    worker = serve(
        "import sibling\ndef predict() -> str:\n    return sibling.WORD\n",
        sibling__py="WORD = 'beside'\n",
    )
    assert worker.value() == "beside"
    assert sorted(path.name for path in (tmp_path / "the-version").iterdir()) == [
        "model.py",
        "sibling.py",
    ]


def test_model_without_tensors_needs_no_numpy(start_worker, write_model, tmp_path):
    import venv

    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    worker = start_worker(str(bare / "bin" / "python"))
    loaded = worker.load(
        write_model("""
import math
def predict(text: str, scale: float = 1.0, items: list | None = None) -> float:
    return len(text) * scale if items is None else math.nan
""")
    )
    assert isinstance(loaded, Loaded), loaded
    assert worker.value(text="four", scale=float("inf")) == float("inf")
    answer = worker.predict(text="four", items=[])
    assert answer.values["output"].dtype == "float64"
    failure = worker.predict(
        text="x", items=Value(kind="tensor", dtype="int8", shape=(1,), buffer=b"1")
    )
    assert failure.code == "input_invalid"
    assert "needs NumPy" in failure.message


def test_runtime_whose_package_is_missing_names_it_and_the_interpreter(
    start_worker, write_model, tmp_path
):
    import venv

    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    worker = start_worker(str(bare / "bin" / "python"))
    failure = worker.load(write_model(model__onnx="x"), runtime="onnx")
    assert failure.code == "runtime_missing"
    assert failure.details["package"] == "onnxruntime"
    assert failure.details["interpreter"].startswith(str(bare))
    assert "pip install onnxruntime" in failure.message


def test_worker_that_lost_its_executor_before_it_began_ends(archive, tmp_path):
    import subprocess

    mine, inherited = socket.socketpair()
    mine.sendall(b"".join([join_frame({"type": "load"})]))
    mine.close()
    with inherited:
        done = subprocess.run(
            [sys.executable, str(archive), "--socket-fd", str(inherited.fileno())],
            pass_fds=[inherited.fileno()],
            cwd=tmp_path,
            timeout=60,
            check=False,
            capture_output=True,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_worker_is_killed_with_its_parent_even_in_the_middle_of_a_call(archive, tmp_path):
    import subprocess

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.py").write_text("import time\ndef predict() -> int:\n    time.sleep(600)\n")
    # A parent that starts a worker, has it run a call without end, tells its id, and is killed.
    script = f"""
import os, socket, subprocess, sys
sys.path[:0] = {sys.path!r}
from norman_protocol.messages import Load, Predict, encode_message
mine, inherited = socket.socketpair()
command = [sys.executable, {str(archive)!r}, "--socket-fd", str(inherited.fileno())]
worker = subprocess.Popen(command, pass_fds=[inherited.fileno()], cwd={str(tmp_path)!r})
inherited.close()
load = Load(id="1", reference="m@1", runtime="python", files={str(folder)!r}, entry="model.py")
mine.sendall(b"".join(encode_message(load)))
mine.recv(1 << 16)
mine.sendall(b"".join(encode_message(Predict(id="2"))))
os.set_inheritable(mine.fileno(), True)
print(worker.pid, flush=True)
sys.stdin.read()
"""
    import psutil

    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    try:
        worker.wait(60)
    except psutil.NoSuchProcess:
        return
    finally:
        if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            worker.kill()
    assert not worker.is_running()


def test_load_names_an_absent_entry(worker, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    failure = worker.ask(
        Load(
            id="load",
            reference="m@1",
            runtime="python",
            files=str(tmp_path / "empty"),
            entry="model.py",
        )
    )
    assert failure.code == "load_failed"
    assert failure.message == "There is no Python module model.py."


def test_failed_load_names_the_reference(refuse_load):
    assert refuse_load("x = 1").details["reference"] == "m@1"


def test_error_of_ours_that_the_model_raises_on_load_is_a_failed_load(refuse_load):
    failure = refuse_load(
        "from norman_protocol.errors import QueueFull\nraise QueueFull('not so')\n"
    )
    assert failure.code == "load_failed"
    assert "QueueFull: not so" in failure.details["exception"]
