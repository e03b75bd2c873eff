"""Lines cut into words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_jupyter.magics.words import Word, fragment_start, split_words
from norman_protocol.errors import RequestInvalid


def texts(line: str) -> list[str]:
    return [word.text for word in split_words(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("   ", []),
        ("upload ./model --name digits", ["upload", "./model", "--name", "digits"]),
        ("\tinvoke  digits ", ["invoke", "digits"]),
        ("x=[1, 2, 3] y=1", ["x=[1, 2, 3]", "y=1"]),
        ("x=([1, 2], (3, 4))", ["x=([1, 2], (3, 4))"]),
        ("x={df.values[0, 1]}", ["x={df.values[0, 1]}"]),
        ("x={'a }': [1]}", ["x={'a }': [1]}"]),
        ("x=['a ] b', 2]", ["x=['a ] b', 2]"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("text='it\\'s'", ["text=it's"]),
        ('say="a\\tb\\nc"', ["say=a\tb\nc"]),
        ('p="\\d+\\."', ["p=\\d+\\."]),
        ('p="\\x41\\u00e9\\U0001f600"', ["p=Aé😀"]),
        ("my\\ model.onnx", ["my model.onnx"]),
        ("C:\\models\\new", ["C:\\models\\new"]),
        ("smile=:\\)", ["smile=:)"]),
        ("it\\'s", ["it's"]),
        ("a'b c'd", ["ab cd"]),
        ("''", [""]),
        ("model\\", ["model\\"]),
        ("x=[\n1,\n2]", ["x=[\n1,\n2]"]),
    ],
)
def test_words_hold_together(line, expected):
    assert texts(line) == expected


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("invoke digits x=[1, 2", 17, "'[' is never closed"),
        ("invoke digits x='abc", 17, '"\'" is never closed'),
        ('say "abc\\"', 5, "is never closed"),
        ("x={a(1}", 5, "'(' is closed by '}'"),
        ("x=1]", 4, "']' was never opened"),
        ("don't", 4, "is never closed"),
        ("[" * 50, 50, "'[' is never closed"),
    ],
)
def test_unbalanced_line_names_the_column(line, column, what):
    with pytest.raises(RequestInvalid) as caught:
        split_words(line)
    assert caught.value.message.startswith(f"Column {column}: ")
    assert what in caught.value.message
    assert "\n" not in caught.value.message


def test_message_of_an_unbalanced_line_stays_short():
    with pytest.raises(RequestInvalid) as caught:
        split_words("x='" + "a" * 100_000)
    assert len(caught.value.message) < 300


def test_columns_and_raw_text_point_into_the_line():
    line = "  invoke  x='a b'"
    assert [(word.column, word.raw) for word in split_words(line)] == [
        (2, "invoke"),
        (10, "x='a b'"),
    ]


def test_partition_cuts_at_the_first_separator_outside_quotes():
    (word,) = split_words("image=@'a=b.png'")
    name, value = word.partition("=")
    assert (name, value.text, value.raw) == ("image", "@a=b.png", "@'a=b.png'")
    assert value.column == 6


@pytest.mark.parametrize(
    "line", ["'Input Image'={img}", "Input\\ Image={img}", "Input' Image'={img}"]
)
def test_name_before_the_separator_may_be_quoted(line):
    (word,) = split_words(line)
    name, value = word.partition("=")
    assert (name, value.raw, value.expression) == ("Input Image", "{img}", "img")
    assert line[value.column :] == "{img}"
    (empty,) = split_words("'a b'=")
    assert empty.partition("=") == ("a b", Word(raw="", column=6, pieces=()))


@pytest.mark.parametrize("line", ["abc", "'a=b'", "{a=b}", "'a'"])
def test_partition_finds_no_name_where_there_is_none(line):
    (word,) = split_words(line)
    assert word.partition("=") is None


def test_quotes_around_the_whole_word_are_known_from_quotes_within():
    whole, part, empty = split_words("'a' a'b' ''")
    assert (whole.is_quoted, part.is_quoted, empty.is_quoted) == (True, False, True)


def test_expression_is_known_alone_and_within_a_word():
    alone, within = split_words("{a + 1} runs/{n}")
    assert alone.expression == "a + 1"
    assert within.expression is None
    assert [piece.kind for piece in within.pieces] == ["plain", "expression"]


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("invoke di", "di"),
        ("invoke ", ""),
        ("", ""),
        ("upload 'my fol", "'my fol"),
        ("upload my\\ fol", "my\\ fol"),
        ("invoke digits x={np.ones((2, ", "x={np.ones((2, "),
        ("invoke digits x=[1)", "x=[1)"),
    ],
)
def test_fragment_is_the_unfinished_word(line, fragment):
    assert line[fragment_start(line) :] == fragment


@given(st.text(max_size=60))
def test_any_line_is_cut_or_refused_and_nothing_is_lost(line):
    start = fragment_start(line)
    assert 0 <= start <= len(line)
    try:
        words = split_words(line)
    except RequestInvalid:
        return
    assert "".join(word.raw for word in words) == "".join(
        line[word.column : word.column + len(word.raw)] for word in words
    )
    covered = {i for word in words for i in range(word.column, word.column + len(word.raw))}
    assert all(line[i].isspace() for i in range(len(line)) if i not in covered)


@given(st.text(alphabet="ab '\"\\\n\t{}[]é", max_size=30))
def test_a_quoted_repr_reads_back_as_the_text(text):
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    (word,) = split_words(quoted)
    assert word.is_quoted
    assert word.text == text
