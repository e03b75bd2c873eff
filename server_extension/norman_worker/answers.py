"""What a worker answers, encoded, and refused where the executor would refuse it."""

from __future__ import annotations

from norman_protocol.errors import LoadFailed, OutputInvalid
from norman_protocol.frames import Buffer, FrameLimits
from norman_protocol.messages import Loaded, Message, Prediction, encode_message

__all__ = ["encode_answer"]


def encode_answer(message: Message, limits: FrameLimits) -> list[Buffer]:
    """Encode a message, refusing what the other end would refuse to receive.

    Raises
    ------
    OutputInvalid
        A prediction has too many or too large outputs.
    LoadFailed
        A signature is too large.
    RequestInvalid
        Its header can't be written as JSON.
    """
    if isinstance(message, Prediction):
        _check_outputs(message, limits)
    pieces = encode_message(message)
    header_bytes = len(pieces[0])
    if header_bytes > limits.header_bytes:
        cls = LoadFailed if isinstance(message, Loaded) else OutputInvalid
        raise cls(
            f"The names of inputs and outputs, and all that is said about them, take "
            f"{header_bytes} bytes; {limits.header_bytes} are allowed. "
            "Put many values into one tensor or list."
        )
    return pieces


def _check_outputs(prediction: Prediction, limits: FrameLimits) -> None:
    values = prediction.values
    if len(values) > limits.buffers:
        raise OutputInvalid(
            f"The model answered {len(values)} outputs; {limits.buffers} are allowed. "
            "Put many values into one tensor or list."
        )
    total = 0
    for name, value in values.items():
        total += value.size_bytes
        if total > limits.body_bytes - 64 * len(values):  # each buffer may be padded
            raise OutputInvalid(
                f"With output {name!r} ({value.size_bytes} bytes) the answer is larger than the "
                f"{limits.body_bytes} bytes allowed.",
                output=name,
            )
