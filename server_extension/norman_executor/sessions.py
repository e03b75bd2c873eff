"""Sessions: one data connection each, from its Hello to the last answer."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable
from typing import Protocol

from norman_executor.calls import Call
from norman_executor.connection import Connection
from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.errors import (
    InternalError,
    Interrupted,
    NormanError,
    ProtocolViolation,
    RequestInvalid,
    Unauthenticated,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.messages import (
    Caller,
    Cancel,
    Failure,
    Hello,
    Invoke,
    Message,
    Result,
    Welcome,
    failure_from_error,
)

__all__ = ["CallTaker", "Session", "SessionIdentity", "negotiate"]

_HELLO_TIMEOUT_S = 10.0
_CALLS_PER_SESSION = 1024
_HELLO_LIMITS = FrameLimits(header_bytes=16 * 1024, body_bytes=0, buffers=0)


class SessionIdentity(Protocol):
    """What a session must know of its executor."""

    server_id: str
    executor_id: str
    token: str
    relay_token: str
    user: str


class CallTaker(Protocol):
    """What takes the calls of sessions."""

    def admit(self) -> None:
        """Refuse one more session where there are too many, by raising QueueFull."""

    def take(
        self, invoke: Invoke, caller: Caller, answer: Callable[[Result | Failure], None]
    ) -> Call:
        """Accept a call, or raise NormanError."""

    def cancel(self, call: Call, reason: NormanError | None = None) -> None:
        """End a call that its caller took back, or for another reason."""


def negotiate(oldest: int, newest: int) -> int:
    """Return the newest protocol version that both ends speak.

    Raises
    ------
    ProtocolViolation
        There is none.

    Examples
    --------
    >>> negotiate(1, 7)
    1
    """
    chosen = min(newest, PROTOCOL_VERSIONS[1])
    if chosen < max(oldest, PROTOCOL_VERSIONS[0]):
        raise ProtocolViolation(
            f"The client speaks protocol versions {oldest} to {newest}, this server "
            f"{PROTOCOL_VERSIONS[0]} to {PROTOCOL_VERSIONS[1]}. Upgrade norman-jupyter where it "
            "is older."
        )
    return chosen


class Session:
    """One data connection.

    A peer that closes its connection takes back every call that it still waits for.
    """

    def __init__(
        self,
        stream: socket.socket,
        *,
        identity: SessionIdentity,
        taker: CallTaker,
        limits: FrameLimits,
        on_closed: Callable[[Session], None],
    ) -> None:
        self._identity = identity
        self._taker = taker
        self._limits = limits
        self._on_session_closed = on_closed
        self._calls: dict[str, Call] = {}
        self._caller: Caller | None = None
        self._relay = False
        self._connection = Connection(
            stream, limits=_HELLO_LIMITS, on_message=self._on_message, on_closed=self._on_closed
        )
        self._hello_timer = asyncio.get_running_loop().call_later(
            _HELLO_TIMEOUT_S, self._connection.close
        )

    def start(self) -> None:
        """Begin to receive."""
        self._connection.start()

    def close(self, error: NormanError | None = None) -> None:
        """Close, after trying to say why."""
        self._connection.close(error)

    def _on_message(self, message: Message) -> None:
        match message:
            case Invoke() if self._caller is not None:
                self._invoke(message)
            case Cancel() if self._caller is not None:
                call = self._calls.get(message.id)
                if call is not None:
                    self._taker.cancel(call)
            case Hello() if self._caller is None:
                self._greet(message)
            case _:
                raise ProtocolViolation(f"{message.TYPE} has no place here.")

    def _greet(self, hello: Hello) -> None:
        identity = self._identity
        expected = identity.relay_token if hello.role == "relay" else identity.token
        if not hmac.compare_digest(hello.token.encode(), expected.encode()):
            raise Unauthenticated(
                "The token is not this server's. The server was restarted, perhaps: connect again."
            )
        self._taker.admit()
        protocol = negotiate(hello.oldest_protocol, hello.newest_protocol)
        self._hello_timer.cancel()
        self._connection.widen(self._limits)
        self._relay = hello.role == "relay"
        self._caller = Caller(user=identity.user, kernel_id=hello.kernel_id)
        self._connection.send(
            Welcome(
                protocol=protocol,
                server_id=identity.server_id,
                executor_id=identity.executor_id,
            )
        )

    def _invoke(self, invoke: Invoke) -> None:
        caller = invoke.caller if self._relay and invoke.caller is not None else self._caller
        if caller is None:
            raise ProtocolViolation("A call came before Hello.")
        try:
            if invoke.id in self._calls:
                raise RequestInvalid(f"Request {invoke.id[:60]!r} runs already.", field="id")
            if len(self._calls) >= _CALLS_PER_SESSION:
                raise RequestInvalid(
                    f"A connection can have {_CALLS_PER_SESSION} calls under way, no more."
                )
            if not self._relay and invoke.invocation_id is not None:
                raise RequestInvalid("A kernel's calls get their ids here.", field="invocation_id")
            if not self._relay and invoke.capture_limit_bytes is not None:
                raise RequestInvalid(
                    "What is kept of a kernel's calls is set here.", field="capture_limit_bytes"
                )
            call = self._taker.take(invoke, caller, self._answer)
        except NormanError as error:
            self._connection.send(failure_from_error(invoke.id, error))
            return
        if not call.ended:
            self._calls[invoke.id] = call

    def _answer(self, answer: Result | Failure) -> None:
        self._calls.pop(answer.id, None)
        try:
            self._connection.send(answer)
        except RequestInvalid as error:
            reason = InternalError(f"The answer can't be sent: {error.message}")
            self._connection.send(failure_from_error(answer.id, reason))

    def _on_closed(self) -> None:
        self._hello_timer.cancel()
        calls, self._calls = self._calls, {}
        # A caller over REST who leaves is a Cancel message; when the relay itself goes, nobody
        # took anything back.
        reason = Interrupted("The server ended in the middle of the call.") if self._relay else None
        for call in calls.values():
            self._taker.cancel(call, reason)
        self._on_session_closed(self)
