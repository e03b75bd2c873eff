"""A codec worker's loop: decode and encode for one call after the other."""

from __future__ import annotations

import sys
import traceback

from norman_codec.conversion import decode, encode
from norman_codec.memory import bounded
from norman_protocol.channel import Channel
from norman_protocol.errors import InternalError, NormanError, ProtocolViolation
from norman_protocol.frames import Buffer
from norman_protocol.messages import (
    Decode,
    Decoded,
    Encode,
    Encoded,
    Message,
    encode_message,
    failure_from_error,
)

__all__ = ["answer", "serve"]


def serve(channel: Channel) -> None:
    """Answer messages until the executor's end closes.

    Raises
    ------
    ProtocolViolation
        The executor's bytes are not the protocol; the process ends with that in its log.
    """
    while (message := channel.receive()) is not None:
        if not isinstance(message, (Decode, Encode)):
            raise ProtocolViolation(f"A codec worker takes no {message.TYPE} message.")
        if not channel.send(_answer_pieces(message)):
            return
        del message  # an idle worker holds nobody's image


def _answer_pieces(message: Decode | Encode) -> list[Buffer]:
    try:
        with bounded(message.limits):
            return encode_message(answer(message))
    except NormanError as error:
        failure = failure_from_error(message.id, error)
    except Exception:  # noqa: BLE001 - the worker's border: what a library raises must not end it
        traceback.print_exc(file=sys.stderr)
        unknown = InternalError("The codec failed in a way that it doesn't know; see its log.")
        failure = failure_from_error(message.id, unknown)
    return encode_message(failure)


def answer(message: Decode | Encode) -> Message:
    """Return the answer to one message.

    Raises
    ------
    NormanError
        What `norman_codec.conversion` raises.
    """
    if isinstance(message, Decode):
        values = decode(message.parameters, message.values, message.limits)
        return Decoded(id=message.id, values=values)
    values = encode(message.parameters, message.values, message.limits)
    return Encoded(id=message.id, values=values)
