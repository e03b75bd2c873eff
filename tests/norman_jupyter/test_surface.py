"""What `import norman_jupyter` offers, and how little it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import norman_jupyter
import norman_protocol.errors

HEAVY = ("httpx", "numpy", "IPython", "psutil", "asyncio", "jupyter_core", "ssl", "torch", "pandas")


def test_every_public_name_is_there() -> None:
    for name in norman_jupyter.__all__:
        assert getattr(norman_jupyter, name) is not None
    assert set(norman_jupyter.__all__) <= set(dir(norman_jupyter))


def test_every_error_class_is_public() -> None:
    names = {name for name in norman_protocol.errors.__all__ if name[0].isupper()}
    assert names <= set(norman_jupyter.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Normann"):
        _ = norman_jupyter.Normann


def test_version_is_the_distributions() -> None:
    assert norman_jupyter.__version__ == version("norman-jupyter")


def test_import_loads_nothing_heavy() -> None:
    script = f"import sys, norman_jupyter; print([m for m in {HEAVY!r} if m in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.strip() == "[]"


def test_making_a_client_loads_no_http_library_and_no_arrays() -> None:
    script = (
        "import sys; from norman_jupyter import BlockingNorman; BlockingNorman().close();"
        "print([m for m in ('httpx', 'numpy', 'psutil', 'jupyter_core') if m in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.strip() == "[]"
