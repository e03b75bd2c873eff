"""Strict JSON, and dicts into typed dataclasses."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol import rest
from norman_protocol.decoding import decode, dump_json, encode, parse_json
from norman_protocol.errors import RequestInvalid

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back(value: Any) -> None:
    assert parse_json(dump_json(value)) == value
    assert parse_json(bytearray(dump_json(value))) == value


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_anything_is_json_or_refused(data: bytes | str) -> None:
    try:
        value = parse_json(data)
    except RequestInvalid as error:
        assert error.message  # noqa: PT017 - both ends are right; the point is that no third is
    else:
        assert parse_json(dump_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a":-Infinity}',
        "1e999",
        "-1e999",
        "1" + "0" * 400 + ".0",
        "9" * 5000,
        '{"a":1,"a":1}',
        '[{"b":{"a":1,"c":2,"a":3}}]',
        '"\\ud800"',
        '"\\udfff\\ud800"',
        '{"\\uD83D":1}',
        '"\ud800"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "",
        " ",
        "nul",
        "[1,]",
        "{'a':1}",
        "01",
        "+1",
        ".5",
        "0x10",
        '"\t"',
        "1 2",
        "\ufeff1",
        b"\xff",
        b"\x00",
        '"a"'.encode("utf-16"),
        b"\xed\xa0\x80",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_is_not_strict_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RequestInvalid) as caught:
        parse_json(text)
    assert len(caught.value.message) < 200
    dump_json(caught.value.message)


def test_escaped_emoji_are_no_lone_surrogates() -> None:
    assert parse_json('["\\ud83d\\ude00", "\\u00fc"]') == ["😀", "ü"]


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {1}, b"x", 1j, "\ud800", {(1,): 2}]
)
def test_what_json_cannot_say_is_not_written(value: Any) -> None:
    with pytest.raises(RequestInvalid):
        dump_json(value)


def test_a_value_in_a_circle_or_too_deep_is_not_written() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, deep):
        for write in (dump_json, encode):
            with pytest.raises(RequestInvalid):
                write(value)
    while deep:  # taken apart by hand: a deep list must not be freed by recursion either
        deep = deep.pop()


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    digest: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: str
    ratio: float = 1.0
    ready: bool = False
    state: Literal["on", "off"] = "on"
    colour: Colour = Colour.RED
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    names: list[str] = field(default_factory=list)
    by_name: dict[str, Leaf] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int | str | None, ...] | None = None
    children: tuple[Tree, ...] = ()
    anything: Any = None


LEAVES = st.builds(Leaf, digest=st.text(), size_bytes=st.integers(-(1 << 63), (1 << 63) - 1))
TREES = st.recursive(
    st.builds(
        Tree,
        name=st.text(),
        ratio=st.floats(allow_nan=False, allow_infinity=False),
        ready=st.booleans(),
        state=st.sampled_from(["on", "off"]),
        colour=st.sampled_from(Colour),
        leaf=st.none() | LEAVES,
        leaves=st.lists(LEAVES, max_size=3).map(tuple),
        names=st.lists(st.text(), max_size=3),
        by_name=st.dictionaries(st.text(), LEAVES, max_size=3),
        facts=st.dictionaries(st.text(), JSON, max_size=3),
        shape=st.none()
        | st.lists(st.none() | st.text() | st.integers(0, 9), max_size=3).map(tuple),
        anything=JSON,
    ),
    lambda trees: st.builds(Tree, name=st.text(), children=st.lists(trees, max_size=3).map(tuple)),
    max_leaves=4,
)


@given(TREES)
def test_dataclasses_come_back_through_json(tree: Tree) -> None:
    assert decode(Tree, parse_json(dump_json(encode(tree)))) == tree


@given(JSON, st.booleans())
def test_any_json_is_decoded_or_refused(value: Any, tolerant: bool) -> None:
    for body in (value, {"name": "x", "leaf": value}, {"name": "x", "children": [value]}):
        try:
            tree = decode(Tree, body, tolerant=tolerant)
        except RequestInvalid as error:
            dump_json(encode({"message": error.message, "details": error.details}))
        else:
            assert isinstance(tree, Tree)


@pytest.mark.parametrize(
    ("body", "field_name", "words"),
    [
        ([], "", "The body must be an object, not []"),
        (None, "", "The body must be an object, not None"),
        ({}, "name", "name is missing"),
        ({"name": 7}, "name", "must be text, not 7"),
        ({"name": "x", "ratio": "1"}, "ratio", "must be a number"),
        ({"name": "x", "ratio": True}, "ratio", "must be a number"),
        ({"name": "x", "ratio": 10**400}, "ratio", "must be a number"),
        ({"name": "x", "ready": 1}, "ready", "true or false"),
        ({"name": "x", "state": "away"}, "state", "one of on, off"),
        ({"name": "x", "state": ["on"]}, "state", "one of on, off"),
        ({"name": "x", "colour": "RED"}, "colour", "one of red, blue"),
        ({"name": "x", "colour": ["red"]}, "colour", "one of red, blue"),
        ({"name": "x", "leaf": {"digest": "d", "size_bytes": 1.0}}, "leaf.size_bytes", "integer"),
        ({"name": "x", "leaf": {"digest": "d", "size_bytes": True}}, "leaf.size_bytes", "integer"),
        ({"name": "x", "leaf": {"digest": "d", "size_bytes": 1 << 63}}, "leaf.size_bytes", "64 b"),
        ({"name": "x", "leaves": {}}, "leaves", "a list"),
        ({"name": "x", "leaves": [{"digest": "d"}, {}]}, "leaves[1].digest", "is missing"),
        ({"name": "x", "names": ["a", None]}, "names[1]", "must be text"),
        ({"name": "x", "by_name": {"k": {}}}, "by_name.k.digest", "is missing"),
        ({"name": "x", "by_name": []}, "by_name", "an object"),
        ({"name": "x", "shape": [1, 1.5]}, "shape[1]", "must be text"),
        ({"name": "x", "children": [{"name": "y", "leaf": 3}]}, "children[0].leaf", "an object"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(body: Any, field_name: str, words: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        decode(Tree, body)
    assert caught.value.field == field_name
    assert words in caught.value.message


def test_integers_are_taken_for_numbers() -> None:
    assert decode(Tree, {"name": "x", "ratio": 2}).ratio == 2.0
    assert type(decode(Tree, {"name": "x", "ratio": 2}).ratio) is float


def test_unknown_keys_are_refused_with_the_nearest_known_ones() -> None:
    with pytest.raises(RequestInvalid) as caught:
        decode(Tree, {"name": "x", "children": [{"name": "y", "colours": "red"}]})
    assert caught.value.field == "children[0].colours"
    assert caught.value.nearest == ["colour"]
    assert "Did you mean colour?" in caught.value.message


def test_unknown_keys_are_passed_over_where_that_is_asked_for() -> None:
    body = {"name": "x", "future": 1, "leaf": {"digest": "d", "future": 2}}
    assert decode(Tree, body, tolerant=True) == Tree(name="x", leaf=Leaf(digest="d"))


def test_fields_from_elsewhere_join_in_and_are_not_missing() -> None:
    assert decode(Leaf, {"size_bytes": 3}, digest="d") == Leaf(digest="d", size_bytes=3)


@pytest.mark.parametrize("tolerant", [False, True])
def test_long_and_deep_strangers_make_short_messages(tolerant: bool) -> None:
    deep: Any = "x" * 10_000
    for _ in range(900):
        deep = {"name": [deep] * 2}
    for body in (
        {"x" * 100_000: 1},
        {"name": deep},
        {"name": "x", "by_name": {"y" * 100_000: {}}},
        {"name": ["z"] * 100_000},
    ):
        with pytest.raises(RequestInvalid) as caught:
            decode(Tree, body, tolerant=tolerant)
        assert len(caught.value.message) < 500
        assert len(caught.value.field) <= 300


def test_every_rest_body_can_be_decoded() -> None:
    for name in rest.__all__:
        cls = getattr(rest, name)
        if isinstance(cls, type):
            with pytest.raises(RequestInvalid, match="surely_unknown"):
                decode(cls, {"surely_unknown": 1})
            with pytest.raises(RequestInvalid):
                decode(cls, [])


def test_requests_say_where_a_manifest_is_wrong() -> None:
    body = {"manifest": {"files": [{"path": "a", "digest": 1, "size_bytes": 0}]}}
    with pytest.raises(RequestInvalid) as caught:
        decode(rest.PublishRequest, body)
    assert caught.value.field == "manifest.files[0].digest"
