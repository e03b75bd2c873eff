"""What a model prints and logs: into the version's log file, and beside each answer.

The process's own descriptors 1 and 2 are the log file. Python's text streams are replaced for the
life of the process by streams that write there and, during a call, keep a bounded copy. Native
code that writes to the descriptors is in the file alone.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["DEFAULT_LIMIT_BYTES", "Capture"]

DEFAULT_LIMIT_BYTES = 64 * 1024
_STDOUT_FD, _STDERR_FD = 1, 2


class Capture:
    """The bounded copy of what is written during one call. Thread-safe.

    Threads that the model starts write into the call that runs at the moment, or into the log
    file alone between calls.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._streams: list[io.TextIOWrapper] = []
        self._active = False
        self._kept = bytearray()
        self._left_out = 0
        self._trouble: OSError | None = None

    @classmethod
    @contextlib.contextmanager
    def installed(cls) -> Iterator[Capture]:
        """Replace ``sys.stdout`` and ``sys.stderr`` until the end of the block.

        Logging reaches them by itself, from the level INFO on: the standard library's handler of
        last resort is opened to all levels, so that a model's own ``basicConfig`` still counts.
        """
        capture = cls()
        before = sys.stdout, sys.stderr, logging.lastResort, logging.root.level
        sys.stdout = capture.open_stream(_STDOUT_FD)
        sys.stderr = capture.open_stream(_STDERR_FD)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logging.lastResort = handler
        logging.root.setLevel(logging.INFO)
        try:
            yield capture
        finally:
            capture.flush()
            sys.stdout, sys.stderr, logging.lastResort, level = before
            logging.root.setLevel(level)

    def open_stream(self, fd: int) -> io.TextIOWrapper:
        """Return a line-buffered text stream that writes to ``fd`` and is captured."""
        # The tee writes all that it is given, as TextIOWrapper wants of a buffered writer.
        tee: Any = _Tee(fd, self)
        stream: io.TextIOWrapper = io.TextIOWrapper(
            tee,
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        self._streams.append(stream)
        return stream

    def begin(self) -> None:
        """Start the copy for one call."""
        self.flush()
        with self._lock:
            self._active, self._kept, self._left_out, self._trouble = True, bytearray(), 0, None

    def end(self) -> str:
        """End the copy and return it; a cut is said at its end."""
        self.flush()
        with self._lock:
            self._active = False
            kept, left_out, trouble = self._kept, self._left_out, self._trouble
        if not kept and trouble is None:
            return ""
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(kept, final=not left_out)
        if left_out:
            text += f"\n[{left_out} more bytes are left out here; the version's log has them]\n"
        if trouble is not None:
            text += f"\n[the version's log could not be written: {trouble.strerror}]\n"
        return text

    def flush(self) -> None:
        """Write out unfinished lines; a stream that the model closed stays as it is."""
        for stream in self._streams:
            if not stream.closed:
                stream.flush()

    def take(self, data: bytes) -> None:
        """Keep what still fits, where a call runs."""
        with self._lock:
            if self._active:
                room = max(0, self.limit_bytes - len(self._kept))
                self._kept += data[:room]
                self._left_out += max(0, len(data) - room)

    def note_trouble(self, error: OSError) -> None:
        """Remember that the log file couldn't be written, to say it in the captured text."""
        with self._lock:
            self._trouble = error


class _Tee(io.RawIOBase):
    """Bytes to a descriptor that is never closed here, and to a capture."""

    def __init__(self, fd: int, capture: Capture) -> None:
        super().__init__()
        self._fd = fd
        self._capture = capture

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: ReadableBuffer, /) -> int:
        content = bytes(data)
        self._capture.take(content)
        try:
            _write_all(self._fd, content)
        except OSError as error:
            # A full disk must not fail the model's prints: the answer's logs say it instead.
            self._capture.note_trouble(error)
        return len(content)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
