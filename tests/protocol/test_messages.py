"""Messages: there and back, newer peers, and what a sender can't say."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol import messages
from norman_protocol.errors import (
    ModelFailed,
    ModelNotFound,
    NormanError,
    PayloadTooLarge,
    ProtocolViolation,
    RequestInvalid,
)
from norman_protocol.frames import Frame, decode_frame
from norman_protocol.messages import (
    Accepted,
    Caller,
    Cancel,
    Done,
    Failure,
    Hello,
    Invoke,
    Message,
    Route,
    RouteTarget,
    decode_message,
    encode_message,
    failure_from_error,
)
from norman_protocol.values import Value

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | TEXT,
    lambda parts: st.lists(parts, max_size=2) | st.dictionaries(TEXT, parts, max_size=2),
    max_leaves=4,
)


def strategy_for(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is not None and getattr(origin, "__name__", "") == "Mapping":
        assert arguments[1] is Value
        return st.dictionaries(
            TEXT, st.builds(Value, kind=st.just("text"), buffer=st.binary(max_size=9)), max_size=2
        )
    if kind == dict[str, Any]:
        return st.dictionaries(TEXT, JSON, max_size=2)
    if origin is dict:
        return st.dictionaries(TEXT, strategy_for(arguments[1]), max_size=2)
    if origin is tuple:
        return st.lists(strategy_for(arguments[0]), max_size=2).map(tuple)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if arguments:
        return st.one_of([strategy_for(part) for part in arguments])
    if dataclasses.is_dataclass(kind):
        return build(typing.cast("type[Any]", kind))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(-(1 << 63), (1 << 63) - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        type(None): st.none(),
        Any: JSON,
    }
    return simple[kind] if kind in simple else st.sampled_from(kind)


def build(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(
        cls, **{item.name: strategy_for(hints[item.name]) for item in dataclasses.fields(cls)}
    )


PUBLIC = [getattr(messages, name) for name in messages.__all__]
MESSAGE_CLASSES: list[type[Message]] = sorted(
    (cls for cls in PUBLIC if isinstance(cls, type) and issubclass(cls, Message) and cls.TYPE),
    key=lambda cls: cls.TYPE,
)


@pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda cls: cls.TYPE)
@given(data=st.data())
def test_any_message_comes_back(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(build(cls))
    assert decode_message(decode_frame(b"".join(encode_message(message)))) == message


def test_types_are_named_once() -> None:
    names = [cls.TYPE for cls in MESSAGE_CLASSES]
    assert len(names) == len(set(names)) > 20
    assert "" not in names


def test_keys_of_a_newer_peer_are_passed_over() -> None:
    frame = Frame(
        {
            "type": "invoke",
            "id": "1",
            "reference": "a",
            "priority": 9,
            "caller": {"user": "ada", "team": "x"},
        }
    )
    assert decode_message(frame) == Invoke(id="1", reference="a", caller=Caller(user="ada"))


def test_decoding_leaves_the_frame_as_it_was() -> None:
    header = {"type": "invoke", "id": "1", "reference": "a", "values": {}}
    frame = Frame(dict(header))
    assert decode_message(frame) == decode_message(frame)
    assert frame.header == header


def test_buffers_on_a_message_without_values_are_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="carries no buffers"):
        decode_message(Frame({"type": "cancel", "id": "1"}, [b"x"]))


def test_nested_values_are_decoded_into_their_classes() -> None:
    route = Route(
        id="1",
        name="a",
        versions={"1": RouteTarget(version_id="v", state="ready")},
        aliases={"active": 1},
    )
    back = decode_message(decode_frame(b"".join(encode_message(route))))
    assert isinstance(back, Route)
    assert back.versions["1"].version_id == "v"


def test_buffers_of_values_are_not_copied() -> None:
    data = bytearray(b"abc")
    message = Invoke(id="1", reference="a", values={"x": Value(kind="bytes", buffer=data)})
    assert [piece is data for piece in encode_message(message)].count(True) == 1


def test_defaults_stay_unsaid() -> None:
    assert b"".join(encode_message(Done(id="7"))).endswith(b'{"type":"done","id":"7"}')
    hello = b"".join(encode_message(Hello(oldest_protocol=1, newest_protocol=1, token="t")))
    assert b"role" not in hello


def test_secrets_do_not_stand_in_messages_of_errors() -> None:
    header = {"type": "hello", "oldest_protocol": 1, "newest_protocol": "x", "token": "s3cr3t"}
    with pytest.raises(ProtocolViolation) as caught:
        decode_message(Frame(header))
    assert "s3cr3t" not in caught.value.message
    assert "hello message" in caught.value.message
    assert "newest_protocol" in caught.value.message


@pytest.mark.parametrize("detail", [float("nan"), object(), b"x"])
def test_details_that_json_cannot_say_are_refused_by_the_sender(detail: Any) -> None:
    with pytest.raises(RequestInvalid):
        encode_message(Failure(id="1", code="x", message="", details={"a": detail}))


def test_a_message_with_too_many_values_is_refused_by_the_sender() -> None:
    values = {str(index): Value(kind="bytes") for index in range(4097)}
    with pytest.raises(PayloadTooLarge):
        encode_message(Invoke(id="1", reference="a", values=values))


def test_text_with_lone_surrogates_is_sent_with_question_marks() -> None:
    sent = failure_from_error("1", ModelFailed("no \ud800", exception="ValueError: \udc80"))
    back = decode_message(decode_frame(b"".join(encode_message(sent))))
    assert isinstance(back, Failure)
    assert (back.message, back.details) == ("no ?", {"exception": "ValueError: ?"})


def test_an_error_comes_back_as_its_class_with_its_facts() -> None:
    error = ModelNotFound("There is no model 'digit'.", name="digit", nearest=["digits"])
    back = failure_from_error("9", error)
    assert back.id == "9"
    rebuilt = back.to_error()
    assert type(rebuilt) is ModelNotFound
    assert (rebuilt.name, rebuilt.nearest) == ("digit", ["digits"])


def test_an_error_of_a_newer_peer_keeps_its_code() -> None:
    rebuilt = Failure(id="1", code="quota_exceeded", message="no", details={"limit": 1}).to_error()
    assert type(rebuilt) is NormanError
    assert (rebuilt.code, rebuilt.message, rebuilt.details) == ("quota_exceeded", "no", {})


def test_only_messages_are_messages() -> None:
    for name in ("caller", "timings", "message", ""):
        with pytest.raises(ProtocolViolation, match="no message of this type"):
            decode_message(Frame({"type": name, "user": "x", "id": "1"}))
    assert isinstance(decode_message(Frame({"type": "cancel", "id": "1"})), Cancel)
    assert Accepted.TYPE == "accepted"
