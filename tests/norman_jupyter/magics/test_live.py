"""The display of an upload, with a clock that the test moves."""

from __future__ import annotations

import io

import pytest

from norman_jupyter.client.progress import Progress
from norman_jupyter.magics.live import TerminalSurface, UploadDisplay, progress_line


class Surface:
    def __init__(self):
        self.texts = []
        self.is_closed = False

    def show(self, bundle):
        self.texts.append(bundle["text/plain"])

    def close(self):
        self.is_closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_progress_is_shown_now_and_then_but_each_stage_at_once():
    surface, clock = Surface(), Clock()
    display = UploadDisplay(surface, "./model", clock)
    for done in range(1, 101):
        clock.now += 0.01
        display.report(Progress(stage="hashing", done_bytes=done, total_bytes=100))
    assert 8 <= len(surface.texts) <= 12
    display.report(Progress(stage="sending", done_bytes=0, total_bytes=100))
    assert surface.texts[-1].endswith("./model: sending 0 B of 100 B (0 %)")
    assert surface.texts[-1].startswith("hashed 100 B in ")
    display.abandon("failed")
    assert surface.texts[-1].endswith("./model: failed while sending")
    assert surface.is_closed


def test_stages_are_summed_up():
    surface, clock = Surface(), Clock()
    display = UploadDisplay(surface, "m", clock)
    for stage, seconds in (("hashing", 0.5), ("sending", 1.5), ("loading", 2.0)):
        display.report(Progress(stage=stage, done_bytes=7, total_bytes=7))
        clock.now += seconds
    display.report(Progress(stage="ready"))
    display.abandon("stopped")
    assert surface.texts[-1] == (
        "hashed 7 B in 500 ms · sent 7 B in 1.50 s · loaded 7 B in 2.00 s · m: stopped while ready"
    )


def test_failure_before_any_stage_is_shown():
    surface = Surface()
    UploadDisplay(surface, "m", Clock()).abandon("failed")
    assert surface.texts == ["m: failed"]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(stage="sending", done_bytes=1, total_bytes=3), "sending 1 B of 3 B (33 %)"),
        (Progress(stage="sending", done_bytes=9, total_bytes=3), "sending 9 B of 3 B (100 %)"),
        (Progress(stage="loading", message="loading digits@1"), "loading digits@1"),
        (Progress(stage="loading"), "loading …"),
    ],
)
def test_step_in_words(progress, text):
    assert progress_line(progress) == text


def test_file_gets_lines_and_a_terminal_one_line_that_changes():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, expected in (
        (io.StringIO(), "a\nb\n"),
        (Terminal(), "a\r\x1b[2Kb\n"),
    ):
        surface = TerminalSurface(stream)
        surface.show({"text/plain": "a"})
        surface.show({"text/plain": "b"})
        surface.close()
        surface.close()
        assert stream.getvalue() == expected


def test_what_the_server_has_already_is_not_sent():
    surface, clock = Surface(), Clock()
    display = UploadDisplay(surface, "m", clock)
    display.report(Progress(stage="sending"))
    display.report(Progress(stage="loading"))
    assert surface.texts[-1] == "nothing to send · m: loading …"
