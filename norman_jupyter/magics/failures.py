"""How an error looks in a cell: one clear line, and the model's own traceback where it has one."""

from __future__ import annotations

from norman_jupyter.previews.text import plain, shorten
from norman_protocol.errors import LoadFailed, ModelFailed, NormanError, OutputInvalid, ReplicaDied

__all__ = ["describe_error", "show_as"]

_TRACEBACK_CHARACTERS = 20_000
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
    lines = [plain(" ".join([f"{type(error).__name__}: {error.message}", *notes]))]
    if isinstance(error, (ModelFailed, LoadFailed)) and error.traceback.strip():
        lines += ["", _end(error.traceback, _TRACEBACK_CHARACTERS)]
    logs = _logs(error)
    if logs.strip():
        lines += ["", "logs:", _end(logs, _LOG_CHARACTERS, _LOG_LINES)]
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


def _end(text: str, characters: int, lines: int = 1_000_000) -> str:
    return shorten(text.strip("\n"), characters=characters, lines=lines, from_end=True)
