"""What an operation of the client asks its driver to do, and nothing of how.

An operation is a generator: it yields one of these effects and is sent the outcome, or has the
exception thrown into it. The blocking and the asyncio driver run the same generators.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from norman_jupyter.client.discovery import Target
from norman_protocol.messages import Invoke, Message

__all__ = [
    "Body",
    "Effect",
    "Exchange",
    "HttpAnswer",
    "HttpRequest",
    "Pause",
    "Read",
    "Send",
    "Sink",
    "Steps",
    "Work",
    "exchange",
    "pause",
    "read",
    "send",
    "work",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request body that is read piece by piece.

    Attributes
    ----------
    size_bytes
        The exact sum of the pieces.
    open
        Begins to read; may block, and so may each step.
    on_sent
        Called on the caller's own thread with the size of each piece that was handed over.
    """

    size_bytes: int
    open: Callable[[], Iterator[bytes]]
    on_sent: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """Where the body of a successful answer goes, piece by piece.

    Attributes
    ----------
    begin
        Called before the first piece, and again where the request had to be sent again; may block.
    write
        Called with each piece; may block.
    on_begun, on_received
        Called on the caller's own thread after these, the second with the size of the piece.
    """

    begin: Callable[[], None]
    write: Callable[[bytes], None]
    on_begun: Callable[[], None]
    on_received: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request to the REST API.

    Attributes
    ----------
    path
        Below ``/norman/api/v1/``, already quoted, with its query.
    answer_timeout_s
        How long the server may be silent.
    sink
        Takes the body of a success; the answer's own is empty then.
    """

    method: str
    path: str
    body: bytes | Body = b""
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: str = "application/json"
    answer_timeout_s: float = 60.0
    sink: Sink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The answer to a request, read to its end."""

    url: str
    status: int
    media_type: str
    body: bytes
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a request over HTTP; the outcome is an `HttpAnswer`."""

    target: Target
    request: HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Send a call over the data socket; the outcome is its Result or Failure.

    ``wait_s`` guards against an executor that doesn't keep the call's own deadline.
    """

    target: Target
    message: Invoke
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Run something that blocks; the outcome is what it returns."""

    run: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait before trying again."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read a piece of a caller's own stream, whose ``read`` may be a coroutine; it may raise.

    ``size_bytes`` is None where ``read`` takes no size.
    """

    stream: Any
    size_bytes: int | None


Effect: TypeAlias = Send | Exchange | Work | Pause | Read
Steps: TypeAlias = Generator[Effect, Any, T]


def send(target: Target, request: HttpRequest) -> Steps[HttpAnswer]:
    """`Send`, with the type of its outcome."""
    answer: HttpAnswer = yield Send(target=target, request=request)
    return answer


def exchange(target: Target, message: Invoke, wait_s: float) -> Steps[Message]:
    """`Exchange`, with the type of its outcome."""
    answer: Message = yield Exchange(target=target, message=message, wait_s=wait_s)
    return answer


def work(run: Callable[[], T]) -> Steps[T]:
    """`Work`, with the type of its outcome."""
    outcome: T = yield Work(run=run)
    return outcome


def pause(seconds: float) -> Steps[None]:
    """`Pause`, as a step."""
    yield Pause(seconds=seconds)


def read(stream: Any, size_bytes: int | None) -> Steps[Any]:
    """`Read`, as a step."""
    piece = yield Read(stream=stream, size_bytes=size_bytes)
    return piece
