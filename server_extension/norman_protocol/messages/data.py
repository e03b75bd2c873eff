"""The data channel: a kernel, or the server for a REST call, asks the executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from norman_protocol.errors import NormanError, error_from_wire
from norman_protocol.messages.base import Caller, Message, Timings
from norman_protocol.values import Value

__all__ = [
    "Cancel",
    "Failure",
    "Hello",
    "Invoke",
    "Result",
    "Welcome",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """First frame of a data connection; anything else before it ends the connection.

    ``token`` is the extension's token (role ``kernel``), or the relay's own (role ``relay``),
    which alone lets each `Invoke` name its caller.
    """

    TYPE: ClassVar[str] = "hello"
    oldest_protocol: int
    newest_protocol: int
    token: str
    role: Literal["kernel", "relay"] = "kernel"
    kernel_id: str | None = None
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """The answer to Hello: the protocol version chosen, and who serves."""

    TYPE: ClassVar[str] = "welcome"
    protocol: int
    server_id: str
    executor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke(Message):
    """Call a version. One deadline of ``timeout_s`` covers queue and execution.

    ``caller`` and ``invocation_id`` count from a relay alone: it answers for who calls, and must
    be able to name the invocation also where this executor can't any more. So does
    ``capture_limit_bytes``: outputs up to it are recorded, whatever the executor's own limit.
    """

    TYPE: ClassVar[str] = "invoke"
    id: str
    reference: str
    timeout_s: float | None = None
    caller: Caller | None = None
    invocation_id: str | None = None
    capture_limit_bytes: int | None = None
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Take back the call with this id on this connection; it is answered by one Failure."""

    TYPE: ClassVar[str] = "cancel"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Message):
    """What the model answered.

    ``labels`` say what the places along the last axis of outputs stand for, by the outputs' names;
    very many are left out. ``kept`` says whether the record of the call holds the values.
    """

    TYPE: ClassVar[str] = "result"
    id: str
    invocation_id: str
    reference: str
    timings: Timings
    logs: str = ""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kept: bool = True
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Message):
    """An error in answer to the request ``id`` (empty: the connection itself)."""

    TYPE: ClassVar[str] = "failure"
    id: str
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_error(self) -> NormanError:
        """Rebuild the error."""
        return error_from_wire(self.code, self.message, self.details)
