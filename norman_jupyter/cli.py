"""``norman`` in a shell: ``serve`` starts the server, ``doctor`` and ``restore`` look after it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

__all__ = ["main"]

_HELP = """\
usage: norman serve [OPTION]…
       norman doctor [--repair] [--deep] [--json] [--home FOLDER]
       norman restore [--list] [BACKUP] [--home FOLDER]
       norman --version
       norman --help

From a notebook cell to a versioned, isolated, monitored model service.

commands:
  serve      start a Jupyter server with Norman and without JupyterLab;
             options go to it as they are (norman serve --help lists them)
  doctor     check that everything that the server keeps fits together, and mend what is safe;
             exits with 0 where all is well, 1 where something isn't, 2 where it couldn't be told
  restore    put the newest sound backup in the place of a damaged database

In a notebook, %load_ext norman_jupyter and %norman --help tell the rest."""

_VERBS = ("serve", "doctor", "restore", "--version", "--help")
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
    if verb == "doctor" and not {"--home", "--help", "-h"} & {one.split("=")[0] for one in rest}:
        status = _ask_server(rest)
        if status is not None:
            return status
    if verb in ("doctor", "restore"):
        rest = [verb, *rest]
    if verb in ("serve", "doctor", "restore"):
        # The server takes this process's place: signals and the exit status are its own.
        sys.stdout.flush()
        execute(sys.executable, [sys.executable, "-m", _SERVER, *rest])
        return 0
    nearest = get_close_matches(verb, _VERBS, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]}?" if nearest else "norman --help lists the commands."
    sys.stderr.write(f"norman: there is no command {verb[:60]!r}. {hint}\n")
    return 2


def _ask_server(options: Sequence[str]) -> int | None:
    """Have the running server examine its home; None where there is none, or it can't."""
    from norman_jupyter.client.blocking import BlockingNorman
    from norman_protocol.decoding import dump_json, encode
    from norman_protocol.errors import ExecutorUnavailable, ServerNotFound

    if set(options) - {"--repair", "--deep", "--json"}:
        return None  # what is wrong with them, the command itself says
    try:
        with BlockingNorman() as client:
            report = client.doctor(repair="--repair" in options, deep="--deep" in options)
    except (ServerNotFound, ExecutorUnavailable):
        return None
    if "--json" in options:
        sys.stdout.write(dump_json(encode(report)).decode() + "\n")
    else:
        from norman_jupyter.previews.upkeep import render_doctor

        sys.stdout.write(render_doctor(report)["text/plain"] + "\n")
    return int(report.needs_care)
