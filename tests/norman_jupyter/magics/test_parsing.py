"""Words read as commands and options, and the help made of the same table."""

from __future__ import annotations

import pytest

from norman_jupyter.magics.commands import RUNNERS
from norman_jupyter.magics.manual import command_help, overview
from norman_jupyter.magics.options import COMMANDS, find_command
from norman_jupyter.magics.parsing import parse
from norman_jupyter.magics.words import split_words
from norman_protocol.errors import RequestInvalid


def read(line: str):
    return parse(split_words(line))


def refused(line: str) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        read(line)
    assert "\n" not in caught.value.message
    return caught.value


def test_every_command_of_the_table_runs_and_no_other():
    assert set(RUNNERS) == {command.name for command in COMMANDS}


def test_upload_takes_all_its_options_in_any_order():
    arguments = read(
        "upload --trust ./model --name digits --tag a --tag=b --description 'two words' "
        "--version-label v1 --no-activate"
    )
    assert [word.text for word in arguments.positionals] == ["./model"]
    assert arguments.flags == {"--trust", "--no-activate"}
    assert arguments.option("--name").text == "digits"
    assert arguments.option("--description").text == "two words"
    assert arguments.option("--version-label").text == "v1"
    assert [word.text for word in arguments.options["--tag"]] == ["a", "b"]


def test_invoke_takes_any_number_of_values():
    arguments = read("invoke digits a=1 --timeout 5 b=2")
    assert [word.text for word in arguments.positionals] == ["digits", "a=1", "b=2"]
    assert arguments.option("--timeout").text == "5"


def test_negative_value_of_an_option_is_no_option():
    assert read("invoke digits --timeout -1").option("--timeout").text == "-1"


def test_two_dashes_end_the_options():
    assert [word.text for word in read("upload -- --odd").positionals] == ["--odd"]


@pytest.mark.parametrize(
    ("line", "nearest", "shown"),
    [
        ("uplaod ./model", "upload", "'uplaod'"),
        ("model", "models", "'model'"),
        ("upload ./m --nmae x", "--name", "--nmae"),
        ("upload ./m --version-lable x", "--version-label", "--version-lable"),
        ("upload ./m --noactivate", "--no-activate", "--noactivate"),
        ("invoke d --time-out 3", "--timeout", "--time-out"),
    ],
)
def test_wrong_word_names_the_nearest_right_one(line, nearest, shown):
    error = refused(line)
    assert error.nearest[0] == nearest
    assert f"Did you mean {nearest}" in error.message
    assert shown in error.message


def test_word_near_to_nothing_lists_what_there_is():
    known = ", ".join(command.name for command in COMMANDS)
    assert f"There are {known}." in refused("xyzzy").message
    assert "--search" in refused("models --qqqqqqq").message


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("invoke", "REF is missing"),
        ("show", "Usage: %norman show REF"),
        ("upload a b", "Unexpected 'b' at column 10"),
        ("status now", "Unexpected 'now'"),
        ("upload a --name", "--name needs a value"),
        ("upload a --name --trust", "--name needs a value"),
        ("upload a --name x --name y", "--name is given twice"),
        ("upload a --trust=yes", "--trust takes no value"),
    ],
)
def test_wrong_use_gets_one_line(line, part):
    assert part in refused(line).message


@pytest.mark.parametrize("line", ["", "--help", "-h", "help"])
def test_help_of_the_whole(line):
    arguments = read(line)
    assert arguments.wants_help
    assert arguments.command is None


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_each_command_names_everything_it_takes(command):
    arguments = read(f"{command.name} --help")
    assert arguments.wants_help
    assert arguments.command is command
    text = command_help(command)
    assert text.startswith(f"usage: %norman {command.name}")
    for part in (*command.positionals, *command.options):
        assert part.name in text
        assert part.help in text
    assert all(example in text for example in command.examples)
    assert f"  {command.name} " in overview()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_of_the_help_are_right_lines(command):
    for example in command.examples:
        arguments = read(example.partition("%norman ")[2])
        assert arguments.command is find_command(command.name)
        assert not arguments.wants_help


def test_help_wins_over_what_else_is_wrong():
    assert read("upload --help --wrong").wants_help
