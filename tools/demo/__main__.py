"""``python -m tools.demo run | lab | serve``: the demo, its JupyterLab, its server alone."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from norman_protocol.errors import NormanError
from tools.demo.home import DemoHome, prepare, server_environment
from tools.demo.run import run_demo
from tools.demo.server import DemoFailed, jupyter_options

__all__ = ["main", "split_arguments"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_NOTEBOOK = _REPOSITORY / "examples" / "quickstart.ipynb"
_HOME = _REPOSITORY / ".demo"


def _serve(module: str, notebook: Path, home: DemoHome, options: Sequence[str]) -> NoReturn:
    prepare(home, fresh=False)
    target = home.notebooks / notebook.name
    if not target.exists():
        shutil.copyfile(notebook, target)
    command = [sys.executable, "-m", module, *jupyter_options(home, options), *options]
    os.execve(sys.executable, command, server_environment(home, os.environ))  # noqa: S606


def split_arguments(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return our own words, and those for the Jupyter server, which stand after ``--``."""
    if "--" not in arguments:
        return arguments, ()
    position = arguments.index("--")
    return arguments[:position], arguments[position + 1 :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description=__doc__,
        epilog="Further options of the Jupyter server come after --.",
    )
    parser.add_argument("command", choices=("run", "lab", "serve"))
    parser.add_argument("--notebook", type=Path, default=_NOTEBOOK)
    parser.add_argument("--home", type=Path, default=_HOME, help="a folder that is the demo's own")
    ours, further = split_arguments(sys.argv[1:] if arguments is None else arguments)
    parsed = parser.parse_args(ours)
    home = DemoHome(root=parsed.home.absolute())
    if parsed.command == "lab":
        options = [f"--LabApp.default_url=/lab/tree/{parsed.notebook.name}", *further]
        _serve("jupyterlab", parsed.notebook, home, options)
    if parsed.command == "serve":
        _serve("norman_server", parsed.notebook, home, further)
    try:
        run_demo(parsed.notebook, home)
    except (DemoFailed, NormanError, FileExistsError) as error:
        sys.stderr.write(f"\nThe demo failed. {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nThe demo was stopped.\n")
        return 130
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended in order, as by Ctrl-C
    sys.exit(main())
