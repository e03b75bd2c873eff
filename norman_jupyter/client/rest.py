"""The REST API as requests and answers, without I/O."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import NoReturn, TypeVar
from urllib.parse import quote, urlencode

from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest
from norman_protocol.decoding import decode, dump_json, encode, parse_json
from norman_protocol.errors import (
    ExecutorUnavailable,
    InternalError,
    NormanError,
    PayloadTooLarge,
    ProtocolViolation,
    ServerNotFound,
    Unauthenticated,
    error_from_wire,
)
from norman_protocol.frames import Buffer, decode_frame
from norman_protocol.messages import Failure, Invoke, Message, decode_message, encode_message
from norman_protocol.references import Reference
from norman_protocol.rest import FRAME_MEDIA_TYPE, ErrorBody

__all__ = [
    "get_request",
    "invoke_request",
    "json_request",
    "kept",
    "model_path",
    "raise_for_error",
    "read_answer",
    "read_message",
    "version_path",
]

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20
_EXCERPT_CHARACTERS = 200


def get_request(
    path: str, *, answer_timeout_s: float = 60.0, **query: str | float | None
) -> HttpRequest:
    """Build a GET; a query value of None is left out.

    Examples
    --------
    >>> get_request("models", search="a b", cursor=None, limit=5).path
    'models?search=a+b&limit=5'
    """
    given = {key: value for key, value in query.items() if value is not None}
    text = f"?{urlencode(given)}" if given else ""
    return HttpRequest(method="GET", path=path + text, answer_timeout_s=answer_timeout_s)


def json_request(method: str, path: str, body: object) -> HttpRequest:
    """Build a request whose body is a dataclass of `norman_protocol.rest`."""
    return HttpRequest(
        method=method, path=path, body=dump_json(encode(body)), media_type="application/json"
    )


def model_path(name: str) -> str:
    """Return the path of a model."""
    return f"models/{quote(name, safe='')}"


def version_path(reference: Reference) -> str:
    """Return the path of a version.

    Examples
    --------
    >>> version_path(Reference(name="digits", selector=3))
    'models/digits/versions/3'
    """
    return f"{model_path(reference.name)}/versions/{quote(str(reference.selector), safe='')}"


def invoke_request(message: Invoke, *, answer_timeout_s: float) -> HttpRequest:
    """Build the request that carries a call as one frame.

    Raises
    ------
    RequestInvalid
        The message can't be written.
    """
    pieces = encode_message(message)
    size_bytes = sum(memoryview(piece).nbytes for piece in pieces)
    body: bytes | Body
    if size_bytes <= _CHUNK_BYTES:
        body = b"".join(pieces)
    else:  # handed over in parts, so that it isn't held twice
        body = Body(size_bytes=size_bytes, open=lambda: _parts(pieces))
    return HttpRequest(
        method="POST",
        path="invocations",
        body=body,
        media_type=FRAME_MEDIA_TYPE,
        accept=FRAME_MEDIA_TYPE,
        answer_timeout_s=answer_timeout_s,
    )


def _parts(pieces: Sequence[Buffer]) -> Iterator[bytes]:
    for piece in pieces:
        view = memoryview(piece).cast("B")
        for start in range(0, view.nbytes, _CHUNK_BYTES):
            yield bytes(view[start : start + _CHUNK_BYTES])


def kept(request: HttpRequest, key: str) -> HttpRequest:
    """Let the server keep a call before it answers; with the same key it is the same call."""
    headers = {**request.headers, "Prefer": "respond-async", "Idempotency-Key": key}
    return dataclasses.replace(request, accept="application/json", headers=headers)


def read_answer(cls: type[T], answer: HttpAnswer) -> T:
    """Read the dataclass that an answer holds.

    Raises
    ------
    NormanError
        The error that the server reported.
    ProtocolViolation
        The answer is not what this API gives.
    """
    raise_for_error(answer)
    try:
        return decode(cls, parse_json(answer.body), tolerant=True)
    except NormanError as error:
        raise ProtocolViolation(
            f"{answer.url} answered something else than a {cls.__name__}: {error.message} "
            "Is it a Norman server of this version?"
        ) from None


def read_message(answer: HttpAnswer) -> Message:
    """Read the message of the one frame that an answer holds.

    Raises
    ------
    NormanError
        The error that the server or the model reported.
    ProtocolViolation, PayloadTooLarge
        The answer is no frame, or one over its bounds.
    """
    raise_for_error(answer)
    if answer.media_type != FRAME_MEDIA_TYPE:
        raise ProtocolViolation(
            f"{answer.url} answered {answer.media_type or 'something untyped'} instead of a frame."
        )
    message = decode_message(decode_frame(answer.body))
    if isinstance(message, Failure):
        raise message.to_error()
    return message


def raise_for_error(answer: HttpAnswer) -> None:
    """Raise what an answer of no success says; pass on 200 to 299.

    Raises
    ------
    NormanError
        The server's own error where the answer holds one, else the nearest that its status means.
    """
    if 200 <= answer.status < 300:
        return
    try:
        body = decode(ErrorBody, parse_json(answer.body), tolerant=True)
    except NormanError:
        _raise_for_status(answer)
    raise error_from_wire(body.code, body.message, body.details, body.request_id)


def _raise_for_status(answer: HttpAnswer) -> NoReturn:
    """Raise for an answer that no Norman server wrote: Jupyter's own, a proxy's, a hub's."""
    status, url = answer.status, answer.url
    if status in (401, 403) or (300 <= status < 400 and "login" in answer.location):
        raise Unauthenticated(
            f"{url} refused the token (status {status}). Pass the server's token: "
            "Norman(url=…, token=…), or NORMAN_TOKEN."
        )
    if 300 <= status < 400:
        raise ServerNotFound(f"{url} leads elsewhere (status {status}). Give the final URL.")
    if status in (404, 405):
        raise ServerNotFound(
            f"The server at {url} has no Norman extension (status {status}). Install "
            "norman-jupyter in its environment and restart it, or check the URL."
        )
    if status == 413:
        raise PayloadTooLarge(f"{url} refused the body as too large: a proxy between, or Jupyter.")
    if status in (502, 503, 504):
        raise ExecutorUnavailable(f"{url} can't be reached behind its proxy (status {status}).")
    text = re.sub(r"<[^>]*>|\s+", " ", answer.body.decode("utf-8", "replace"))
    excerpt = " ".join(text.split())[:_EXCERPT_CHARACTERS]
    raise InternalError(f"{url} answered with status {status}: {excerpt or 'nothing more'}")
