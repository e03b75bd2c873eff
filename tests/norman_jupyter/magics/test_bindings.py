"""Words into values, in the promised order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from norman_jupyter.magics.bindings import (
    Namespace,
    explain_input_error,
    resolve_bindings,
    resolve_number,
    resolve_object,
    resolve_text,
    resolve_value,
)
from norman_jupyter.magics.words import split_words
from norman_protocol.errors import InputInvalid, RequestInvalid

ARRAY = np.arange(6).reshape(2, 3)


@pytest.fixture
def scope(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seven.png").write_bytes(b"png")
    (tmp_path / "my file.txt").write_bytes(b"text")
    (tmp_path / "img").write_bytes(b"a file that a variable hides")
    (tmp_path / "42").write_bytes(b"a file that a literal hides")
    return Namespace.of({"img": ARRAY, "n": 3, "word": "hello", "json": pytest, "a b": 1})


def value(text: str, scope: Namespace):
    (word,) = split_words(text)
    return resolve_value("x", word, scope)


def refused(text: str, scope: Namespace) -> InputInvalid:
    with pytest.raises(InputInvalid) as caught:
        value(text, scope)
    assert "\n" not in caught.value.message
    return caught.value


def test_variable_gives_the_object_itself(scope):
    assert value("img", scope).value is ARRAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", 42),
        ("-1.5e3", -1500.0),
        ("True", True),
        ("None", None),
        ("[1, 2, 3]", [1, 2, 3]),
        ("(1, 'a')", (1, "a")),
        ("{'a': [1]}", {"a": [1]}),
        ("{}", {}),
        ("b'\\x00\\x01'", b"\x00\x01"),
        ("r'\\d+'", "\\d+"),
        ("[True, None]", [True, None]),
    ],
)
def test_python_literal(text, expected, scope):
    binding = value(text, scope)
    assert (binding.source, binding.value) == ("literal", expected)


def test_path_of_a_file(scope):
    assert value("seven.png", scope).value == Path("seven.png")
    assert value("./seven.png", scope).value == Path("seven.png")
    assert value("my\\ file.txt", scope).value == Path("my file.txt")


@pytest.mark.parametrize(
    "text",
    ["hello", "true", "a-b_c", "...", "[draft", "img[0]", "x" * 10_000, "1.2.3", "2024-01-02", "é"],
)
def test_anything_else_is_text(text, scope):
    word = split_words(text.replace("[draft", "\\[draft"))[0]
    binding = resolve_value("x", word, scope)
    assert (binding.source, binding.value) == ("text", text)


def test_empty_value_is_empty_text(scope):
    bindings = resolve_bindings(split_words("text="), scope)
    assert bindings["text"].value == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'img'", "img"),
        ('"42"', "42"),
        ("'seven.png'", "seven.png"),
        ("'{n}'", "{n}"),
        ("'@seven.png'", "@seven.png"),
        ("''", ""),
    ],
)
def test_quotes_force_text(text, expected, scope):
    binding = value(text, scope)
    assert (binding.source, binding.value) == ("quoted", expected)


@pytest.mark.parametrize("text", ["@img", "@'img'", "@{'i' + 'mg'}", "@./img"])
def test_at_forces_a_file(text, scope):
    assert value(text, scope).value == Path("img")


def test_at_takes_a_home_folder(scope, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert value("@~/seven.png", scope).value == tmp_path / "seven.png"
    assert value("~/seven.png", scope).value == tmp_path / "seven.png"


def test_missing_file_names_the_nearest(scope):
    error = refused("@sevn.png", scope)
    assert "sevn.png doesn't exist" in error.message
    assert "Did you mean seven.png?" in error.message
    assert error.input == "x"


def test_file_in_a_missing_folder_names_the_folder(scope):
    assert "There is no folder nowhere" in refused("@nowhere/seven.png", scope).message


def test_folder_is_no_file(scope, tmp_path):
    assert "is a folder" in refused(f"@{tmp_path}", scope).message


@pytest.mark.parametrize("text", ["@" + "x" * 5000, "@a\x00b"])
def test_impossible_path_is_refused(text, scope):
    assert len(refused(text, scope).message) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{n + 1}", 4),
        ("{[n, n]}", [3, 3]),
        ("{ n }", 3),
        ("{n}", 3),
        ("{3}", 3),
        ("{'a'}", "a"),
        ("{{'a': n}}", {"a": 3}),
        ("{'a': n}", {"a": 3}),
        ("{[i * n for i in range(3)]}", [0, 3, 6]),
        ("{word.upper()}", "HELLO"),
        ("{f'{word}!'}", "hello!"),
    ],
)
def test_expression_is_evaluated(text, expected, scope):
    binding = value(text, scope)
    assert (binding.source, binding.value) == ("expression", expected)


def test_expression_within_text_takes_its_place(scope):
    assert value("run-{n}-{word}", scope).value == "run-3-hello"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{1 / 0}", "ZeroDivisionError: division by zero"),
        ("{nowhere}", "NameError: name 'nowhere' is not defined"),
        ("{n +}", "not a Python expression"),
        ("{}x{ }", "not a Python expression"),
        ("{[][0]}", "IndexError: list index out of range"),
        ("run-{nowhere}", "NameError"),
        ("f'{n}'", "Write x={f'{n}'}"),
    ],
)
def test_failing_expression_gets_one_line(text, part, scope):
    assert part in refused(text, scope).message


def test_message_of_an_expression_stays_short(scope):
    assert len(refused("{int('9' * 5000 + 'x')}", scope).message) < 500


def test_interrupt_in_an_expression_is_not_an_input_error(scope):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        value("{stop()}", Namespace.of({"stop": interrupt}))


@pytest.mark.parametrize("text", ["(" * 200 + ")" * 200, "-" * 5000 + "1", "[" * 3000 + "]" * 3000])
def test_literal_too_deep_to_read_is_text(text, scope):
    assert value(text, scope).source in ("text", "literal")


def test_bindings_keep_names_and_order(scope):
    bindings = resolve_bindings(split_words("b=1 a=img ä=x"), scope)
    assert list(bindings) == ["b", "a", "ä"]


@pytest.mark.parametrize("line", ["hello", "=5", "x= 5", "text = hello", "'a=b'"])
def test_word_without_a_name_is_refused(line, scope):
    with pytest.raises(RequestInvalid) as caught:
        resolve_bindings(split_words(line), scope)
    assert "is no KEY=VALUE" in caught.value.message


def test_input_given_twice_is_refused(scope):
    with pytest.raises(InputInvalid, match="'x' is given twice"):
        resolve_bindings(split_words("x=1 x=2"), scope)


def test_number_is_positive_and_finite(scope):
    def number(text):
        return resolve_number(split_words(text)[0], scope, what="--timeout")

    assert (number("5"), number("0.5"), number("{n}"), number("n")) == (5.0, 0.5, 3.0, 3.0)
    for wrong in ("0", "-1", "nan", "inf", "soon", "word", "{None}"):
        with pytest.raises(RequestInvalid, match="--timeout takes a number above zero"):
            number(wrong)


def test_object_and_text_of_a_word(scope):
    path, mixed = split_words("{img} ./{n}/x")
    assert resolve_object(path, scope, what="PATH") is ARRAY
    assert resolve_object(mixed, scope, what="PATH") == "./3/x"
    assert resolve_text(mixed, scope, what="PATH") == "./3/x"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("x=img[0]", "An expression needs braces: x={img[0]}."),
        ("x=word.upper", "x={word.upper}"),
        ("x=imgg", "Did you mean img?"),
        ("x=qqqq", "qqqq was taken as text: no variable or file is called so."),
        ("x=json", "json is a variable here; x='json' sends the text."),
        ("x=[[0]*64]", "An expression needs braces: x={[[0]*64]}."),
        ("x=list(range(n))", "An expression needs braces: x={list(range(n))}."),
        ("x=[i*n for i in range(9)]", "An expression needs braces: x={[i*n for i in"),
    ],
)
def test_refused_input_says_how_its_value_was_read(line, part, scope):
    bindings = resolve_bindings(split_words(line), scope)
    assert part in explain_input_error(InputInvalid("no", input="x"), bindings, scope)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("x=42", 'As text: x="42".'),
        ("x=['a', \"b\\n\"]", 'As text: x="[\'a\', \\"b\\\\n\\"]".'),
        ("x=None", 'As text: x="None".'),
        (f"x={'9' * 100}", "Quotes around the value send it as text."),
        ("x=n", "x={str(n)} sends it as text, x='n' its name."),
        ("x={n}", None),
        ("x=@seven.png", None),
        ("x=word", None),
    ],
)
def test_refused_for_text_says_how_to_send_it_as_text(line, hint, scope):
    bindings = resolve_bindings(split_words(line), scope)
    error = InputInvalid("no", input="x", expected="text", received="an integer")
    assert explain_input_error(error, bindings, scope) == hint


def test_hint_for_text_gives_the_text_back(scope):
    raw = "['a', \"b\\n\"]"
    bindings = resolve_bindings(split_words(f"x={raw}"), scope)
    error = InputInvalid("no", input="x", expected="text")
    hint = explain_input_error(error, bindings, scope)
    again = resolve_bindings(split_words(hint.removeprefix("As text: ").removesuffix(".")), scope)
    assert again["x"].value == raw


@pytest.mark.parametrize("line", ["x=a-b_c", "x=hello", "x=a/b", "x=1.2.3", "x=len"])
def test_text_that_could_be_an_expression_of_strangers_is_text(line, scope):
    bindings = resolve_bindings(split_words(line), scope)
    hint = explain_input_error(InputInvalid("no", input="x"), bindings, scope)
    assert "was taken as text" in hint


@pytest.mark.parametrize("line", ["x=img", "x=3", "x='text'", "x={n}", "x=word", "y=qqqq"])
def test_nothing_is_added_where_the_reading_is_plain(line, scope):
    bindings = resolve_bindings(split_words(line), scope)
    assert explain_input_error(InputInvalid("no", input="x"), bindings, scope) is None


def test_a_device_is_not_said_to_be_missing(scope):
    error = refused("@/dev/null", scope)
    assert "/dev/null is no regular file" in error.message
