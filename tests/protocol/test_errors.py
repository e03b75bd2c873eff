"""The tree of errors: codes, facts, the wire, and pickles."""

from __future__ import annotations

import inspect
import pickle
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol import errors
from norman_protocol.decoding import dump_json, parse_json
from norman_protocol.errors import NormanError, error_codes, error_from_wire


def tree(cls: type[NormanError] = NormanError) -> list[type[NormanError]]:
    found = []
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            found += [child, *tree(child)]
    return found


CLASSES = tree()
EXAMPLES: dict[str, Any] = {"str": "x", "int": 7, "float": 2.5, "list": ["a"]}


def facts_of(cls: type[NormanError]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in inspect.get_annotations(cls):
        facts[name] = EXAMPLES[type(getattr(cls, name)).__name__]
    return facts


def test_every_class_is_public_and_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes) == len(error_codes())
    assert sorted(codes) == list(error_codes())
    for cls in CLASSES:
        assert cls.__name__ in errors.__all__
        words = "".join(part.capitalize() for part in cls.code.split("_"))
        assert words == cls.__name__


def test_every_fact_has_a_default_of_its_type() -> None:
    for cls in CLASSES:
        hints = typing.get_type_hints(cls)
        for name in inspect.get_annotations(cls):
            assert isinstance(getattr(cls, name), typing.get_origin(hints[name]) or hints[name])


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_code_message_and_facts_come_back_over_the_wire(cls: type[NormanError]) -> None:
    error = cls("What happened.", **facts_of(cls))
    details = parse_json(dump_json(error.details))
    back = error_from_wire(error.code, error.message, details, "request-1")
    assert type(back) is cls
    assert back.message == str(back) == "What happened."
    assert back.details == error.details == facts_of(cls)
    assert back.request_id == "request-1"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_errors_survive_pickling(cls: type[NormanError]) -> None:
    error = cls("What happened.", **facts_of(cls))
    error.request_id = "request-1"
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is cls
    assert (back.message, back.details, back.request_id) == (
        error.message,
        error.details,
        "request-1",
    )


def test_an_unknown_code_survives_pickling() -> None:
    back = pickle.loads(pickle.dumps(error_from_wire("of_the_future", "m", {"a": 1})))
    assert (type(back), back.code, back.message) == (NormanError, "of_the_future", "m")


def test_facts_that_were_not_given_have_their_default_and_are_no_details() -> None:
    error = errors.ModelNotFound("m", name="x")
    assert error.nearest == []
    assert error.details == {"name": "x"}


def test_an_unknown_fact_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError, match="no fact 'nmae'"):
        errors.ModelNotFound("m", nmae="x")
    for name in ("code", "message", "request_id", "details"):
        with pytest.raises(TypeError):
            errors.ModelNotFound("m", **{name: "x"})


@pytest.mark.parametrize(
    ("code", "details"),
    [
        ("queue_full", {"retry_after_s": "soon"}),
        ("queue_full", {"retry_after_s": None}),
        ("queue_full", {"retry_after_s": True}),
        ("model_not_found", {"nearest": "digits"}),
        ("model_not_found", {"name": ["x"], "code": "x", "message": "x", "__class__": "x"}),
        ("payload_too_large", {"size_bytes": 1.5}),
        ("model_failed", {"surely_unknown": 1}),
    ],
)
def test_facts_from_the_wire_that_do_not_fit_are_passed_over(
    code: str, details: dict[str, Any]
) -> None:
    error = error_from_wire(code, "m", details)
    assert error.details == {}
    assert (error.code, error.message) == (code, "m")


def test_a_whole_number_is_taken_for_a_duration() -> None:
    error = error_from_wire("queue_full", "m", {"retry_after_s": 2})
    assert isinstance(error, errors.QueueFull)
    assert error.retry_after_s == 2


@given(
    st.sampled_from(error_codes()) | st.text(max_size=9),
    st.text(max_size=9),
    st.dictionaries(
        st.sampled_from(["name", "nearest", "retry_after_s", "limit_bytes", "args", "x"]),
        st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=2),
    ),
)
def test_anything_from_the_wire_becomes_an_error(
    code: str, message: str, details: dict[str, Any]
) -> None:
    error = error_from_wire(code, message, details)
    assert (error.code, error.message) == (code, message)
    assert error.details.items() <= details.items()


def test_a_class_without_a_code_of_its_own_is_refused() -> None:
    before = error_codes()
    with pytest.raises(TypeError, match="code of its own"):
        type("Copy", (errors.QueueFull,), {"code": "queue_full"})
    with pytest.raises(TypeError, match="code of its own"):
        type("Nameless", (NormanError,), {})
    assert error_codes() == before
    assert type(error_from_wire("queue_full", "m")) is errors.QueueFull
