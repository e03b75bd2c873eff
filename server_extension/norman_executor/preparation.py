"""The queue of one deployment, and what is done to its calls on both sides of the model.

Callers speak in titles and files, a model in its own names and tensors. The first calls of the
queue are decoded while the model is at work on another one; what it gave is encoded while it is at
the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from norman_executor.calls import Call
from norman_executor.codecs import Codecs
from norman_protocol.errors import InputInvalid, InternalError, NormanError
from norman_protocol.messages import ExecutorLimits, Prediction
from norman_protocol.signature import Parameter, Signature
from norman_protocol.translation import Translation

__all__ = ["Preparation"]

_log = logging.getLogger(__name__)


class Preparation:
    """Calls that wait for the model, and calls whose answer is encoded.

    Parameters
    ----------
    end
        Takes a call with its prediction, in the caller's words, or its error.
    on_ready
        Called when a call that was decoded is ready, or failed, and when one is encoded.

    Attributes
    ----------
    queue
        The calls that wait, in their order.
    encoding
        The calls that the model has answered already.

    Notes
    -----
    Not thread-safe: everything happens on the executor's loop.
    """

    def __init__(
        self,
        codecs: Codecs,
        limits: ExecutorLimits,
        *,
        end: Callable[[Call, Prediction | NormanError], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.queue: deque[Call] = deque()
        self.encoding: set[Call] = set()
        self._codecs = codecs
        self._limits = limits
        self._end = end
        self._on_ready = on_ready
        self._translation: Translation | None = None
        # So many calls are decoded before the model, and so many encoded after it.
        self._ahead = 2 * limits.codec_workers

    @property
    def is_behind(self) -> bool:
        """Whether the model must wait: what it gives is large, and comes faster than is encoded."""
        return len(self.encoding) >= self._ahead

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What the places along the last axis of outputs stand for, by the outputs' names."""
        return {} if self._translation is None else self._translation.labels

    def learn(self, signature: Signature | None) -> None:
        """Go by this signature from now on; None: the model describes itself first."""
        self._translation = None if signature is None else Translation(signature)

    def look_ahead(self) -> None:
        """Make the first calls of the queue ready for the model.

        Only a few are decoded, and no further one while as much waits as a single file may become:
        what is decoded is large.
        """
        translation = self._translation
        if translation is None:
            return
        if translation.trivial:
            for call in reversed(self.queue):
                if call.ready:
                    break  # and so are all before it
                call.own_values, call.ready = call.values, True
            return
        decoded_bytes = sum(call.decoded_bytes for call in islice(self.queue, self._ahead))
        for call in islice(self.queue, self._ahead):
            if call.ready or call.codec_task is not None:
                continue
            parameters = translation.to_decode(call.values)
            if not parameters:
                call.own_values, call.ready = translation.inputs(call.values), True
            elif decoded_bytes <= self._limits.media_decoded_bytes:
                call.codec_task = asyncio.create_task(self._decode(call, translation, parameters))

    def take(self) -> Call | None:
        """Take the first call that is ready; one that is still decoded doesn't hold up others."""
        for call in self.queue:
            if call.ready:
                self.queue.remove(call)
                return call
        return None

    def answer(self, call: Call, outcome: Prediction | NormanError) -> None:
        """End a call, with what the model gave in the caller's words."""
        translation = self._translation
        if call.ended or translation is None or translation.trivial:
            self._end(call, outcome)
        elif isinstance(outcome, NormanError):
            self._end(call, _in_callers_words(outcome, translation))
        elif not (parameters := translation.to_encode(outcome.values)):
            self._end(call, replace(outcome, values=translation.outputs(outcome.values)))
        else:
            self.encoding.add(call)
            call.codec_task = asyncio.create_task(
                self._encode(call, outcome, translation, parameters)
            )

    def drop(self, call: Call) -> None:
        """Let go of a call that no model is at work on; a codec that is at it is stopped."""
        if call.codec_task is not None:
            call.codec_task.cancel()
            call.codec_task = None
        self.encoding.discard(call)
        if call in self.queue:
            self.queue.remove(call)

    async def _decode(
        self, call: Call, translation: Translation, parameters: tuple[Parameter, ...]
    ) -> None:
        begun = time.perf_counter()
        titles = {parameter.name for parameter in parameters}
        files = {title: value for title, value in call.values.items() if title in titles}
        rest = {title: value for title, value in call.values.items() if title not in titles}
        failure = None
        try:
            decoded = await self._codecs.decode(parameters, files)
            call.own_values = {**translation.inputs(rest), **decoded}
            call.decoded_bytes = sum(value.size_bytes for value in decoded.values())
            call.ready = True
        except Exception as error:  # noqa: BLE001 - the call ends, whatever it is
            failure = _as_known(error, call)
        call.codec_task = None
        call.decode_s = time.perf_counter() - begun
        if failure is not None:
            self.queue.remove(call)
            self._end(call, failure)
        self._on_ready()

    async def _encode(
        self,
        call: Call,
        prediction: Prediction,
        translation: Translation,
        parameters: tuple[Parameter, ...],
    ) -> None:
        begun = time.perf_counter()
        taken = translation.taken(parameters)
        raw = {name: value for name, value in prediction.values.items() if name in taken}
        rest = {name: value for name, value in prediction.values.items() if name not in taken}
        outcome: Prediction | NormanError
        try:
            encoded = await self._codecs.encode(parameters, raw)
            outcome = replace(prediction, values={**translation.outputs(rest), **encoded})
        except Exception as error:  # noqa: BLE001 - the call ends, whatever it is
            outcome = _as_known(error, call)
        call.codec_task = None
        call.encode_s = time.perf_counter() - begun
        self.encoding.discard(call)
        self._end(call, outcome)
        self._on_ready()


def _as_known(error: Exception, call: Call) -> NormanError:
    if isinstance(error, NormanError):
        return error
    _log.exception("the files of invocation %s could not be turned", call.invocation_id)
    return InternalError("The executor failed where it has files decoded; see its log.")


def _in_callers_words(error: NormanError, translation: Translation) -> NormanError:
    """Name the input by its title where a model refuses it by its own name."""
    if not isinstance(error, InputInvalid):
        return error
    title = translation.title_of(error.input)
    if title is None or title == error.input:
        return error
    details = {**error.details, "input": title}
    return InputInvalid(error.message.replace(repr(error.input), repr(title)), **details)
