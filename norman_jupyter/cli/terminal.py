"""Standard input, output and errors of this process, and what may be written there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from norman_jupyter.previews.text import plain

__all__ = ["OutputClosed", "OutputFailed", "Terminal"]

_BOLD_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"


class OutputClosed(Exception):
    """Whoever read standard output has gone: nobody wants more of it."""


class OutputFailed(Exception):
    """What is to be written can't be, for the reason given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The three streams, each of which may be a person's terminal, a pipe or a file."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Terminal:
        """Return the streams of this process. One that the shell closed takes everything."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a console of few characters must not end a command
                stream.reconfigure(errors="backslashreplace")
        return cls(
            stdin=_open(sys.stdin),
            stdout=_open(sys.stdout),
            stderr=_open(sys.stderr),
            environ=os.environ,
        )

    @property
    def is_interactive(self) -> bool:
        """Whether a person sees standard output."""
        return self.stdout.isatty()

    @property
    def tells(self) -> bool:
        """Whether a person sees standard error."""
        return self.stderr.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether a person reads a question there, and can answer it."""
        return self.stdin.isatty() and self.stderr.isatty()

    @property
    def moves_cursor(self) -> bool:
        """Whether a line of standard error may be written anew."""
        return self.tells and self.environ.get("TERM") != "dumb"

    def write(self, text: str) -> None:
        """Write text to standard output; without what steers a terminal, where it is one.

        Raises
        ------
        OutputClosed, OutputFailed
            It takes no more.
        """
        with _writing():
            self.stdout.write(plain(text) if self.is_interactive else text)
            self.stdout.flush()

    def write_bytes(self, data: bytes) -> None:
        """Write bytes to standard output, as they are.

        Raises
        ------
        OutputClosed, OutputFailed
            It takes no more.
        """
        with _writing():
            self.stdout.flush()
            self.stdout.buffer.write(data)
            self.stdout.buffer.flush()

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Write a line to standard error; who can't read it misses it."""
        marked = is_error and self.tells and self._has_colour
        begin, end = (_BOLD_RED, _PLAIN) if marked else ("", "")
        line = f"{begin}norman:{end} {plain(text)}\n" if is_error else f"{plain(text)}\n"
        try:
            self.stderr.write(line)
            self.stderr.flush()
        except OSError:
            return  # there is nowhere left to say so

    def ask(self, question: str) -> bool | None:
        """Ask and return whether the answer is yes; None where nobody can be asked."""
        if not self.can_ask:
            return None
        self.stderr.write(f"{plain(question)} [y/N] ")
        self.stderr.flush()
        return self.stdin.readline().strip().lower() in ("y", "yes")

    def forget_output(self) -> None:
        """Let what is still to be written go nowhere, so that the end of the process is quiet."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stdout.fileno())
        os.close(nowhere)

    @property
    def _has_colour(self) -> bool:
        return not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFailed(f"Standard output can't be written: {reason}.") from error


def _open(stream: TextIO | None) -> TextIO:
    if stream is not None:
        return stream
    return open(os.devnull, "r+", encoding="utf-8")  # noqa: PTH123 - for as long as we live
