"""What the executor knows of calls that go on: which of them run, and how to end one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from norman_protocol.errors import ExecutorUnavailable, Interrupted, InvocationNotFound
from norman_protocol.messages import CancelInvocation, Done, GetRunning, Running
from norman_server.executor.session import Session

__all__ = ["LiveCalls"]

_ANSWER_TIMEOUT_S = 2.0


class LiveCalls:
    """Asks the executor, when somebody looks: no call pays for it.

    Parameters
    ----------
    session
        Returns the executor's session, or raises `ExecutorUnavailable` after so many seconds.
    """

    def __init__(self, session: Callable[[float], Awaitable[Session]]) -> None:
        self._session = session

    async def running(self) -> frozenset[str]:
        """Return the invocations that run; none where no executor answers."""
        try:
            session = await self._session(0.0)
            request = GetRunning(id=session.new_id())
            answer = await session.request(request, Running, timeout_s=_ANSWER_TIMEOUT_S)
        except (ExecutorUnavailable, Interrupted):
            return frozenset()
        return frozenset(answer.invocation_ids)

    async def cancel(self, invocation_id: str) -> bool:
        """End a call; False where the executor has none of that id under way.

        Raises
        ------
        ExecutorUnavailable, Interrupted
            No executor answers: whatever it ran has an end.
        """
        session = await self._session(_ANSWER_TIMEOUT_S)
        request = CancelInvocation(id=session.new_id(), invocation_id=invocation_id)
        try:
            await session.request(request, Done, timeout_s=_ANSWER_TIMEOUT_S)
        except InvocationNotFound:
            return False
        return True
