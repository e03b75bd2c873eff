"""``norman`` in a shell: ``norman serve`` starts the server without JupyterLab."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

__all__ = ["main"]

_HELP = """\
usage: norman serve [OPTION]…
       norman --version
       norman --help

From a notebook cell to a versioned, isolated, monitored model service.

commands:
  serve      start a Jupyter server with Norman and without JupyterLab;
             options go to it as they are (norman serve --help lists them)

In a notebook, %load_ext norman_jupyter and %norman --help tell the rest."""

_VERBS = ("serve", "--version", "--help")
_SERVER = "norman_server"


def main(
    arguments: Sequence[str] | None = None,
    execute: Callable[[str, list[str]], object] = os.execv,
) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of this process.
    execute
        Replaces this process by a program: its path, and its arguments from the 0th on.

    Examples
    --------
    >>> main(["--help"])  # doctest: +ELLIPSIS
    usage: norman serve [OPTION]…
    ...
    0
    """
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if verb in ("", "--help", "-h", "help"):
        sys.stdout.write(_HELP + "\n")
        return 0 if verb else 2
    if verb in ("--version", "-V"):
        from importlib.metadata import version

        sys.stdout.write(f"norman {version('norman-jupyter')}\n")
        return 0
    if verb == "serve":
        # The server takes this process's place: signals and the exit status are its own.
        sys.stdout.flush()
        execute(sys.executable, [sys.executable, "-m", _SERVER, *rest])
        return 0
    nearest = get_close_matches(verb, _VERBS, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]}?" if nearest else "norman --help lists the commands."
    sys.stderr.write(f"norman: there is no command {verb[:60]!r}. {hint}\n")
    return 2
