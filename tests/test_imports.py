"""What an import loads: the notebook's package stays light, and the lowest floors need nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "alembic",
    "fastapi",
    "ipywidgets",
    "jupyter_server",
    "jupyterlab",
    "matplotlib",
    "ml_dtypes",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "papermill",
    "PIL",
    "pydantic",
    "ray",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "torch",
    "tornado",
    "transformers",
}
STANDARD_LIBRARY_ONLY = {
    # package: what its named modules alone may import besides, and only inside functions
    "norman_protocol": {
        "norman_protocol.arrays": {"numpy", "ml_dtypes"},
        "norman_protocol.rendering": {"numpy"},
    },
    "norman_bundle": {},
}


def run(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def loaded_by(name: str) -> set[str]:
    code = (
        f"import sys; before = set(sys.modules); import {name}; print(*set(sys.modules) - before)"
    )
    return {module.partition(".")[0] for module in run(code).split()}


@pytest.mark.parametrize("name", ["norman_jupyter", "norman_protocol", "norman_bundle"])
def test_importing_a_package_loads_no_heavy_library(name: str) -> None:
    loaded = loaded_by(name)
    assert name in loaded
    assert not loaded & HEAVY


def test_importing_the_client_of_a_notebook_loads_nothing_of_the_server() -> None:
    assert not loaded_by("norman_jupyter") & {"norman_server", "norman_executor", "norman_worker"}


def test_every_module_of_the_wire_but_none_of_its_arrays_is_loaded_without_numpy() -> None:
    modules = [
        f"norman_protocol.{path.stem}"
        for path in (ROOT / "server_extension/norman_protocol").glob("*.py")
        if path.stem != "__init__"
    ]
    assert "norman_protocol.arrays" in modules
    loaded = loaded_by(", ".join(modules))
    assert not loaded & HEAVY


WITHOUT_NUMPY = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "ml_dtypes"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from norman_protocol.arrays import object_to_value, value_to_array, value_to_object
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Predict, decode_message, encode_message
from norman_protocol.values import Value

inputs = {"text": "Wie spät?", "number": 3, "list": [1.5, {"a": "b"}], "bytes": b"x", "no": None}
values = {name: object_to_value(value, name=name) for name, value in inputs.items()}
values["tensor"] = Value(kind="tensor", dtype="float32", shape=(1,), buffer=bytes(4))
frame = b"".join(encode_message(Predict(id="1", values=values)))
message = decode_message(decode_frame(frame))
tensor = message.values.pop("tensor")
assert {name: value_to_object(value) for name, value in message.values.items()} == inputs
try:
    value_to_array(tensor)
except ModuleNotFoundError as error:
    print("needs", error.name)
assert "numpy" not in sys.modules
"""


def test_models_without_tensors_need_no_numpy() -> None:
    assert run(WITHOUT_NUMPY).split() == ["needs", "numpy"]


def imported_packages(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", STANDARD_LIBRARY_ONLY)
def test_the_lowest_floors_import_the_standard_library_only(package: str) -> None:
    exceptions = STANDARD_LIBRARY_ONLY[package]
    for path in (ROOT / "server_extension" / package).rglob("*.py"):
        parts = path.relative_to(ROOT / "server_extension").with_suffix("").parts
        foreign = imported_packages(path) - set(sys.stdlib_module_names) - {"__future__"}
        foreign -= {"norman_protocol", "norman_bundle"} | exceptions.get(".".join(parts), set())
        assert not foreign, f"{path} imports {foreign}"
