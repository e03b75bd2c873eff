"""Codec processes: files of media become tensors, and back, away from the executor's own loop.

A decoder parses what a stranger sent, in native code: it may crash, hang or eat memory. So it works
in a process of its own, which is killed where it is late, and replaced where it is lost.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from norman_executor.connection import Connection
from norman_executor.processes import WorkerProcess
from norman_protocol.errors import (
    InputInvalid,
    InternalError,
    OutputInvalid,
    ProtocolViolation,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.identifiers import new_id
from norman_protocol.media import MediaLimits
from norman_protocol.messages import (
    Decode,
    Decoded,
    Encode,
    Encoded,
    ExecutorLimits,
    Failure,
    Message,
    ReplicaChanged,
)
from norman_protocol.signature import Parameter
from norman_protocol.values import Value

__all__ = ["CodecSettings", "Codecs"]

_log = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-P", "-m", "norman_codec")
_OWNER: Final = "codec"
_Answer = TypeVar("_Answer", Decoded, Encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSettings:
    """What every codec process is started with."""

    run_folder: Path
    log_path: Path
    limits: ExecutorLimits
    command: tuple[str, ...] = _COMMAND

    @property
    def media(self) -> MediaLimits:
        """What a file may become at most."""
        return MediaLimits(
            pixels=self.limits.media_pixels,
            seconds=self.limits.media_seconds,
            decoded_bytes=self.limits.media_decoded_bytes,
        )


class Codecs:
    """As many codec processes as the limits allow, each started when it is first needed.

    Parameters
    ----------
    changed
        Takes births and deaths of the processes.

    Notes
    -----
    Not thread-safe: everything happens on the executor's loop. A request that is cancelled costs
    its process: native code can't be interrupted safely.
    """

    def __init__(self, settings: CodecSettings, changed: Callable[[ReplicaChanged], None]) -> None:
        self._settings = settings
        self._changed = changed
        self._places = asyncio.Semaphore(settings.limits.codec_workers)
        self._idle: list[_Codec] = []
        self._all: set[_Codec] = set()
        self._retiring: asyncio.TimerHandle | None = None
        self._closed = False

    async def decode(
        self, parameters: tuple[Parameter, ...], values: Mapping[str, Value]
    ) -> Mapping[str, Value]:
        """Turn files, by titles, into what the model takes, by its own names.

        Raises
        ------
        InputInvalid
            A file isn't what its parameter takes, is too large, or was too much for the decoder.
        """
        request = Decode(
            id=new_id(), parameters=parameters, limits=self._settings.media, values=values
        )
        try:
            return (await self._ask(request, Decoded)).values
        except _CodecLost as lost:
            names = ", ".join(repr(parameter.name) for parameter in parameters)
            raise InputInvalid(
                f"Input {names} was too much for its decoder, which {lost}. Is the file damaged?",
                input=parameters[0].name,
            ) from None

    async def encode(
        self, parameters: tuple[Parameter, ...], values: Mapping[str, Value]
    ) -> Mapping[str, Value]:
        """Turn what the model gave, by its own names, into files by titles.

        Raises
        ------
        OutputInvalid
            It can't be written in its encoding.
        """
        request = Encode(
            id=new_id(), parameters=parameters, limits=self._settings.media, values=values
        )
        try:
            return (await self._ask(request, Encoded)).values
        except _CodecLost as lost:
            names = ", ".join(repr(parameter.name) for parameter in parameters)
            raise OutputInvalid(
                f"Output {names} was too much for its encoder, which {lost}.",
                output=parameters[0].name,
            ) from None

    async def close(self) -> None:
        """End every process."""
        self._closed = True
        if self._retiring is not None:
            self._retiring.cancel()
        await asyncio.gather(*(codec.stop() for codec in list(self._all)))
        self._all.clear()
        self._idle.clear()

    async def _ask(self, request: Decode | Encode, kind: type[_Answer]) -> _Answer:
        async with self._places:
            codec = await self._take()
            try:
                answer = await codec.ask(request)
            except BaseException:
                # Also where nobody waits any more: what it is at can't be interrupted.
                codec.stop_soon(self._all.discard)
                await codec.stop()
                raise
            codec.idle_since = time.monotonic()
            self._idle.append(codec)
            self._retire_later()
        if isinstance(answer, Failure):
            raise answer.to_error()
        if not isinstance(answer, kind):
            raise ProtocolViolation(f"A codec answered with {answer.TYPE}.")
        return answer

    async def _take(self) -> _Codec:
        if self._closed:
            raise InternalError("The executor is stopping.")
        while self._idle:
            codec = self._idle.pop()
            if codec.alive:
                return codec
            codec.stop_soon(self._all.discard)
            await codec.stop()
        try:
            codec = await _Codec.start(self._settings, self._changed)
        except OSError as error:
            raise InternalError(f"A codec can't be started: {error.strerror or error}.") from error
        self._all.add(codec)
        return codec

    def _retire_later(self) -> None:
        if self._retiring is None and not self._closed:
            delay_s = self._settings.limits.replica_idle_timeout_s
            self._retiring = asyncio.get_running_loop().call_later(delay_s, self._retire)

    def _retire(self) -> None:
        """Stop those that nobody needed for as long as an idle replica is kept."""
        self._retiring = None
        limit = time.monotonic() - self._settings.limits.replica_idle_timeout_s
        tired = [codec for codec in self._idle if codec.idle_since <= limit]
        for codec in tired:
            self._idle.remove(codec)
            codec.stop_soon(self._all.discard)
        if self._idle:
            self._retire_later()


class _CodecLost(Exception):
    """The process ended instead of answering; the text says how."""


class _Codec:
    """One process, with one request at a time."""

    def __init__(
        self,
        process: WorkerProcess,
        changed: Callable[[ReplicaChanged], None],
    ) -> None:
        self.idle_since = time.monotonic()
        self._at_work = False
        self._process = process
        self._changed = changed
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Message] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    @classmethod
    async def start(
        cls, settings: CodecSettings, changed: Callable[[ReplicaChanged], None]
    ) -> _Codec:
        """Start a process.

        Raises
        ------
        OSError
            It can't be started.
        """
        process, stream = await WorkerProcess.start(
            command=settings.command, run_folder=settings.run_folder, log_path=settings.log_path
        )
        codec = cls(process, changed)
        changed(codec._change(alive=True))
        codec._connection = Connection(
            stream,
            limits=FrameLimits(),  # which a codec keeps to; a call's own are for what callers send
            on_message=codec._take,
            on_closed=codec._gone.set,
        )
        codec._connection.start()
        return codec

    @property
    def alive(self) -> bool:
        """Whether a request sent now can reach it."""
        return self._stopping is None and not self._gone.is_set()

    async def ask(self, request: Decode | Encode) -> Message:
        """Send a request and wait for its answer.

        Raises
        ------
        _CodecLost
            The process ended.
        """
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._at_work = True
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            if self._connection is not None:
                self._connection.send(request)
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                message: Message = answer.result()
                if getattr(message, "id", None) != request.id:
                    raise ProtocolViolation("A codec answered a request that it doesn't have.")
                self._at_work = False
                return message
            raise _CodecLost(await self._process.end(gracefully=True))
        finally:
            gone.cancel()
            answer.cancel()
            self._answer = None

    async def stop(self) -> None:
        """End the process, whatever it is at; harmless when repeated.

        It ends too where nobody waits for it any more.
        """
        await asyncio.shield(self._stop_task())

    def stop_soon(self, stopped: Callable[[_Codec], None]) -> None:
        """End the process; ``stopped`` is told."""
        self._stop_task().add_done_callback(lambda _: stopped(self))

    def _stop_task(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        how = await self._process.end(gracefully=not self._at_work)
        _log.debug("codec process %s ended: %s", self._process.pid, how)
        self._process.close()
        self._changed(self._change(alive=False))

    def _take(self, message: Message) -> None:
        if self._answer is None or self._answer.done():
            raise ProtocolViolation(f"A codec sent {message.TYPE} unasked.")
        self._answer.set_result(message)

    def _change(self, *, alive: bool) -> ReplicaChanged:
        return ReplicaChanged(
            version_id=_OWNER,
            pid=self._process.pid,
            started_at=self._process.started_at,
            alive=alive,
        )
