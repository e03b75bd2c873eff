"""Calling a version over REST: relayed while its caller waits, or kept where they ask for it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import (
    Cancelled,
    ModelNotFound,
    NormanError,
    ProtocolViolation,
    RequestInvalid,
    VersionNotFound,
)
from norman_protocol.frames import FrameLimits, decode_frame
from norman_protocol.messages import (
    Caller,
    Invoke,
    Result,
    decode_message,
    encode_message,
)
from norman_protocol.references import parse_reference
from norman_protocol.rendering import render_values
from norman_protocol.rest import API_PATH, FRAME_MEDIA_TYPE, InvokeAnswer, InvokeRequest
from norman_protocol.translation import Translation
from norman_protocol.values import Value
from norman_server.api.base import Handler
from norman_server.invocations.rendering import invocation_summary
from norman_server.invocations.submissions import Wish

__all__ = ["InvokingHandler", "json_values", "prefers_async"]

_RENDERED_INLINE_BYTES = 64 * 1024
"""Outputs larger than this are turned into JSON in a thread."""


def json_values(inputs: Mapping[str, Any]) -> dict[str, Value]:
    """Turn JSON inputs into values; the worker, which knows the signature, converts them."""
    return {name: Value(kind="json", buffer=dump_json(item)) for name, item in inputs.items()}


def prefers_async(header: str) -> bool:
    """Say whether a header Prefer (RFC 7240) asks for an answer before the work is done.

    Examples
    --------
    >>> prefers_async("wait=10, Respond-Async"), prefers_async("respond-asynchronously")
    (True, False)
    """
    wishes = (part.partition(";")[0].strip().lower() for part in header.split(","))
    return "respond-async" in wishes


class InvokingHandler(Handler):
    """Answers with how calls ended, or with where that will be."""

    _waiting: asyncio.Task[Any] | None = None
    _awaited_id: str | None = None
    _caller_left = False

    @property
    def is_frame(self) -> bool:
        """Whether the body is one frame.

        Raises
        ------
        RequestInvalid
            It is neither that nor JSON.
        """
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type not in {FRAME_MEDIA_TYPE, "application/json", ""}:
            raise RequestInvalid(
                f"A call is application/json or {FRAME_MEDIA_TYPE}, not {media_type[:60]}.",
                field="Content-Type",
            )
        return media_type == FRAME_MEDIA_TYPE

    @property
    def wants_frame(self) -> bool:
        """Whether the answer is to be one frame."""
        return FRAME_MEDIA_TYPE in self.request.headers.get("Accept", "")

    @property
    def prefers_async(self) -> bool:
        """Whether the caller doesn't wait for the outputs."""
        return prefers_async(",".join(self.request.headers.get_list("Prefer")))

    @property
    def idempotency_key(self) -> str | None:
        """The key by which the caller means this one call."""
        return self.request.headers.get("Idempotency-Key")

    async def invoke_frame(self) -> None:
        """Call as the frame says, and answer with a frame."""
        limits = FrameLimits(body_bytes=self.slot.limits.frame_body_bytes)
        message = decode_message(decode_frame(self.body, limits))
        if not isinstance(message, Invoke):
            raise ProtocolViolation(f"A call's frame holds an invoke message, not {message.TYPE}.")
        kernel_id = None if message.caller is None else message.caller.kernel_id
        wish = self._wish(message.reference, message.values, message.timeout_s, kernel_id)
        if self._is_kept:
            await self.submit(wish, as_frame=True, message_id=message.id)
        else:
            await self.answer_outcome(await self._relay(wish), as_frame=True, message_id=message.id)

    async def invoke_json(self) -> None:
        """Call as the JSON says, and answer with JSON."""
        request = self.decode_body(InvokeRequest)
        values = json_values(request.inputs)
        wish = self._wish(request.reference, values, request.timeout_s, None)
        if self._is_kept:
            await self.submit(wish, as_frame=False)
        else:
            await self.answer_outcome(await self._relay(wish), as_frame=False)

    async def submit(self, wish: Wish, *, as_frame: bool, message_id: str = "") -> None:
        """Keep a call and answer with where it is, or with how it ended."""
        services = self.services
        invocation_id = await services.submissions.submit(wish)
        if not wish.is_awaited:
            record = await services.invocations.record(invocation_id)
            self.set_header("Location", f"{self.base_url}{API_PATH}/invocations/{invocation_id}")
            self.set_header("Preference-Applied", "respond-async")
            await self.answer(invocation_summary(record), 202)
            return
        if wish.key is None:
            self._awaited_id = invocation_id
            if self._caller_left:
                self.on_connection_close()
        outcome = await services.submissions.outcome(invocation_id)
        self._awaited_id = None
        if outcome is None:
            raise AssertionError("unreachable: waited for without a limit")
        await self.answer_recorded(outcome, as_frame=as_frame, message_id=message_id)

    async def answer_recorded(
        self, outcome: Result | NormanError, *, as_frame: bool, message_id: str = ""
    ) -> None:
        """Answer with what is recorded of a call, and with what its version says of the outputs."""
        if as_frame and isinstance(outcome, Result):
            outcome = dataclasses.replace(outcome, labels=await self._labels(outcome.reference))
        await self.answer_outcome(outcome, as_frame=as_frame, message_id=message_id)

    async def _labels(self, reference: str) -> dict[str, tuple[str, ...]]:
        try:
            version = await self.services.registry.version(parse_reference(reference))
        except (ModelNotFound, VersionNotFound):  # deleted, after the call
            return {}
        return {} if version.signature is None else Translation(version.signature).labels

    async def answer_outcome(
        self, outcome: Result | NormanError, *, as_frame: bool, message_id: str = ""
    ) -> None:
        """Answer with the outputs, or report why there are none."""
        if isinstance(outcome, NormanError):
            raise outcome
        if as_frame:
            pieces = encode_message(
                Result(
                    id=message_id,
                    invocation_id=outcome.invocation_id,
                    reference=outcome.reference,
                    timings=outcome.timings,
                    logs=outcome.logs,
                    labels=outcome.labels,
                    kept=outcome.kept,
                    values=outcome.values,
                )
            )
            await self.finish(b"".join(pieces), set_content_type=FRAME_MEDIA_TYPE)
            return
        size_bytes = sum(value.size_bytes for value in outcome.values.values())
        if size_bytes > _RENDERED_INLINE_BYTES:
            text = await asyncio.to_thread(_render, outcome)
        else:
            text = _render(outcome)
        await self.finish(text)

    @property
    def _is_kept(self) -> bool:
        return self.prefers_async or self.idempotency_key is not None

    def _wish(
        self,
        reference: str,
        values: Mapping[str, Value],
        timeout_s: float | None,
        kernel_id: str | None,
    ) -> Wish:
        return Wish(
            reference=reference,
            values=values,
            caller=Caller(user=self.user, kernel_id=kernel_id),
            timeout_s=timeout_s,
            key=self.idempotency_key,
            is_awaited=not self.prefers_async,
        )

    async def _relay(self, wish: Wish) -> Result:
        parse_reference(wish.reference)
        # The task of this request itself: another one for the call would cost two turns of the
        # loop that every notebook shares.
        task = self._waiting = asyncio.current_task()
        try:
            return await self.services.relay.invoke(
                wish.reference, wish.values, caller=wish.caller, timeout_s=wish.timeout_s
            )
        except asyncio.CancelledError:
            if not self._caller_left or task is None:
                raise
            task.uncancel()
            raise Cancelled("The caller left.") from None
        finally:
            self._waiting = None

    def on_connection_close(self) -> None:
        """Take the call back: nobody waits for its answer any more.

        One with a key goes on: its caller may come back with it.
        """
        super().on_connection_close()
        self._caller_left = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._awaited_id is not None:
            self.slot.spawn(self._take_back(self._awaited_id))

    async def _take_back(self, invocation_id: str) -> None:
        try:
            await self.services.submissions.cancel(invocation_id)
        except NormanError as error:  # it has ended meanwhile, as a rule
            self.log.debug("%s was not taken back: %s", invocation_id, error.message)


def _render(result: Result) -> bytes:
    return dump_json(
        encode(
            InvokeAnswer(
                id=result.invocation_id,
                reference=result.reference,
                outputs=render_values(result.values),
                timings=result.timings,
                logs=result.logs,
            )
        )
    )
