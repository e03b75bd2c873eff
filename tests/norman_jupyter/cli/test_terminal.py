"""What a person at a terminal sees: progress in place, questions, colour; and no control codes."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
import tty

import pytest

_HANG_GUARD_S = 60


class Session:
    """``norman`` with a terminal for each stream, whose output comes back."""

    def __init__(self, norman, *arguments: str, **changes: str) -> None:
        self._terminal, end = pty.openpty()
        tty.setraw(self._terminal)
        self.process = subprocess.Popen(
            [*norman.command, *arguments],
            cwd=norman.folder,
            env={**norman.environment, "TERM": "xterm", **changes},
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        self.shown = b""

    def read_until(self, text: bytes) -> None:
        while text not in self.shown:
            assert self._read(), self.shown

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._terminal)
        return self.process.wait(_HANG_GUARD_S)

    def _read(self) -> bool:
        deadline = time.monotonic() + _HANG_GUARD_S
        ready, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
        assert ready, f"nothing came: {self.shown!r}"
        try:
            data = os.read(self._terminal, 4096)
        except OSError:  # as Linux says that the other end was closed
            return False
        self.shown += data
        return bool(data)


@pytest.fixture
def session(norman):
    def start(*arguments: str, **changes: str) -> Session:
        return Session(norman, *arguments, **changes)

    return start


def test_upload_shows_its_progress_in_place_and_then_the_version(session, upload):
    name = upload("echo")
    running = session("upload", "echo", "--trust", "--name", name)
    assert running.end() == 0
    assert b"\r\x1b[2K" in running.shown
    assert b"\x1b[" not in running.shown.replace(b"\r\x1b[2K", b"")
    card = running.shown.rpartition(b"\x1b[2K")[2].decode()
    assert f"{name}@1 · ready, active" in card
    assert "text" in card


def test_a_dumb_terminal_gets_lines(session, upload):
    name = upload("echo")
    running = session("upload", "echo", "--trust", "--name", name, TERM="dumb")
    assert running.end() == 0
    assert b"\x1b" not in running.shown


@pytest.mark.parametrize(
    ("answer", "status", "shown"), [("yes\n", 0, b"deleted"), ("\n", 1, b"Nothing was deleted.")]
)
def test_rm_of_a_model_asks(answer, status, shown, session, norman, upload):
    name = upload("echo")
    running = session("rm", name, "--all")
    running.read_until(b"[y/N] ")
    assert name.encode() in running.shown
    running.type(answer)
    assert running.end() == status
    assert shown in running.shown
    assert norman("show", name).returncode == int(status == 0)


def test_ctrl_c_at_a_question_deletes_nothing(session, norman, upload):
    name = upload("echo")
    running = session("rm", name, "--all")
    running.read_until(b"[y/N] ")
    running.process.send_signal(2)
    assert running.end() == 130
    assert norman("show", name).returncode == 0


def test_errors_are_coloured_where_nobody_minds(session):
    for changes, is_coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        running = session("nosuch", **changes)
        assert running.end() == 2
        assert (b"\x1b[1;31mnorman:\x1b[0m " in running.shown) == is_coloured
        assert (b"\x1b" in running.shown) == is_coloured


def test_bytes_are_described_and_never_written(session, norman, upload):
    name = upload("copy")
    (norman.folder / "x.bin").write_bytes(bytes(range(256)))
    running = session("invoke", name, "file=x.bin")
    assert running.end() == 0
    assert b"256 B" in running.shown
    assert b"\x1b" not in running.shown
    assert b"--output output=FILE" in running.shown


def test_a_log_cannot_steer_the_terminal(session, norman, upload):
    name = upload("echo")
    norman.succeed("invoke", name, "text=\x1b]0;owned\x07\x1b[31mred")
    running = session("logs", name)
    assert running.end() == 0
    assert b"echoing red" in running.shown
    assert b"\x1b" not in running.shown


def test_json_on_a_terminal_has_no_control_codes(session, norman, upload):
    name = upload("echo")
    running = session("invoke", name, "text=\x1b[31m\x9b1m", "--json")
    assert running.end() == 0
    assert b"\x1b" not in running.shown
    assert b"\\u009b" in running.shown
