"""The worker's loop: load one version, then answer its calls one at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from norman_protocol.channel import Channel
from norman_protocol.declared import declared_defaults, declared_signature
from norman_protocol.errors import (
    Conflict,
    InputInvalid,
    LoadFailed,
    ModelFailed,
    NormanError,
    NotReady,
    OutputInvalid,
    ProtocolViolation,
)
from norman_protocol.frames import Buffer
from norman_protocol.messages import (
    Load,
    Loaded,
    Predict,
    Prediction,
    failure_from_error,
)
from norman_protocol.signature import Signature, model_signature
from norman_protocol.values import MAX_NAME_CHARACTERS, Value
from norman_worker.answers import encode_answer
from norman_worker.capture import Capture
from norman_worker.runtimes import create_runtime
from norman_worker.runtimes.base import Runtime, Source
from norman_worker.tracebacks import Report, report_exception, shorten

__all__ = [
    "Session",
    "check_names",
    "load_error",
    "predict_error",
    "resident_bytes",
]


class Session:
    """One worker's life: `serve` returns when the executor's end closes."""

    def __init__(self, channel: Channel, capture: Capture) -> None:
        self._channel = channel
        self._capture = capture
        self._load_message: Load | None = None
        self._runtime: Runtime | None = None
        self._defaults: Mapping[str, Value] = {}

    def serve(self) -> None:
        """Answer messages until there are no more.

        Raises
        ------
        ProtocolViolation
            The executor's bytes are not the protocol; the process ends with that in its log.
        """
        while (message := self._channel.receive()) is not None:
            if isinstance(message, Predict):
                pieces = self._predict(message)
            elif isinstance(message, Load):
                pieces = self._load(message)
            else:
                raise ProtocolViolation(f"A worker takes no {message.TYPE} message.")
            if not self._channel.send(pieces):
                return

    def _load(self, message: Load) -> list[Buffer]:
        if self._load_message is not None:
            held = self._load_message.reference
            return self._failure(
                message.id, Conflict(f"This worker holds {held} and loads nothing else.", name=held)
            )
        self._load_message = message
        # Logs travel in a frame's header, where one byte may take six.
        room_bytes = self._channel.limits.header_bytes // 8
        self._capture.limit_bytes = min(message.log_limit_bytes, room_bytes)
        started = time.perf_counter()
        try:
            runtime = create_runtime(message.runtime, _source(message))
            described = runtime.describe()
            signature = declared_signature(
                described, message.declaration, positional=runtime.POSITIONAL
            )
            check_names(signature)
            own = model_signature(signature)
            check_names(own)
            if message.declaration is not None:
                runtime.adopt(own)
                self._defaults = declared_defaults(signature, message.declaration)
            runtime.load()
            answer = Loaded(
                id=message.id,
                signature=signature,
                load_s=time.perf_counter() - started,
                memory_bytes=resident_bytes(),
            )
            pieces = encode_answer(answer, self._channel.limits)
        except BaseException as error:  # noqa: BLE001 - the worker's border: a model raises anything
            return self._failure(message.id, load_error(error, message))
        finally:
            self._capture.flush()
        self._runtime = runtime
        return pieces

    def _predict(self, message: Predict) -> list[Buffer]:
        runtime, load = self._runtime, self._load_message
        if runtime is None or load is None:
            return self._failure(message.id, NotReady("This worker has loaded no version."))
        self._capture.begin()
        started = time.perf_counter()
        try:
            values = runtime.predict({**self._defaults, **message.values})
            model_s = time.perf_counter() - started
            logs = self._capture.end()
            answer = Prediction(id=message.id, model_s=model_s, logs=logs, values=values)
            return encode_answer(answer, self._channel.limits)
        except BaseException as error:  # noqa: BLE001 - the worker's border: a model raises anything
            return self._failure(message.id, predict_error(error, load, self._capture.end()))

    def _failure(self, request_id: str, error: NormanError) -> list[Buffer]:
        return encode_answer(failure_from_error(request_id, error), self._channel.limits)


def _source(message: Load) -> Source:
    return Source(
        files=Path(message.files),
        entry=message.entry,
        device=message.device,
        threads=message.threads,
    )


def check_names(signature: Signature) -> None:
    """Refuse names that no frame may carry.

    Raises
    ------
    LoadFailed
        A name is too long, or stands for two things.
    """
    for parameters, what in ((signature.inputs, "input"), (signature.outputs, "output")):
        seen = set()
        for parameter in parameters:
            if len(parameter.name) > MAX_NAME_CHARACTERS:
                raise LoadFailed(
                    f"The name of {what} {parameter.name[:60]!r}… is longer than "
                    f"{MAX_NAME_CHARACTERS} characters."
                )
            if parameter.name in seen:
                raise LoadFailed(f"There are two {what}s named {parameter.name!r}.")
            seen.add(parameter.name)


def load_error(error: BaseException, message: Load) -> NormanError:
    """Turn whatever was raised while a version was loaded into the error that reports it."""
    report = report_exception(error, Path(message.files))
    if isinstance(error, NormanError) and not report.in_model:
        if isinstance(error, LoadFailed):
            error.reference = message.reference
        return error
    return LoadFailed(
        f"{message.reference} {_happening(error, report)} while it was loaded.",
        reference=message.reference,
        exception=report.exception,
        traceback=report.traceback,
    )


def predict_error(error: BaseException, message: Load, logs: str) -> NormanError:
    """Turn whatever was raised by a call into the error that reports it, with what was printed."""
    if isinstance(error, OutputInvalid):
        error.logs = logs
    if isinstance(error, ModelFailed):
        error.logs, error.reference = logs, message.reference
    report = report_exception(error, Path(message.files))
    # A model may refuse its input on purpose; any other of our errors from its code is its failure.
    if isinstance(error, NormanError) and (isinstance(error, InputInvalid) or not report.in_model):
        return error
    return ModelFailed(
        f"{message.reference} {_happening(error, report)}.",
        reference=message.reference,
        exception=report.exception,
        traceback=report.traceback,
        logs=logs,
    )


def _happening(error: BaseException, report: Report) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({shorten(repr(error.code), 100)})"
    return f"raised {report.headline}".rstrip(".")


def resident_bytes() -> int:
    """Return this process's resident memory on Linux, 0 elsewhere."""
    if sys.platform != "linux":
        return 0
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
