"""One life of the executor: its control connection, with requests and their answers."""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

from norman_protocol.errors import ExecutorUnavailable, ProtocolViolation
from norman_protocol.messages import Message
from norman_server.executor.connection import Connection

__all__ = ["Session"]

M = TypeVar("M", bound=Message)


class Session:
    """One life of the executor process: its control connection and what it is called."""

    def __init__(
        self, *, connection: Connection, process: asyncio.subprocess.Process, executor_id: str
    ) -> None:
        self._connection = connection
        self.process = process
        self.executor_id = executor_id
        self.started = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether this life still goes on."""
        return self._connection.is_open

    def new_id(self) -> str:
        """Return an id for a control message."""
        return self._connection.new_id()

    async def request(self, message: Message, answer: type[M], *, timeout_s: float = 60.0) -> M:
        """Send a control message and wait for its answer.

        Raises
        ------
        Interrupted
            The executor ended meanwhile.
        ExecutorUnavailable
            It didn't answer in time.
        NormanError
            What it reported.
        """
        try:
            async with asyncio.timeout(timeout_s):
                received = await self._connection.request(message.id, message)  # type: ignore[attr-defined]  # each control message has one
        except TimeoutError as error:
            raise ExecutorUnavailable(
                f"The executor didn't answer within {timeout_s:g} s."
            ) from error
        if not isinstance(received, answer):
            raise ProtocolViolation(f"A {received.TYPE} message doesn't answer {message.TYPE}.")
        return received
