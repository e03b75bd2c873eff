"""The answer of a command on standard output: as JSON, as text for a person, or plain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from norman_jupyter.cli.failures import in_shell
from norman_jupyter.magics.displays import render
from norman_jupyter.magics.documents import json_document
from norman_jupyter.previews.listings import ShownModel
from norman_protocol.rest import InvocationDetail, LogText, VersionDetail

if TYPE_CHECKING:
    from norman_jupyter.cli.terminal import Terminal

__all__ = ["answer_text", "show_answer", "show_log"]

_OF_USERS = (InvocationDetail, VersionDetail)
"""What these show is of users and models throughout; nothing in it is advice of ours."""


def show_answer(value: Any, terminal: Terminal, *, as_json: bool) -> None:
    """Write what a command gave.

    Raises
    ------
    OutputClosed, OutputFailed
        Standard output takes no more.
    """
    if as_json:
        terminal.write_bytes(json_document(value).encode() + b"\n")
    elif isinstance(value, LogText):
        show_log(value, terminal)
    else:
        terminal.write(answer_text(value) + "\n")


def answer_text(value: Any) -> str:
    """Return an answer as text.

    Examples
    --------
    >>> from norman_protocol.rest import ModelPage
    >>> answer_text(ModelPage(items=()))
    'There are no models here yet. norman upload PATH adds one.'
    """
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, ShownModel):
        parts = [value.model, *([] if value.version is None else [value.version])]
        return "\n\n".join(map(answer_text, parts))
    text = render(value)["text/plain"]
    return text if isinstance(value, _OF_USERS) else in_shell(text)


def show_log(log: LogText, terminal: Terminal) -> None:
    """Write a log whole, and say beside it what can't be seen in it."""
    if log.truncated:
        terminal.tell(f"The log of {log.reference} is longer; this is its end.")
    if not log.text:
        terminal.tell(f"{log.reference} has written nothing.")
        return
    terminal.write(log.text if log.text.endswith("\n") else f"{log.text}\n")
