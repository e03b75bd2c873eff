"""Errors in a shell: one line with the next step, and the exit status that says of what kind."""

from __future__ import annotations

from typing import Final

from norman_protocol.errors import (
    LoadFailed,
    ModelFailed,
    NameInvalid,
    NormanError,
    RequestInvalid,
)

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "PIPE_CLOSED",
    "UNDECIDED",
    "WRONG_USE",
    "error_line",
    "exit_status",
    "in_shell",
]

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
UNDECIDED: Final = 2
"""Of an examination that couldn't be made, as `norman_server.maintenance` has it."""

CANCELLED: Final = 130
PIPE_CLOSED: Final = 141
"""As a program that the signal PIPE ended: 128 and its number."""

_WORDS: Final = (
    ("%norman ", "norman "),
    ("pass Norman(url=…, token=…)", "give --url URL --token-env NAME"),
    ("token: Norman(url=…, token=…), or", "token: --token-env NAME, or"),
    ("pass Norman(url=…)", "give --url URL"),
)
"""What our own texts tell a notebook to do, and what does the same in a shell."""


def in_shell(text: str) -> str:
    """Return one of our own texts with the commands as a shell has them.

    Examples
    --------
    >>> in_shell("List the models with: %norman models")
    'List the models with: norman models'
    >>> in_shell("Pass the server's token: Norman(url=…, token=…), or NORMAN_TOKEN.")
    "Pass the server's token: --token-env NAME, or NORMAN_TOKEN."
    """
    for in_notebook, instead in _WORDS:
        text = text.replace(in_notebook, instead)
    return text


def error_line(error: NormanError) -> str:
    r"""Return an error with its notes as one line.

    Examples
    --------
    >>> from norman_protocol.errors import ModelNotFound
    >>> error_line(ModelNotFound("There is no model 'digit'.\nList them with: %norman models"))
    "There is no model 'digit'. List them with: norman models"
    """
    notes: list[str] = getattr(error, "__notes__", [])
    if isinstance(error, (ModelFailed, LoadFailed)) and error.traceback.strip():
        notes = [*notes, "--debug shows the model's own traceback."]
    return in_shell(" ".join(" ".join([error.message, *notes]).split()))


def exit_status(error: NormanError) -> int:
    """Return what an error ends the program with.

    Examples
    --------
    >>> exit_status(RequestInvalid("--limit takes a whole number from 1 on, not 0."))
    2
    """
    return WRONG_USE if isinstance(error, (RequestInvalid, NameInvalid)) else FAILED
