"""Calls: one invocation each, from its acceptance to its one terminal state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from norman_protocol.errors import Cancelled, Interrupted, NormanError, TimedOut
from norman_protocol.frames import buffer_bytes
from norman_protocol.messages import (
    Caller,
    Ended,
    Failure,
    InvocationState,
    Prediction,
    Result,
    Timings,
)
from norman_protocol.values import Value

__all__ = ["Call", "ended_record", "failure_answer", "result_answer"]


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """A call on its way. ``answer`` is what takes the Result or Failure."""

    request_id: str
    reference: str
    version_id: str
    caller: Caller
    values: Mapping[str, Value]
    timeout_s: float
    answer: Callable[[Result | Failure], None]
    invocation_id: str
    capture_limit_bytes: int
    accepted_at: float = field(default_factory=time.time)
    accepted_clock: float = field(default_factory=time.perf_counter)
    dispatched_clock: float = 0.0
    deadline: asyncio.TimerHandle | None = None
    ended: bool = False
    own_values: Mapping[str, Value] = field(default_factory=dict)
    """The inputs by the model's own names, once they are ready for it."""
    ready: bool = False
    decoded_bytes: int = 0
    decode_s: float = 0.0
    encode_s: float = 0.0
    codec_task: asyncio.Task[None] | None = None

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return sum([buffer_bytes(value.buffer) for value in self.values.values()])

    def timings(self, model_s: float = 0.0) -> Timings:
        """Durations up to now."""
        now = time.perf_counter()
        dispatched = self.dispatched_clock or now
        return Timings(
            queue_s=round(max(0.0, dispatched - self.accepted_clock - self.decode_s), 7),
            model_s=round(model_s, 7),
            total_s=round(now - self.accepted_clock, 7),
            codec_s=round(self.decode_s + self.encode_s, 7),
        )


def result_answer(
    call: Call, prediction: Prediction, record: Ended, labels: dict[str, tuple[str, ...]]
) -> Result:
    """Build the answer to a call that succeeded."""
    return Result(
        id=call.request_id,
        invocation_id=call.invocation_id,
        reference=call.reference,
        timings=record.timings,
        logs=prediction.logs,
        labels=labels,
        kept=record.captured,
        values=prediction.values,
    )


def failure_answer(call: Call, error: NormanError) -> Failure:
    """Build the answer to a call that failed; it names the invocation and the version."""
    details = {**error.details, "invocation_id": call.invocation_id}
    if "reference" in details or hasattr(error, "reference"):
        details["reference"] = call.reference
    return Failure(id=call.request_id, code=error.code, message=error.message, details=details)


def ended_record(
    call: Call,
    *,
    timings: Timings,
    prediction: Prediction | None = None,
    error: NormanError | None = None,
) -> Ended:
    """Build the journal's record of how a call ended."""
    if prediction is not None:
        output_bytes = sum([buffer_bytes(value.buffer) for value in prediction.values.values()])
        captured = output_bytes <= call.capture_limit_bytes
        return Ended(
            invocation_id=call.invocation_id,
            state="succeeded",
            ended_at=time.time(),
            timings=timings,
            output_bytes=output_bytes,
            captured=captured,
            logs=prediction.logs,
            values=prediction.values if captured else {},
        )
    if error is None:
        raise ValueError("a call ends with a prediction or an error")
    return Ended(
        invocation_id=call.invocation_id,
        state=_state_of(error),
        ended_at=time.time(),
        timings=timings,
        error_code=error.code,
        error_message=error.message,
        error_details=error.details,
        logs=str(error.details.get("logs", "")),
    )


def _state_of(error: NormanError) -> InvocationState:
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, TimedOut):
        return "timed_out"
    if isinstance(error, Interrupted):
        return "interrupted"
    return "failed"
