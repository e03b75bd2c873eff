"""The fast path's rules, without I/O: how a data connection begins, and what its ends mean."""

from __future__ import annotations

from norman_jupyter.client.discovery import Target
from norman_jupyter.packaging.kernel import current_kernel_id
from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.errors import Interrupted, NormanError, TimedOut
from norman_protocol.frames import Buffer
from norman_protocol.messages import (
    Cancel,
    Failure,
    Hello,
    Message,
    Welcome,
    encode_message,
)

__all__ = [
    "CONNECT_TIMEOUT_S",
    "SOCKET_BUFFER_BYTES",
    "LinkUnavailable",
    "cancel_frame",
    "check_welcome",
    "connection_error",
    "ended_early",
    "hello_frame",
    "took_too_long",
]

CONNECT_TIMEOUT_S = 5.0
SOCKET_BUFFER_BYTES = 1 << 20


class LinkUnavailable(Exception):
    """No data connection could be made; nothing was sent, so REST may serve the call.

    ``refusal`` is what the executor said against it, where it said something.
    """

    def __init__(self, message: str, refusal: NormanError | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


def hello_frame(target: Target) -> list[Buffer]:
    """Write the first frame of a connection."""
    oldest, newest = PROTOCOL_VERSIONS
    hello = Hello(
        oldest_protocol=oldest,
        newest_protocol=newest,
        token=target.token or "",
        role="kernel",
        kernel_id=current_kernel_id(),
        client="norman_jupyter",
    )
    return encode_message(hello)


def check_welcome(message: Message, target: Target) -> None:
    """Check the answer to Hello: the executor behind the socket is the server's own.

    Raises
    ------
    LinkUnavailable
        It refused, or belongs to another server.
    """
    if isinstance(message, Failure):
        raise LinkUnavailable(message.message, message.to_error())
    oldest, newest = PROTOCOL_VERSIONS
    if not isinstance(message, Welcome) or not oldest <= message.protocol <= newest:
        raise LinkUnavailable(f"{target.socket_path} doesn't speak this protocol.")
    if target.server_id is not None and message.server_id != target.server_id:
        raise LinkUnavailable(f"{target.socket_path} belongs to another server.")


def cancel_frame(request_id: str) -> bytes:
    """Write the frame that takes a call back."""
    return b"".join(encode_message(Cancel(id=request_id)))


def connection_error(message: Message) -> NormanError | None:
    """Return the error where a message ends the whole connection."""
    if isinstance(message, Failure) and not message.id:
        return message.to_error()
    return None


def ended_early() -> NormanError:
    """Build the error for a connection that ended while a call was out."""
    return Interrupted(
        "The executor ended in the middle of the call, so whether the model ran is unknown. "
        "A new one starts by itself: call again."
    )


def took_too_long(wait_s: float) -> NormanError:
    """Build the error for an executor that kept no deadline."""
    return TimedOut(
        f"The executor gave no answer within {wait_s:g} s, longer than the call's own deadline.",
        timeout_s=wait_s,
    )
