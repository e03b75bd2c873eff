"""Which interpreter runs a version."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from norman_protocol.errors import InterpreterRefused, RuntimeMissing
from norman_server.environments.interpreters import (
    Interpreters,
    choose_interpreter,
    kernel_interpreters,
)

SERVER = "/srv/bin/python"
KERNEL = "/nb/bin/python"


@pytest.mark.parametrize(
    ("runtime", "uploader", "accepted", "equipped", "chosen"),
    [
        ("onnx", None, False, {SERVER}, SERVER),
        ("onnx", KERNEL, True, {SERVER, KERNEL}, SERVER),
        ("onnx", KERNEL, False, {SERVER}, SERVER),
        ("onnx", KERNEL, True, {KERNEL}, KERNEL),
        ("python", None, False, set(), SERVER),
        ("python", KERNEL, True, set(), KERNEL),
    ],
)
def test_choice(runtime, uploader, accepted, equipped, chosen):
    assert chosen == choose_interpreter(
        runtime, server=SERVER, uploader=uploader, accepted=accepted, equipped=equipped
    )


def test_code_from_an_interpreter_that_is_not_accepted_is_refused():
    with pytest.raises(InterpreterRefused, match="allowed_interpreters") as caught:
        choose_interpreter(
            "python", server=SERVER, uploader="/tmp/python", accepted=False, equipped=set()
        )
    assert caught.value.interpreter == "/tmp/python"


@pytest.mark.parametrize(
    ("uploader", "accepted", "equipped"),
    [(None, False, set()), (KERNEL, True, set()), (KERNEL, False, {KERNEL})],
)
def test_missing_runtime_says_how_to_install_it(uploader, accepted, equipped):
    with pytest.raises(RuntimeMissing, match=r'pip install "norman-jupyter\[onnx\]"') as caught:
        choose_interpreter(
            "onnx", server=SERVER, uploader=uploader, accepted=accepted, equipped=equipped
        )
    assert caught.value.package == "onnxruntime"


def test_kernelspecs_name_interpreters(tmp_path, monkeypatch):
    tool = tmp_path / "some-kernel"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = kernel_interpreters(
        ["python", "python3", "/opt/env/bin/../bin/python", "some-kernel", "absent-kernel"], SERVER
    )
    assert found == {SERVER, "/opt/env/bin/python", str(tool)}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An interpreter of its own, without any package."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    assert python.resolve() == Path(sys.executable).resolve()  # a link to the same program
    return str(python)


async def test_interpreter_of_an_installed_kernel_is_accepted_at_once(environment):
    programs = ["python"]
    interpreters = Interpreters(kernel_programs=lambda: programs)
    with pytest.raises(InterpreterRefused):
        await interpreters.choose("python", environment)
    programs.append(environment)
    assert await interpreters.choose("python", environment) == environment


async def test_link_to_the_server_interpreter_is_an_environment_of_its_own(environment):
    with pytest.raises(InterpreterRefused):
        await Interpreters(kernel_programs=list).choose("python", environment)


async def test_allowed_interpreter_is_accepted_however_it_is_spelt(environment):
    folder, name = os.path.split(environment)
    interpreters = Interpreters(kernel_programs=list, allowed=[environment])
    assert await interpreters.choose("python", f"{folder}/../bin/{name}") == environment


async def test_allowed_interpreter_that_is_gone_is_refused(tmp_path):
    gone = str(tmp_path / "python")
    with pytest.raises(InterpreterRefused):
        await Interpreters(kernel_programs=list, allowed=[gone]).choose("python", gone)


async def test_data_formats_run_in_the_servers_interpreter(environment):
    interpreters = Interpreters(kernel_programs=lambda: [environment])
    assert await interpreters.choose("onnx", environment) == sys.executable
