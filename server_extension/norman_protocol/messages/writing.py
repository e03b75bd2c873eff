"""Headers of the messages that belong to each call, written straight as text.

A call writes eight of them. To build a dictionary for the json module costs three times as much;
that general way stays for all other messages, and a test holds both to the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import RequestInvalid
from norman_protocol.messages.base import Caller, Message, Timings
from norman_protocol.messages.data import Invoke, Result
from norman_protocol.messages.journal import Accepted, Ended
from norman_protocol.messages.worker import Predict, Prediction

__all__ = ["HEADER_WRITERS"]

_text = encode_basestring


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise RequestInvalid(f"{value} can't be written as JSON.")
    return repr(value)


def _write_timings(timings: Timings) -> str:
    text = (
        f'{{"queue_s":{_number(timings.queue_s)},"model_s":{_number(timings.model_s)},'
        f'"total_s":{_number(timings.total_s)}'
    )
    return f'{text},"codec_s":{_number(timings.codec_s)}}}' if timings.codec_s else f"{text}}}"


@lru_cache(maxsize=1024)
def _write_caller(caller: Caller) -> str:
    return _write_any(caller)


def _write_any(value: Any) -> str:
    return dump_json(encode(value), surrogates="replace").decode()


def _write_invoke(message: Invoke) -> str:
    text = f'{{"type":"invoke","id":{_text(message.id)},"reference":{_text(message.reference)}'
    if message.timeout_s is not None:
        text += f',"timeout_s":{_number(message.timeout_s)}'
    if message.caller is not None:
        text += f',"caller":{_write_caller(message.caller)}'
    if message.invocation_id is not None:
        text += f',"invocation_id":{_text(message.invocation_id)}'
    if message.capture_limit_bytes is not None:
        text += f',"capture_limit_bytes":{message.capture_limit_bytes}'
    return text


def _write_result(message: Result) -> str:
    text = (
        f'{{"type":"result","id":{_text(message.id)},'
        f'"invocation_id":{_text(message.invocation_id)},"reference":{_text(message.reference)},'
        f'"timings":{_write_timings(message.timings)}'
    )
    if message.logs:
        text += f',"logs":{_text(message.logs)}'
    if message.labels:
        text += f',"labels":{_write_any(message.labels)}'
    return text if message.kept else f'{text},"kept":false'


def _write_predict(message: Predict) -> str:
    return f'{{"type":"predict","id":{_text(message.id)}'


def _write_prediction(message: Prediction) -> str:
    text = f'{{"type":"prediction","id":{_text(message.id)},"model_s":{_number(message.model_s)}'
    return f'{text},"logs":{_text(message.logs)}' if message.logs else text


def _write_accepted(message: Accepted) -> str:
    return (
        f'{{"type":"accepted","invocation_id":{_text(message.invocation_id)},'
        f'"version_id":{_text(message.version_id)},"reference":{_text(message.reference)},'
        f'"caller":{_write_caller(message.caller)},"accepted_at":{_number(message.accepted_at)},'
        f'"input_bytes":{message.input_bytes},"captured":{"true" if message.captured else "false"}'
    )


def _write_ended(message: Ended) -> str:
    text = (
        f'{{"type":"ended","invocation_id":{_text(message.invocation_id)},'
        f'"state":{_text(message.state)},"ended_at":{_number(message.ended_at)},'
        f'"timings":{_write_timings(message.timings)}'
    )
    if message.output_bytes:
        text += f',"output_bytes":{message.output_bytes}'
    if message.captured:
        text += ',"captured":true'
    if message.error_code is not None:
        text += f',"error_code":{_text(message.error_code)}'
    if message.error_message is not None:
        text += f',"error_message":{_text(message.error_message)}'
    if message.error_details:
        text += f',"error_details":{_write_any(message.error_details)}'
    return f'{text},"logs":{_text(message.logs)}' if message.logs else text


HEADER_WRITERS: dict[type[Message], Callable[[Any], str]] = {
    Invoke: _write_invoke,
    Result: _write_result,
    Predict: _write_predict,
    Prediction: _write_prediction,
    Accepted: _write_accepted,
    Ended: _write_ended,
}
"""For each of these classes what writes its header, but for the values and the closing brace."""
