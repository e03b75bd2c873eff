"""Invocations: what is recorded of calls, how one ended, taking one back, running one again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from norman_protocol.errors import Conflict, RequestInvalid
from norman_protocol.messages import Caller, InvocationState
from norman_protocol.rest import ReplayRequest
from norman_server.api.invoking import InvokingHandler
from norman_server.api.models import MAX_WAIT_S, page_limit
from norman_server.invocations.rendering import invocation_summary
from norman_server.invocations.submissions import Wish

__all__ = [
    "InvocationHandler",
    "InvocationReplayHandler",
    "InvocationResultHandler",
    "InvocationsHandler",
]


class InvocationsHandler(InvokingHandler):
    """Calls and their records."""

    async def post(self) -> None:
        """Call a version and answer with its outputs, or with where they will be."""
        self.query()
        if self.is_frame:
            await self.invoke_frame()
        else:
            await self.invoke_json()

    async def get(self) -> None:
        """Answer with a page of invocations, newest first."""
        query = self.query()
        state = query["state"]
        if state is not None and state not in get_args(InvocationState):
            raise RequestInvalid(
                f"state must be one of {', '.join(get_args(InvocationState))}.", field="state"
            )
        log = self.services.invocations
        since = _parse_since(query["since"])
        await log.import_journal()
        page = await log.page(
            limit=page_limit(query["limit"]),
            cursor=query["cursor"],
            model=query["model"],
            state=state,
            since=since,
        )
        await self.answer(page)


class InvocationHandler(InvokingHandler):
    """The record of one call."""

    async def get(self, invocation_id: str) -> None:
        """Answer with what is known of the call, now or when it has ended."""
        wait_s = _check_wait(self.query()["wait_s"])
        log = self.services.invocations
        if wait_s:
            await log.wait(invocation_id, wait_s)
        else:
            await log.import_journal()
        await self.answer(await log.detail(invocation_id))

    async def delete(self, invocation_id: str) -> None:
        """Take the call back."""
        self.query()
        await self.services.submissions.cancel(invocation_id)
        await self.answer(await self.services.invocations.detail(invocation_id))


class InvocationResultHandler(InvokingHandler):
    """How one call ended."""

    async def get(self, invocation_id: str) -> None:
        """Answer as the call itself would have been."""
        wait_s = _check_wait(self.query()["wait_s"])
        outcome = await self.services.submissions.outcome(invocation_id, wait_s=wait_s)
        if outcome is None:
            record = await self.services.invocations.record(invocation_id)
            await self.answer(invocation_summary(record), 202)
            return
        await self.answer_recorded(outcome, as_frame=self.wants_frame)


class InvocationReplayHandler(InvokingHandler):
    """One call's inputs, once more."""

    async def post(self, invocation_id: str) -> None:
        """Run them with the same version, or with another one."""
        self.query()
        request = self.decode_body(ReplayRequest)
        log = self.services.invocations
        await log.import_journal()
        record = await log.record(invocation_id, with_values=True)
        if record.inputs is None:
            raise Conflict(
                f"The inputs of the invocation {invocation_id} ({record.input_bytes} bytes) are "
                "not kept, so it can't run again: they were too large, or too old.",
                name=invocation_id,
            )
        wish = Wish(
            reference=record.reference if request.reference is None else request.reference,
            values=record.inputs,
            caller=Caller(user=self.user),
            timeout_s=request.timeout_s,
            key=self.idempotency_key,
            is_awaited=not self.prefers_async,
            replay_of=record.id,
        )
        await self.submit(wish, as_frame=self.wants_frame)


def _check_wait(wait_s: float | None) -> float:
    if wait_s is not None and not 0 <= wait_s <= MAX_WAIT_S:
        raise RequestInvalid(f"wait_s must be 0 to {MAX_WAIT_S:g}.", field="wait_s")
    return wait_s or 0.0


def _parse_since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # Without an offset it is UTC, as every time that the API tells.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestInvalid(
            f"since must be a time such as 2031-05-06T07:08:09Z, not {text[:60]!r}.", field="since"
        ) from None
