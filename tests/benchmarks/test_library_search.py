"""The benchmark of the library's search asks what it says, of what it made."""

from __future__ import annotations

from benchmarks.library_search import main


def test_every_question_is_asked_of_a_small_library(capsys):
    assert main(["--models", "60", "--versions", "2", "--rounds", "2", "--limit-ms", "60000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line[:14].strip(): int(line[14:].split()[0]) for line in lines[1:]}
    assert found["first page"] == 50
    assert found["a name"] == 1
    assert found["a common word"] > 1
    assert found["nothing"] == 0


def test_a_question_over_the_limit_fails_the_run(capsys):
    arguments = ["--models", "3", "--versions", "1", "--rounds", "2", "--limit-ms", "0"]
    assert main(arguments) == 1
    assert "first page" in capsys.readouterr().out
