"""What every message is, and the small values that several of them hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

__all__ = [
    "Caller",
    "InvocationState",
    "Message",
    "Timings",
    "VersionState",
]


InvocationState: TypeAlias = Literal[
    "queued", "running", "succeeded", "failed", "cancelled", "timed_out", "interrupted"
]
VersionState: TypeAlias = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a user, and the kernel they ask from where there is one."""

    user: str
    kernel_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of one call on the executor's monotonic clock, in seconds.

    ``codec_s`` is what decoding its inputs and encoding its outputs took, waiting included.
    """

    queue_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0
    codec_s: float = 0.0


class Message:
    """A typed message; ``TYPE`` is its name in a frame's header."""

    __slots__ = ()
    TYPE: ClassVar[str] = ""
