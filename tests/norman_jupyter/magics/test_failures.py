"""What a person is shown of an error."""

from __future__ import annotations

import pickle

from norman_jupyter.magics.failures import describe_error, show_as
from norman_protocol.errors import InputInvalid, ModelFailed, OutputInvalid, QueueFull, ReplicaDied


def test_message_and_notes_make_one_line():
    error = InputInvalid("Input 'x' takes text.", input="x")
    error.add_note("Did you mean y?")
    assert describe_error(error) == ["InputInvalid: Input 'x' takes text. Did you mean y?"]


def test_logs_follow_where_the_error_has_some():
    assert describe_error(OutputInvalid("Bad.", logs="a\nb\n"))[-1] == "a\nb"
    assert (
        describe_error(ReplicaDied("Died.", log="Segmentation fault"))[-1] == "Segmentation fault"
    )
    assert len(describe_error(QueueFull("Busy."))) == 1


def test_traceback_comes_before_the_logs_without_control_characters():
    lines = describe_error(ModelFailed("m", traceback="\n  File x\x07\n", logs="\x1b[1mlog\x1b[0m"))
    assert lines == ["ModelFailed: m", "", "  File x\ufffd", "", "logs:", "log"]


def test_huge_traceback_keeps_both_its_ends_and_a_log_its_last():
    lines = describe_error(
        ModelFailed("m", traceback="BEGIN" + "a" * 10**6 + "END", logs="b\n" * 10**5 + "LAST")
    )
    assert sum(map(len, lines)) < 15_000
    assert any(line.startswith("BEGIN") and line.endswith("END") for line in lines)
    assert any("[… 992,008 characters left out …]" in line for line in lines)
    assert lines[-1].endswith("LAST")


def test_huge_message_keeps_both_its_ends():
    (line,) = describe_error(InputInvalid("BEGIN" + "x" * 100_000 + "END"))
    assert line.startswith("InputInvalid: BEGIN")
    assert line.endswith("END")
    assert len(line) < 5000


def test_shown_error_is_still_the_error():
    error = InputInvalid("no", input="x")
    show_as(error, ["one line"])
    assert error._render_traceback_() == ["one line"]
    assert pickle.loads(pickle.dumps(error)).input == "x"
