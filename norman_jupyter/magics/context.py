"""What commands work with, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from norman_jupyter.magics.bindings import Namespace
from norman_jupyter.magics.connection import ClientHolder
from norman_jupyter.magics.live import UploadDisplay
from norman_jupyter.magics.notebook import Notebook
from norman_jupyter.magics.parsing import Arguments

if TYPE_CHECKING:
    from norman_protocol.rest import Origin

__all__ = ["Context", "DisplayMaker", "Outcome", "Runner"]


class DisplayMaker(Protocol):
    """Opens the display of a transfer."""

    def __call__(self, subject: str) -> UploadDisplay:
        """Return the display of a transfer of ``subject``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What commands work with.

    Attributes
    ----------
    connection
        The client of this shell.
    namespace
        The notebook's variables.
    display_upload
        Opens the display of an upload or a download.
    collect_origin
        Says where an upload from a path comes from.
    confirm
        Asks a question and returns whether the answer is yes; None where nobody can be asked.
    notebook
        What may be done to the notebook; None outside of one.
    """

    connection: ClientHolder
    namespace: Namespace
    display_upload: DisplayMaker
    collect_origin: Callable[[Path], Origin]
    confirm: Callable[[str], bool | None]
    notebook: Notebook | None = None

    @property
    def body(self) -> str | None:
        """What stands below the line, in a cell that began with ``%%norman``."""
        return None if self.notebook is None else self.notebook.body

    def remember(self, value: Any) -> None:
        """Make something the notebook's last result."""
        if self.notebook is not None:
            self.notebook.remember(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command returns, and whether the cell shows it already."""

    value: Any
    is_shown: bool = False


Runner = Callable[[Arguments, Context], Outcome]
