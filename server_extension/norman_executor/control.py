"""The control channel: what the server tells the executor, and the answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from norman_executor.connection import Connection
from norman_executor.service import ExecutorService
from norman_protocol.errors import InternalError, NormanError, ProtocolViolation
from norman_protocol.frames import FrameLimits
from norman_protocol.messages import (
    CancelInvocation,
    Configure,
    Deploy,
    Done,
    Forget,
    GetRunning,
    GetStatus,
    Message,
    ReplicaChanged,
    Route,
    Start,
    Stop,
    failure_from_error,
)

__all__ = ["ControlChannel"]


class ControlChannel:
    """Our end of the socket pair to the server.

    ``ended`` completes when the server is gone, or broke the protocol: the executor then ends.
    """

    def __init__(
        self, stream: socket.socket, *, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self.ended = asyncio.Event()
        self.configured: asyncio.Future[Configure] = asyncio.get_running_loop().create_future()
        self._spawn = spawn
        self._service: ExecutorService | None = None
        self._connection = Connection(
            stream, limits=FrameLimits(), on_message=self._on_message, on_closed=self.ended.set
        )

    def start(self) -> None:
        """Begin to receive."""
        self._connection.start()

    def serve(self, service: ExecutorService) -> None:
        """Hand further requests to a service."""
        self._service = service

    def send(self, message: Message) -> None:
        """Send an answer or an event."""
        self._connection.send(message)

    def announce(self, change: ReplicaChanged) -> None:
        """Tell the server of a worker's birth or death."""
        self._connection.send(change)

    def close(self) -> None:
        """Close our end."""
        self._connection.close()

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Configure) and not self.configured.done():
            self.configured.set_result(message)
            return
        service = self._service
        if service is None:
            raise ProtocolViolation(f"{message.TYPE} came before Configure was answered.")
        match message:
            case Route():
                service.route(message)
                self.send(Done(id=message.id))
            case Forget():
                service.forget(message)
                self.send(Done(id=message.id))
            case GetStatus():
                self.send(_status(service, message))
            case GetRunning():
                self.send(service.running(message.id))
            case CancelInvocation():
                self.send(_cancel(service, message))
            case Deploy() | Start() | Stop():
                self._spawn(self._carry_out(service, message))
            case _:
                raise ProtocolViolation(f"{message.TYPE} has no place on the control channel.")

    async def _carry_out(self, service: ExecutorService, message: Deploy | Start | Stop) -> None:
        try:
            match message:
                case Deploy():
                    await service.deploy(message)
                    answer: Message = Done(id=message.id)
                case Start():
                    answer = await service.start(message.version_id, message.id)
                case Stop():
                    await service.stop(message.version_id, only_idle=message.only_idle)
                    answer = Done(id=message.id)
        except NormanError as error:
            answer = failure_from_error(message.id, error)
        self.send(answer)


def _status(service: ExecutorService, message: GetStatus) -> Message:
    try:
        return service.status(message.id)
    except OSError as error:
        reason = InternalError(f"The executor can't read its status: {error.strerror}.")
        return failure_from_error(message.id, reason)


def _cancel(service: ExecutorService, message: CancelInvocation) -> Message:
    try:
        service.cancel_invocation(message.invocation_id)
    except NormanError as error:
        return failure_from_error(message.id, error)
    return Done(id=message.id)
