"""What the README shows runs as it stands, in a notebook beside a server."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from IPython.core.async_helpers import get_asyncio_loop
from onnx import TensorProto, helper, numpy_helper

from norman_jupyter.magics.extension import NormanMagics

_README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", _README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def write_digits(path: Path) -> None:
    """Write a small classifier: probabilities of ten digits from 64 pixels."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["image", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"]),
        ],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(np.eye(64, 10, dtype=np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


@pytest.fixture
def readme_notebook(shell, make_notebook, fresh_server, monkeypatch, tmp_path):
    """A notebook beside a server that it has to find, with a model and NumPy as ``np``."""
    for name in ("NORMAN_URL", "NORMAN_TOKEN", "JUPYTER_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, fresh_server.environment[name])
    write_digits(tmp_path / "digits.onnx")
    notebook = make_notebook(shell)
    notebook.run("import numpy as np")
    yield notebook
    installed = NormanMagics.installed_in(shell)
    if installed is not None:
        installed.uninstall()
    get_asyncio_loop().close()


def test_five_lines_and_the_python_beside_them_run(readme_notebook):
    (magics,) = [block for block in code_blocks("") if "→" not in block]
    assert len(magics.splitlines()) == 5
    probabilities = readme_notebook.run(magics)
    assert probabilities.shape == (1, 10)
    assert readme_notebook.run("result.version") == "digits@1"
    (python,) = code_blocks("python")
    readme_notebook.run("del result")
    readme_notebook.run(python)
    assert readme_notebook.run("version.reference, version.created") == ("digits@1", False)
    np.testing.assert_array_equal(readme_notebook.run("result['probabilities']"), probabilities)
    readme_notebook.run("await norman.close()")
