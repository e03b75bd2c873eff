from __future__ import annotations

import pytest

from norman_jupyter.client.effects import Body, HttpAnswer
from norman_jupyter.client.rest import (
    get_request,
    invoke_request,
    model_path,
    raise_for_error,
    read_answer,
    read_message,
    version_path,
)
from norman_protocol import errors
from norman_protocol.decoding import dump_json
from norman_protocol.frames import join_frame
from norman_protocol.messages import Invoke, Result, Timings, decode_message, encode_message
from norman_protocol.references import Reference
from norman_protocol.rest import FRAME_MEDIA_TYPE, ModelPage
from norman_protocol.values import Value

URL = "http://host/norman/api/v1/status"


def answer(status: int = 200, body: bytes = b"", media_type: str = "", **more: str) -> HttpAnswer:
    return HttpAnswer(url=URL, status=status, media_type=media_type, body=body, **more)


def test_names_are_quoted_into_paths() -> None:
    assert model_path("größe") == "models/gr%C3%B6%C3%9Fe"
    assert version_path(Reference(name="a.b", selector="latest")) == "models/a.b/versions/latest"


def test_query_leaves_out_what_is_not_given() -> None:
    assert get_request("models", search="ä&b", cursor=None).path == "models?search=%C3%A4%26b"
    assert get_request("models", search=None).path == "models"


@pytest.mark.parametrize("size_bytes", [10, 5 << 20])
def test_call_travels_as_one_frame(size_bytes: int) -> None:
    value = Value(kind="bytes", buffer=bytes(range(256)) * (size_bytes // 256) + b"end")
    request = invoke_request(
        Invoke(id="1", reference="m", values={"x": value}), answer_timeout_s=5.0
    )
    body = request.body
    if isinstance(body, Body):
        pieces = list(body.open())
        assert max(map(len, pieces)) <= 1 << 20
        assert sum(map(len, pieces)) == body.size_bytes
        body = b"".join(pieces)
    assert request.media_type == request.accept == FRAME_MEDIA_TYPE
    assert b"".join(encode_message(decode_message_of(body))) == body


def decode_message_of(body: bytes) -> Invoke:
    from norman_protocol.frames import decode_frame

    message = decode_message(decode_frame(body))
    assert isinstance(message, Invoke)
    return message


def test_error_of_the_server_is_rebuilt_with_its_facts() -> None:
    body = dump_json(
        {
            "code": "model_not_found",
            "message": "no",
            "request_id": "r",
            "details": {"name": "a", "nearest": ["b"], "unknown": 1},
        }
    )
    with pytest.raises(errors.ModelNotFound) as caught:
        raise_for_error(answer(404, body))
    assert (caught.value.nearest, caught.value.request_id) == (["b"], "r")


def test_code_of_a_newer_server_is_kept() -> None:
    body = dump_json({"code": "quota_used_up", "message": "no"})
    with pytest.raises(errors.NormanError) as caught:
        raise_for_error(answer(429, body))
    assert caught.value.code == "quota_used_up"


@pytest.mark.parametrize(
    ("status", "location", "error"),
    [
        (401, "", errors.Unauthenticated),
        (403, "", errors.Unauthenticated),
        (302, "/hub/login?next=", errors.Unauthenticated),
        (301, "https://host/", errors.ServerNotFound),
        (404, "", errors.ServerNotFound),
        (405, "", errors.ServerNotFound),
        (413, "", errors.PayloadTooLarge),
        (502, "", errors.ExecutorUnavailable),
        (503, "", errors.ExecutorUnavailable),
        (504, "", errors.ExecutorUnavailable),
        (500, "", errors.InternalError),
        (418, "", errors.InternalError),
    ],
)
@pytest.mark.parametrize("body", [b"<html><b>Oops</b></html>", b'{"message": "no"}', b"\xff", b""])
def test_answer_that_no_norman_server_wrote_is_told_by_its_status(
    status: int, location: str, error: type[errors.NormanError], body: bytes
) -> None:
    with pytest.raises(error) as caught:
        raise_for_error(answer(status, body, location=location))
    assert URL in caught.value.message
    assert "<b>" not in caught.value.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": 3}', b"{}", b"[" * 100_000])
def test_success_with_another_body_is_a_violation(body: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="Is it a Norman server"):
        read_answer(ModelPage, answer(200, body))


def test_unknown_keys_of_a_newer_server_are_tolerated() -> None:
    assert read_answer(ModelPage, answer(200, b'{"items": [], "colour": 1}')).items == ()


def test_result_is_read_from_its_frame() -> None:
    result = Result(
        id="1",
        invocation_id="i",
        reference="m@1",
        timings=Timings(),
        values={"y": Value(kind="text", buffer=b"hi")},
    )
    frame = b"".join(encode_message(result))
    read = read_message(answer(200, frame, FRAME_MEDIA_TYPE))
    assert isinstance(read, Result)
    assert bytes(read.values["y"].buffer) == b"hi"


def test_failure_in_a_frame_is_raised() -> None:
    frame = join_frame({"type": "failure", "id": "1", "code": "queue_full", "message": "busy"})
    with pytest.raises(errors.QueueFull):
        read_message(answer(200, frame, FRAME_MEDIA_TYPE))


def test_json_where_a_frame_was_asked_for_is_a_violation() -> None:
    with pytest.raises(errors.ProtocolViolation, match="application/json"):
        read_message(answer(200, b"{}", "application/json"))
