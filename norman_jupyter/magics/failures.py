"""How an error looks in a cell: one clear line, and the model's own traceback where it has one."""

from __future__ import annotations

from norman_jupyter.previews.text import shorten, shorten_middle
from norman_protocol.errors import LoadFailed, ModelFailed, NormanError, OutputInvalid, ReplicaDied

__all__ = ["describe_error", "show_as"]

_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 8_000
_LOG_CHARACTERS = 4_000
_LOG_LINES = 40


def describe_error(error: NormanError) -> list[str]:
    """Return what a person is shown of an error.

    Its message and its notes make one line; a model's traceback and what it wrote follow.
    Nothing of our own code is in it.

    Examples
    --------
    >>> from norman_protocol.errors import ModelNotFound
    >>> describe_error(ModelNotFound("There is no model 'digit'. Did you mean 'digits'?"))
    ["ModelNotFound: There is no model 'digit'. Did you mean 'digits'?"]
    """
    notes: list[str] = getattr(error, "__notes__", [])
    message = " ".join([f"{type(error).__name__}: {error.message}", *notes])
    lines = [shorten_middle(message, characters=_MESSAGE_CHARACTERS)]
    if isinstance(error, (ModelFailed, LoadFailed)) and error.traceback.strip():
        traceback = error.traceback.strip("\n")
        lines += ["", shorten_middle(traceback, characters=_TRACEBACK_CHARACTERS)]
    logs = _logs(error).strip("\n")
    if logs.strip():
        end = shorten(logs, characters=_LOG_CHARACTERS, lines=_LOG_LINES, from_end=True)
        lines += ["", "logs:", end]
    return lines


def show_as(error: BaseException, lines: list[str]) -> None:
    """Make IPython show these lines where it would show the error's traceback.

    The error stays the same object: ``except`` clauses and tools that run notebooks see it.
    """
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]  # the hook of IPython


def _logs(error: NormanError) -> str:
    if isinstance(error, (ModelFailed, OutputInvalid)):
        return error.logs
    if isinstance(error, (LoadFailed, ReplicaDied)):
        return error.log
    return ""
