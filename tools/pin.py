"""``python -m tools.pin``: resolve everything afresh and write constraints.txt."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

__all__ = ["render_constraints"]

_REPOSITORY = Path(__file__).resolve().parent.parent
_TARGET = _REPOSITORY / "constraints.txt"
_GROUPS = ("dev", "heavy", "frontend")

_HEAD = """\
# Every package of development and CI at one version (make constraints renews it), never part of a
# release: pyproject.toml says what users need.
"""
_BLOCKS = """\
# No CUDA build comes unasked: these have no such version, so that torch's default build for Linux
# is refused instead of being downloaded.
cuda-bindings<0
cuda-toolkit<0
"""
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^+\s]+)(?:\+\S+)?")


def render_constraints(frozen: str) -> str:
    r"""Turn what ``pip freeze`` says into constraints: no builds of one machine, no folders.

    Raises
    ------
    ValueError
        A line is no plain pin.

    Examples
    --------
    >>> print(render_constraints("torch==2.13.0+cpu\nsix==1.17.0\n").splitlines()[2:4])
    ['six==1.17.0', 'torch==2.13.0']
    """
    pins = []
    for line in frozen.splitlines():
        match = _PIN.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"pip froze something that is no plain pin: {line!r}")
        pins.append(f"{match['name']}=={match['version']}\n")
    return f"{_HEAD}{''.join(sorted(pins, key=str.casefold))}\n{_BLOCKS}"


def _main() -> int:
    with tempfile.TemporaryDirectory(prefix="norman-pin-") as folder:
        blocks = Path(folder, "blocks.txt")
        blocks.write_text(_BLOCKS, encoding="utf-8")
        environment = Path(folder, "venv")
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--constraint", str(blocks)]
        groups = [word for group in _GROUPS for word in ("--group", group)]
        _run([*install, "--upgrade", "pip"])
        _run([*install, "--editable", ".[onnx]", *groups, *sys.argv[1:]])
        freeze = [*pip, "freeze", "--all", "--exclude-editable"]
        frozen = subprocess.run(  # noqa: S603 - our own interpreter
            freeze, check=True, capture_output=True, text=True
        ).stdout
    _TARGET.write_text(render_constraints(frozen), encoding="utf-8")
    return 0


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=_REPOSITORY)  # noqa: S603 - our own interpreter


if __name__ == "__main__":
    sys.exit(_main())
