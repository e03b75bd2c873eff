from __future__ import annotations

import numpy as np
import pytest

from norman_protocol.messages import Failure, Loaded, Prediction
from norman_protocol.signature import Modality, Parameter
from norman_protocol.values import Value

# --- what is served -------------------------------------------------------------------------


def test_class_is_made_loaded_with_folder_and_device_and_asked(serve):
    worker = serve(
        """
from pathlib import Path
class Model:
    def __init__(self):
        self.steps = ["made"]
    def load(self, files: Path, device: str):
        self.steps += [type(files).__name__, (files / "words.txt").read_text(), device]
    def predict(self, word: str) -> list[str]:
        return [*self.steps, word]
""",
        words__txt="from a file",
    )
    assert worker.value(word="x") == ["made", "PosixPath", "from a file", "cpu", "x"]


def test_device_of_the_load_message_reaches_the_model(worker, write_model):
    files = write_model("""
class Model:
    def load(self, files, device): self.device = device
    def predict(self) -> str: return self.device
""")
    worker.load(files, device="cuda:1")
    assert worker.value() == "cuda:1"


def test_class_without_load_is_served(serve):
    worker = serve("class Model:\n    def predict(self, n: int) -> int:\n        return n + 1\n")
    assert worker.value(n=1) == 2


def test_signature_comes_from_hints(worker, write_model):
    loaded = worker.load(
        write_model("""
from __future__ import annotations
from typing import Annotated, TypedDict
import numpy as np
from numpy.typing import NDArray
class Answer(TypedDict):
    label: str
    scores: NDArray[np.float32]
def predict(image: Annotated[NDArray[np.float32], "pixels"], top: int = 3) -> Answer:
    return {"label": str(image.shape), "scores": image.ravel()[:top]}
""")
    )
    assert isinstance(loaded, Loaded)
    assert loaded.signature.inputs == (
        Parameter(name="image", modality=Modality.TENSOR, dtype="float32", description="pixels"),
        Parameter(name="top", modality=Modality.INTEGER, required=False, default=3),
    )
    assert [(item.name, item.modality) for item in loaded.signature.outputs] == [
        ("label", Modality.TEXT),
        ("scores", Modality.TENSOR),
    ]
    answer = worker.predict(image=[[1, 2], [3, 4]])
    assert isinstance(answer, Prediction)
    assert bytes(answer.values["label"].buffer) == b"(2, 2)"
    assert answer.values["scores"].dtype == "float32"


def test_default_is_applied_by_the_function_itself(serve):
    worker = serve("def predict(a: int, b: int = 10) -> int:\n    return a + b\n")
    assert (worker.value(a=1), worker.value(a=1, b=1)) == (11, 2)


def test_siblings_and_packages_are_imported_and_lazily_too(serve):
    worker = serve(
        """
import words
def predict() -> str:
    import later
    return words.FIRST + later.SECOND
""",
        words__py="FIRST = 'one '",
        later__py="import model\nSECOND = 'two ' + model.__name__",
    )
    assert worker.value() == "one two model"


def test_classes_of_the_module_can_be_pickled(serve):
    worker = serve("""
import pickle
class Thing:
    value = 3
def predict() -> int:
    return pickle.loads(pickle.dumps(Thing())).value
""")
    assert worker.value() == 3


def test_processes_that_the_model_spawns_import_it(serve):
    worker = serve("""
import multiprocessing
def double(n): return 2 * n
def predict(n: int) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(double, (n,))
""")
    assert worker.value(n=4) == 8


def test_file_is_delivered_as_a_path_for_the_call(serve):
    worker = serve("""
from pathlib import Path
seen = []
def predict(image: Path) -> list:
    gone = [not path.exists() for path in seen]
    seen.append(image)
    return [image.name, image.read_bytes().decode(), *gone]
""")
    first = Value(kind="bytes", file_name="seven.png", buffer=b"pixels")
    assert worker.value(image=first) == ["seven.png", "pixels"]
    assert worker.value(image={"base64": "YWJj"}) == ["file", "abc", True]
    assert list(worker.scratch.iterdir()) == []


def test_file_of_a_failed_call_is_removed_too(serve):
    worker = serve("""
from pathlib import Path
def predict(image: Path) -> int:
    raise ValueError(image.read_bytes().decode())
""")
    assert worker.predict(image=b"abc").message == "m@1 raised ValueError: abc."
    assert list(worker.scratch.iterdir()) == []


def test_array_that_came_is_not_writeable_and_a_copy_is(serve):
    worker = serve("""
import numpy as np
def predict(x: np.ndarray) -> np.ndarray:
    assert not x.flags.writeable
    x = x.copy()
    x += 1
    return x
""")
    assert worker.value(x=np.zeros(2)).tolist() == [1, 1]


def test_working_folder_is_the_workers_own(serve):
    worker = serve("""
from pathlib import Path
def predict() -> str:
    Path("note").write_text("x")
    return str(Path.cwd())
""")
    assert worker.value() == str(worker.scratch)
    assert [path.name for path in worker.scratch.iterdir()] == ["note"]


# --- what can't be loaded -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "neither a class Model nor a function predict"),
        (
            "class Model:\n    def predict(self): ...\ndef predict(): ...\n",
            "both a class Model and a function predict",
        ),
        ("class Model:\n    def load(self, files, device): ...\n", "has no predict"),
        ("Model = 3\n", "Model in model.py is no class"),
        ("predict = 3\n", "predict is a int, not a function"),
        (
            "class Model:\n    def __init__(self, size): ...\n    def predict(self): ...\n",
            "can't be made without arguments (missing a required argument: 'size')",
        ),
        (
            "class Model:\n    def load(self): ...\n    def predict(self): ...\n",
            "Write load(self, files: Path, device: str)",
        ),
        (
            (
                "import abc\nclass Model(abc.ABC):\n"
                "    @abc.abstractmethod\n    def predict(self): ...\n"
            ),
            "is abstract: it lacks predict",
        ),
        ("def predict(*images): ...\n", "'*images' of predict takes any number of arguments"),
        ("def predict():\n    yield 1\n", "streaming comes later"),
        ("async def predict(): ...\n", "write it as a plain `def`"),
        ("def predict(n: complex): ...\n", "Parameter 'n' of predict is annotated with complex"),
        ("def predict() -> set: ...\n", "Output 'output' of predict is annotated with set"),
        ("def predict(n: 'Missing'): ...\n", "names 'Missing', which isn't defined"),
    ],
)
def test_module_that_is_no_model_says_what_is_expected(refuse_load, source, said):
    failure = refuse_load(source)
    assert failure.code == "load_failed"
    assert said in failure.message


@pytest.mark.parametrize(
    ("source", "message", "place"),
    [
        (
            "import nonexistent_module\n",
            (
                "m@1 raised ModuleNotFoundError: No module named 'nonexistent_module' "
                "while it was loaded."
            ),
            'File "model.py", line 1, in <module>',
        ),
        (
            "def predict(:\n",
            "m@1 raised SyntaxError: invalid syntax (model.py, line 1) while it was loaded.",
            'File "model.py", line 1',
        ),
        (
            "raise SystemExit('no')\n",
            "m@1 called sys.exit('no') while it was loaded.",
            'File "model.py", line 1, in <module>',
        ),
        (
            "class Model:\n    def __init__(self):\n        1 / 0\n    def predict(self): ...\n",
            "m@1 raised ZeroDivisionError: division by zero while it was loaded.",
            'File "model.py", line 3, in __init__',
        ),
        (
            (
                "class Model:\n    def load(self, files, device):\n"
                "        (files / 'weights.bin').read_bytes()\n    def predict(self): ...\n"
            ),
            (
                "m@1 raised FileNotFoundError: [Errno 2] No such file or directory: 'weights.bin' "
                "while it was loaded."
            ),
            'File "model.py", line 3, in load',
        ),
        (
            "raise KeyboardInterrupt\n",
            "m@1 raised KeyboardInterrupt while it was loaded.",
            'File "model.py", line 1, in <module>',
        ),
    ],
)
def test_what_is_raised_while_loading_is_reported_from_the_models_frame(
    refuse_load, source, message, place
):
    failure = refuse_load(source)
    assert (failure.code, failure.message) == ("load_failed", message)
    assert failure.details["reference"] == "m@1"
    assert failure.details["exception"]
    lines = failure.details["traceback"].splitlines()
    assert place in "".join(lines[:2])
    assert "norman_worker" not in failure.details["traceback"]


def test_sibling_that_fails_is_shown_with_its_source(refuse_load):
    failure = refuse_load("import sibling\n", sibling__py="def f():\n    return 1 / 0\nf()\n")
    traceback = failure.details["traceback"]
    assert 'File "model.py", line 1, in <module>\n    import sibling\n' in traceback
    assert 'File "sibling.py", line 2, in f\n    return 1 / 0\n' in traceback


def test_model_that_exits_while_loading_closes_the_socket(worker, write_model):
    assert worker.load(write_model("import os\nos._exit(9)\n")) is None
    assert worker.wait() == 9


def test_what_is_printed_while_loading_is_in_the_log(worker, write_model):
    worker.load(write_model("print('halfway', end='')\nraise ValueError\n"))
    assert worker.log == "halfway"


# --- what can't be answered -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("return object()", "'output' is an object, which can't be sent"),
        ("return (n for n in [1])", "streaming comes later"),
        ("return [float('nan')]", "can't be sent"),
        ("return {1, 2}", "is a set"),
    ],
)
def test_answer_that_nothing_can_carry_is_an_invalid_output_with_its_logs(serve, statement, said):
    worker = serve(f"def predict():\n    print('printed')\n    {statement}\n")
    failure = worker.predict()
    assert isinstance(failure, Failure)
    assert failure.code == "output_invalid"
    assert said in failure.message
    assert failure.details["logs"] == "printed\n"


def test_promise_of_the_hint_is_checked(serve):
    worker = serve("def predict() -> str:\n    pass\n")
    failure = worker.predict()
    assert failure.code == "output_invalid"
    assert failure.details["output"] == "output"
    assert "is None where the hint of predict says text" in failure.message


def test_answer_beyond_a_frame_is_an_invalid_output_and_the_next_call_is_served(serve):
    worker = serve("""
import numpy as np
def predict(n: int) -> np.ndarray:
    return np.empty(n, np.uint8)
""")
    failure = worker.predict(n=(2 << 30) + 1)  # reserved, never touched
    assert failure.code == "output_invalid"
    assert failure.details["output"] == "output"
    assert worker.value(n=2).shape == (2,)


# --- torch ----------------------------------------------------------------------------------


@pytest.mark.heavy
def test_torch_tensors_go_in_and_out(serve):
    pytest.importorskip("torch")
    import ml_dtypes

    worker = serve("""
import torch
def predict(x: torch.Tensor, twice: bool = True) -> torch.Tensor:
    assert isinstance(x, torch.Tensor)
    x.requires_grad_(x.is_floating_point())
    return x * 2 if twice else x
""")
    for dtype in ("float32", "float16", "int64", "uint8", "complex64", ml_dtypes.bfloat16):
        sent = np.array([[1, 2, 3]]).astype(dtype)
        received = worker.value(x=sent)
        assert received.dtype == sent.dtype
        np.testing.assert_array_equal(received, sent * sent.dtype.type(2))
    assert worker.value(x=np.array([True]), twice=False).tolist() == [True]
    assert worker.value(x=[[1, 2]]).tolist() == [[2, 4]]
    assert worker.value(x=np.float32(3)) == 6
    assert worker.value(x=np.zeros((0, 3))).shape == (0, 3)
    assert "Warning" not in worker.log
