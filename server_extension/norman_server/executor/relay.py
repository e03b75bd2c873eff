"""The way of REST calls to the executor: data connections with the relay's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from norman_protocol import PROTOCOL_VERSIONS
from norman_protocol.errors import (
    ExecutorUnavailable,
    Interrupted,
    NormanError,
    ProtocolViolation,
    QueueFull,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.identifiers import new_id
from norman_protocol.messages import Caller, Cancel, Hello, Invoke, Result
from norman_protocol.values import Value
from norman_server.executor.connection import Connection

__all__ = ["Relay"]

_LARGE_BYTES = 1 << 20
_HANDSHAKE_TIMEOUT_S = 10.0
_READY_TIMEOUT_S = 10.0


@dataclass(slots=True)
class _Lane:
    """A connection that is opened at first use and again after it was lost."""

    connection: Connection | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class Relay:
    """Invokes versions on behalf of callers who came over REST.

    Large calls have a connection of their own, so that a small one never waits for a large
    one's bytes.

    Parameters
    ----------
    socket_path
        The executor's data socket.
    token
        The relay's token, which lets each call name its caller.
    call_limit
        How many calls may be in flight; one more gets `QueueFull`.
    wait_ready
        Returns when the executor serves, or raises `ExecutorUnavailable` after so many seconds.
    """

    def __init__(
        self,
        *,
        socket_path: str,
        token: str,
        call_limit: int,
        body_limit_bytes: int,
        wait_ready: Callable[[float], Awaitable[object]],
    ) -> None:
        self._socket_path = socket_path
        self._wait_ready = wait_ready
        self._token = token
        self._call_limit = call_limit
        self._limits = FrameLimits(body_bytes=body_limit_bytes)
        self._calls = 0
        self._small = _Lane()
        self._large = _Lane()

    async def invoke(
        self,
        reference: str,
        values: Mapping[str, Value],
        *,
        caller: Caller,
        timeout_s: float | None = None,
        invocation_id: str | None = None,
        capture_limit_bytes: int | None = None,
    ) -> Result:
        """Call a version and wait for what it answers; cancelling takes the call back.

        Parameters
        ----------
        invocation_id
            Made here where it is not given.
        capture_limit_bytes
            Outputs up to this size are recorded; by default as of any call.

        Raises
        ------
        QueueFull
            Too many relayed calls are in flight.
        ExecutorUnavailable
            The executor is starting or restarting.
        Interrupted
            It ended in the middle of this call.
        NormanError
            Whatever the executor or the model reported.
        """
        if self._calls >= self._call_limit:
            raise QueueFull(
                f"{self._calls} calls over REST are in flight already, as many as this server "
                "takes at a time. Try again in a moment.",
                reference=reference,
                retry_after_s=1.0,
            )
        self._calls += 1
        try:
            message = Invoke(
                id="",
                reference=reference,
                timeout_s=timeout_s,
                caller=caller,
                invocation_id=invocation_id or new_id(),
                capture_limit_bytes=capture_limit_bytes,
                values=values,
            )
            return await self._invoke(message)
        finally:
            self._calls -= 1

    async def _invoke(self, message: Invoke) -> Result:
        size_bytes = sum(value.size_bytes for value in message.values.values())
        lane = self._large if size_bytes > _LARGE_BYTES else self._small
        connection = lane.connection
        if connection is None or not connection.is_open:
            connection = await self._connect(lane, message.timeout_s)
        call_id = connection.new_id()
        try:
            answer = await connection.request(call_id, replace(message, id=call_id))
        except asyncio.CancelledError:
            if connection.is_open:
                await connection.send(Cancel(id=call_id))
            raise
        except Interrupted as error:
            error.invocation_id = message.invocation_id or ""
            raise
        if not isinstance(answer, Result):
            raise ProtocolViolation(f"The executor answered a call with a {answer.TYPE} message.")
        return answer

    async def _connect(self, lane: _Lane, timeout_s: float | None) -> Connection:
        async with lane.opening:
            if lane.connection is not None and lane.connection.is_open:
                return lane.connection
            patience_s = _READY_TIMEOUT_S if timeout_s is None else min(timeout_s, _READY_TIMEOUT_S)
            await self._wait_ready(patience_s)
            try:
                async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
                    lane.connection = await self._open()
            except (OSError, TimeoutError) as error:
                raise ExecutorUnavailable(
                    "The executor can't be reached right now. Try again in a moment."
                ) from error
            return lane.connection

    async def _open(self) -> Connection:
        connection = await Connection.open_path(
            self._socket_path, limits=self._limits, lost=_interrupted
        )
        oldest, newest = PROTOCOL_VERSIONS
        hello = Hello(
            oldest_protocol=oldest,
            newest_protocol=newest,
            token=self._token,
            role="relay",
            client="norman_server",
        )
        try:
            await connection.request("", hello)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """End the connections; calls in flight get `Interrupted`."""
        for lane in (self._small, self._large):
            if lane.connection is not None:
                lane.connection.close()


def _interrupted() -> NormanError:
    return Interrupted(
        "The executor ended in the middle of this call; it restarts by itself. The model may have "
        "run. Call again if that does no harm."
    )
