from __future__ import annotations

import pytest

from tools.demo.__main__ import main, split_arguments


def test_words_after_two_dashes_are_the_servers():
    words = ["lab", "--home", "x", "--", "--port=1", "--", "y"]
    assert split_arguments(words) == (["lab", "--home", "x"], ["--port=1", "--", "y"])
    assert split_arguments(["run"]) == (["run"], ())


def test_misspelt_option_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--hoem", "x"])
    assert stopped.value.code == 2
    assert "--hoem" in capsys.readouterr().err


def test_folder_of_something_else_is_told_and_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["run", "--home", str(tmp_path)]) == 1
    assert "another folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()
