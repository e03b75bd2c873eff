"""Choosing the interpreter of a version: only one that this server knows may run."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TypeAlias

from norman_bundle.formats import RuntimeName
from norman_protocol.errors import InterpreterRefused, RuntimeMissing

__all__ = [
    "Interpreters",
    "KernelPrograms",
    "choose_interpreter",
    "kernel_interpreters",
    "normal_path",
]

KernelPrograms: TypeAlias = Callable[[], Iterable[str]]
"""Returns the program of each installed kernel: a kernelspec's first argument."""

_MODULES: dict[str, str] = {"onnx": "onnxruntime", "torchscript": "torch"}
_PROBE_TIMEOUT_S = 30.0
_PROBE = (
    "import importlib.util, json, sys;"
    "print(json.dumps([importlib.util.find_spec(name) is not None for name in sys.argv[1:]]))"
)


def normal_path(path: str) -> str:
    """Make a path comparable; links stay, since a virtual environment's interpreter is one."""
    return os.path.normpath(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps ".."


def kernel_interpreters(programs: Iterable[str], server: str) -> frozenset[str]:
    """Return the interpreters that kernelspecs name.

    A bare ``python`` or ``python3`` is what jupyter_client starts as this server's interpreter.

    Examples
    --------
    >>> sorted(kernel_interpreters(["python", "/opt/r/bin/R"], "/srv/bin/python3"))
    ['/opt/r/bin/R', '/srv/bin/python3']
    """
    bare = {"python", f"python{sys.version_info[0]}", "python{}.{}".format(*sys.version_info)}
    found = set()
    for program in programs:
        if program in bare:
            found.add(normal_path(server))
        elif os.sep in program:
            found.add(normal_path(program))
        else:
            resolved = shutil.which(program)
            if resolved is not None:
                found.add(normal_path(resolved))
    return frozenset(found)


def choose_interpreter(
    runtime: RuntimeName,
    *,
    server: str,
    uploader: str | None,
    accepted: bool,
    equipped: AbstractSet[str],
) -> str:
    """Decide which interpreter runs a version.

    Data formats run in the server's interpreter where it has the runtime, else in the
    uploader's. Code runs in the uploader's interpreter, or in the server's where none was named.

    Parameters
    ----------
    server
        The interpreter that runs this server.
    uploader
        The interpreter that the uploading kernel reported, None where none did.
    accepted
        Whether ``uploader`` may run here.
    equipped
        Those of the two that have the package which loads the format.

    Raises
    ------
    InterpreterRefused
        The uploader's interpreter would be the one, and isn't accepted here.
    RuntimeMissing
        No accepted interpreter has the package that loads the format.

    Examples
    --------
    >>> choose_interpreter("onnx", server="/srv/python", uploader="/nb/python", accepted=True,
    ...                    equipped={"/nb/python"})
    '/nb/python'
    """
    module = _MODULES.get(runtime)
    if module is not None:
        if server in equipped:
            return server
        if uploader is not None and accepted and uploader in equipped:
            return uploader
        raise _runtime_missing(runtime, module, server)
    if uploader is None:
        return server
    if not accepted:
        raise InterpreterRefused(
            f"{uploader} is not an interpreter that this server runs: it is neither the server's "
            "own, nor that of an installed kernel, nor on the list "
            "NormanExtension.allowed_interpreters. Upload from a kernel of this server, install "
            "the environment as a kernel (python -m ipykernel install), or have the server's "
            "owner add it to that list.",
            interpreter=uploader,
        )
    return uploader


def _runtime_missing(runtime: str, module: str, interpreter: str) -> RuntimeMissing:
    return RuntimeMissing(
        f"No interpreter here has {module}, which loads this format. Install it where the server "
        f'runs: {interpreter} -m pip install "norman-jupyter[{runtime}]"',
        runtime=runtime,
        package=module,
        interpreter=interpreter,
    )


class Interpreters:
    """The interpreters of this server, its kernels, and those its owner allowed.

    Parameters
    ----------
    kernel_programs
        Asked at each choice, in a thread: a kernel that was installed meanwhile counts.
    allowed
        More interpreters, by path.
    """

    def __init__(
        self,
        *,
        kernel_programs: KernelPrograms,
        allowed: Iterable[str] = (),
        server: str = sys.executable,
    ) -> None:
        self._kernel_programs = kernel_programs
        self._allowed = frozenset(map(normal_path, allowed))
        self._server = normal_path(server)

    async def choose(self, runtime: RuntimeName, uploader: str | None) -> str:
        """Return the path of the interpreter for a version.

        Parameters
        ----------
        uploader
            The interpreter that the uploading kernel reported, None where none did.

        Raises
        ------
        InterpreterRefused, RuntimeMissing
            As in `choose_interpreter`.
        """
        path = None if uploader is None else normal_path(uploader)
        accepted = path is not None and await asyncio.to_thread(self._accepts, path)
        equipped: set[str] = set()
        module = _MODULES.get(runtime)
        if module is not None:
            if await asyncio.to_thread(importlib.util.find_spec, module) is not None:
                equipped.add(self._server)
            elif path is not None and accepted and await _has_module(path, module):
                equipped.add(path)
        return choose_interpreter(
            runtime, server=self._server, uploader=path, accepted=accepted, equipped=equipped
        )

    def _accepts(self, path: str) -> bool:
        programs = self._kernel_programs()
        known = self._allowed | {self._server} | kernel_interpreters(programs, self._server)
        return path in known and Path(path).exists()


async def _has_module(interpreter: str, module: str) -> bool:
    """Ask an accepted interpreter whether it finds a module, without importing it."""
    try:
        process = await asyncio.create_subprocess_exec(
            interpreter,
            "-c",
            _PROBE,
            module,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    if process.returncode != 0:
        return False
    found: list[bool] = json.loads(output)
    return found == [True]
