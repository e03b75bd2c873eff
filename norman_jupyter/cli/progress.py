"""A transfer on standard error: one line that changes on a terminal, a line per step elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from norman_jupyter.magics.live import UploadDisplay

if TYPE_CHECKING:
    from norman_jupyter.cli.terminal import Terminal
    from norman_jupyter.client.progress import Progress, Stage
    from norman_jupyter.previews.markup import Bundle
    from norman_protocol.rest import VersionDetail

__all__ = ["TransferProgress"]


class TransferProgress(UploadDisplay):
    """Shows how far a transfer is; what came of it is the command's answer."""

    def __init__(self, terminal: Terminal, subject: str) -> None:
        self._lines = _Lines(terminal)
        super().__init__(self._lines, subject)
        self._told: Stage | None = None

    def report(self, progress: Progress) -> None:
        """Take a step of progress; where lines stay, only what begins is told."""
        self._lines.begins = progress.stage != self._told
        self._told = progress.stage
        super().report(progress)
        self._lines.begins = True

    def abandon(self, outcome: str) -> None:
        """Say how far it came, where a line of it stands; why it ended, the error says."""
        if self._lines.is_open:
            super().abandon(outcome)

    def finish(self, version: VersionDetail) -> None:
        """Say what each step took."""
        self.end(version.reference)


class _Lines:
    """Lines of standard error."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.is_open = False
        self.begins = True
        """Whether what comes next is a new step, not the same one further on."""

    def show(self, bundle: Bundle) -> None:
        text = bundle["text/plain"]
        if not self._terminal.moves_cursor:
            if self.begins:
                self._terminal.tell(text)
            return
        # A line that wraps could not be taken back.
        width = max(20, os.get_terminal_size(self._terminal.stderr.fileno()).columns - 1)
        begin = "\r\x1b[2K" if self.is_open else ""
        shown = text if len(text) <= width else f"{text[: width - 1]}…"
        self._terminal.stderr.write(begin + shown)
        self._terminal.stderr.flush()
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self._terminal.stderr.write("\n")
            self._terminal.stderr.flush()
            self.is_open = False
