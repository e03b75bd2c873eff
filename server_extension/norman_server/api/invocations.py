"""Invocations: calling a version over REST, and what is recorded of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, get_args

from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import Cancelled, ProtocolViolation, RequestInvalid
from norman_protocol.frames import FrameLimits, decode_frame
from norman_protocol.messages import (
    Caller,
    InvocationState,
    Invoke,
    Result,
    decode_message,
    encode_message,
)
from norman_protocol.references import parse_reference
from norman_protocol.rest import FRAME_MEDIA_TYPE, InvokeAnswer, InvokeRequest
from norman_protocol.values import Value
from norman_server.api.base import Handler
from norman_server.api.models import page_limit
from norman_server.invocations.rendering import render_values

__all__ = ["InvocationHandler", "InvocationsHandler", "json_values"]

_RENDERED_INLINE_BYTES = 64 * 1024
"""Outputs larger than this are turned into JSON in a thread."""


def json_values(inputs: Mapping[str, Any]) -> dict[str, Value]:
    """Turn JSON inputs into values; the worker, which knows the signature, converts them."""
    return {name: Value(kind="json", buffer=dump_json(item)) for name, item in inputs.items()}


class InvocationsHandler(Handler):
    """Calls and their records."""

    _waiting: asyncio.Task[Any] | None = None
    _caller_left = False

    async def post(self) -> None:
        """Call a version and answer with its outputs."""
        self.query()
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type == FRAME_MEDIA_TYPE:
            await self._invoke_frame()
        elif media_type in {"application/json", ""}:
            await self._invoke_json()
        else:
            raise RequestInvalid(
                f"A call is application/json or {FRAME_MEDIA_TYPE}, not {media_type[:60]}.",
                field="Content-Type",
            )

    async def get(self) -> None:
        """Answer with a page of invocations, newest first."""
        query = self.query()
        state = query["state"]
        if state is not None and state not in get_args(InvocationState):
            raise RequestInvalid(
                f"state must be one of {', '.join(get_args(InvocationState))}.", field="state"
            )
        log = self.services.invocations
        await log.import_journal()
        page = await log.page(
            limit=page_limit(query["limit"]),
            cursor=query["cursor"],
            model=query["model"],
            state=state,
        )
        await self.answer(page)

    async def _invoke_frame(self) -> None:
        limits = FrameLimits(body_bytes=self.slot.limits.frame_body_bytes)
        message = decode_message(decode_frame(self.body, limits))
        if not isinstance(message, Invoke):
            raise ProtocolViolation(f"A call's frame holds an invoke message, not {message.TYPE}.")
        kernel_id = None if message.caller is None else message.caller.kernel_id
        result = await self._relay(message.reference, message.values, message.timeout_s, kernel_id)
        pieces = encode_message(
            Result(
                id=message.id,
                invocation_id=result.invocation_id,
                reference=result.reference,
                timings=result.timings,
                logs=result.logs,
                values=result.values,
            )
        )
        await self.finish(b"".join(pieces), set_content_type=FRAME_MEDIA_TYPE)

    async def _invoke_json(self) -> None:
        request = self.decode_body(InvokeRequest)
        result = await self._relay(
            request.reference, json_values(request.inputs), request.timeout_s, None
        )
        size_bytes = sum(value.size_bytes for value in result.values.values())
        if size_bytes > _RENDERED_INLINE_BYTES:
            text = await asyncio.to_thread(_render, result)
        else:
            text = _render(result)
        await self.finish(text)

    async def _relay(
        self,
        reference: str,
        values: Mapping[str, Value],
        timeout_s: float | None,
        kernel_id: str | None,
    ) -> Result:
        parse_reference(reference)
        # The task of this request itself: another one for the call would cost two turns of the
        # loop that every notebook shares.
        task = self._waiting = asyncio.current_task()
        try:
            return await self.services.relay.invoke(
                reference,
                values,
                caller=Caller(user=self.user, kernel_id=kernel_id),
                timeout_s=timeout_s,
            )
        except asyncio.CancelledError:
            if not self._caller_left or task is None:
                raise
            task.uncancel()
            raise Cancelled("The caller left.") from None
        finally:
            self._waiting = None

    def on_connection_close(self) -> None:
        """Take the call back: nobody waits for its answer any more."""
        super().on_connection_close()
        self._caller_left = True
        if self._waiting is not None:
            self._waiting.cancel()


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


class InvocationHandler(Handler):
    """The record of one call."""

    async def get(self, invocation_id: str) -> None:
        """Answer with what is known of the call."""
        self.query()
        log = self.services.invocations
        await log.import_journal()
        await self.answer(await log.detail(invocation_id))
