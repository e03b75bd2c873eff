"""The journal: what the executor accepted, and how it ended, as frames in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from norman_protocol.messages.base import Caller, InvocationState, Message, Timings
from norman_protocol.values import Value

__all__ = [
    "Accepted",
    "Ended",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Message):
    """A call was taken into the queue. Written before anything is done for it.

    ``values`` holds the inputs where all of them fit the capture limit; else it is empty and
    ``captured`` false. ``input_bytes`` counts the buffers either way.
    """

    TYPE: ClassVar[str] = "accepted"
    invocation_id: str
    version_id: str
    reference: str
    caller: Caller
    accepted_at: float
    input_bytes: int
    captured: bool
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Message):
    """A call reached its one terminal state. Written before the answer is sent."""

    TYPE: ClassVar[str] = "ended"
    invocation_id: str
    state: InvocationState
    ended_at: float
    timings: Timings
    output_bytes: int = 0
    captured: bool = False
    error_code: str | None = None
    error_message: str | None = None
    error_details: dict[str, Any] = field(default_factory=dict)
    logs: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
