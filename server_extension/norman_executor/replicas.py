"""A replica: one worker process with one loaded version, running one call at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from norman_executor.calls import Call
from norman_executor.connection import Connection
from norman_executor.processes import WorkerProcess
from norman_protocol.errors import (
    LoadFailed,
    NormanError,
    ProtocolViolation,
    ReplicaDied,
    RuntimeMissing,
    TimedOut,
    error_from_wire,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.logs import clean_log
from norman_protocol.messages import (
    Deploy,
    ExecutorLimits,
    Failure,
    Load,
    Loaded,
    Message,
    Predict,
    Prediction,
    ReplicaChanged,
)

__all__ = ["Replica", "ReplicaEvents", "ReplicaSettings"]

_log = logging.getLogger(__name__)

_LOAD_ID = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """What every replica of this executor is started with."""

    archive: Path
    run_folder: Path
    limits: ExecutorLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaEvents:
    """Whom a replica tells.

    ``finished`` takes a call with its prediction or error; ``died`` the replica and how it ended,
    once, when it ends unasked after having loaded; ``changed`` every birth and death of a process.
    """

    finished: Callable[[Call, Prediction | NormanError], None]
    died: Callable[[Replica, str], None]
    changed: Callable[[ReplicaChanged], None]


class Replica:
    """One worker with its loaded version.

    Made by `Replica.start`, which returns when the version is loaded. `predict` takes one call
    at a time; `busy` tells. `stop` ends it.
    """

    def __init__(
        self, version: Deploy, process: WorkerProcess, events: ReplicaEvents, limits: ExecutorLimits
    ) -> None:
        self.version = version
        self._process = process
        self._events = events
        self._limits = limits
        self._call: Call | None = None
        self._connection: Connection | None = None
        self._loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._gone = asyncio.Event()

    @classmethod
    async def start(
        cls, version: Deploy, settings: ReplicaSettings, events: ReplicaEvents
    ) -> tuple[Replica, Loaded]:
        """Start a worker and load the version.

        Raises
        ------
        LoadFailed, RuntimeMissing
            What the worker reported, or that it died or took too long; no process is left.
        """
        try:
            process, stream = await WorkerProcess.start(
                command=(version.interpreter, str(settings.archive)),
                run_folder=settings.run_folder,
                log_path=Path(version.log_path),
            )
        except OSError as error:
            raise LoadFailed(
                f"The interpreter of {version.reference} can't be started: "
                f"{error.strerror or error}.",
                reference=version.reference,
            ) from error
        replica = cls(version, process, events, settings.limits)
        events.changed(replica._change(alive=True))
        limits = FrameLimits(body_bytes=settings.limits.body_limit_bytes)
        replica._connection = Connection(
            stream, limits=limits, on_message=replica._on_message, on_closed=replica._gone.set
        )
        replica._connection.start()
        try:
            return replica, await replica._load()
        except BaseException:
            await replica.stop(gracefully=False)
            raise

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether a call sent now can reach the worker."""
        return not self._stopping and self._connection is not None and not self._connection.closed

    @property
    def busy(self) -> bool:
        """Whether a call runs, also one whose caller has left."""
        return self._call is not None

    def predict(self, call: Call) -> None:
        """Run a call; ``finished`` tells how it went."""
        self._call = call
        self._process.mark_log()
        if self._connection is not None:
            self._connection.send(Predict(id=call.invocation_id, values=call.own_values))

    async def watch(self) -> None:
        """Wait until the worker ends; report it where nobody asked for it."""
        process_ended = asyncio.ensure_future(self._process.wait())
        socket_closed = asyncio.ensure_future(self._gone.wait())
        try:
            # The socket alone doesn't tell: a child that the model forked keeps it open.
            await asyncio.wait((process_ended, socket_closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            process_ended.cancel()
            socket_closed.cancel()
        if self._stopping:
            return
        self._stopping = True
        how = await self._end(gracefully=self._gone.is_set())
        log = await self._log_tail()
        self._process.close()
        call, self._call = self._call, None
        # First the replacement, then the answer: who calls again at once finds it starting.
        self._events.died(self, how)
        if call is not None:
            self._events.finished(call, self._death(how, log))

    async def stop(self, *, gracefully: bool = True) -> None:
        """End the worker; a call that runs is dropped without a word."""
        self._stopping = True
        self._call = None
        await self._end(gracefully=gracefully)
        self._process.close()

    async def _end(self, *, gracefully: bool) -> str:
        if self._connection is not None:
            self._connection.close()
        how = await self._process.end(gracefully=gracefully)
        self._events.changed(self._change(alive=False))
        return how

    async def _load(self) -> Loaded:
        version, limits = self.version, self._limits
        if self._connection is not None:
            self._connection.send(
                Load(
                    id=_LOAD_ID,
                    reference=version.reference,
                    runtime=version.runtime,
                    files=version.files,
                    entry=version.entry,
                    declaration=version.declaration,
                    device=version.device,
                    threads=version.threads,
                    log_limit_bytes=limits.log_limit_bytes,
                )
            )
        process_ended = asyncio.ensure_future(self._process.wait())
        socket_closed = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait(
                (self._loaded, process_ended, socket_closed),
                timeout=limits.load_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._loaded.done():
                return self._loaded.result()
            raise await self._load_failure(
                timed_out=not (process_ended.done() or socket_closed.done())
            )
        finally:
            for waiter in (process_ended, socket_closed, self._loaded):
                waiter.cancel()

    async def _load_failure(self, *, timed_out: bool) -> LoadFailed:
        reference = self.version.reference
        if timed_out:
            reason = f"took longer than {self._limits.load_timeout_s:g} s to load and was stopped"
        else:
            how = await self._process.end(gracefully=True)
            reason = f"ended its worker while it was loading: {how}"
        return LoadFailed(f"{reference} {reason}.", reference=reference, log=await self._log_tail())

    async def _log_tail(self) -> str:
        return clean_log(await self._process.log_tail(), self.version.files)

    def _on_message(self, message: Message) -> None:
        match message:
            case Prediction():
                self._finish(message.id, message)
            case Failure(id=request_id) if request_id == _LOAD_ID:
                if not self._loaded.done():
                    self._loaded.set_exception(_load_error(self.version, message))
            case Failure():
                self._finish(message.id, _call_error(message))
            case Loaded():
                if not self._loaded.done():
                    self._loaded.set_result(message)
            case _:
                raise ProtocolViolation(f"A worker doesn't send {message.TYPE}.")

    def _finish(self, invocation_id: str, outcome: Prediction | NormanError) -> None:
        if self._stopping:
            return
        call = self._call
        if call is None or call.invocation_id != invocation_id:
            raise ProtocolViolation("The worker answered a call that it doesn't have.")
        self._call = None
        self._events.finished(call, outcome)

    def _death(self, how: str, log: str) -> ReplicaDied:
        return ReplicaDied(
            f"The worker of {self.version.reference} was lost during this call: {how}. "
            "The next call gets a new one.",
            reference=self.version.reference,
            exit_status=how,
            log=log,
        )

    def _change(self, *, alive: bool) -> ReplicaChanged:
        return ReplicaChanged(
            version_id=self.version.version_id,
            pid=self._process.pid,
            started_at=self._process.started_at,
            alive=alive,
        )


def _load_error(version: Deploy, failure: Failure) -> NormanError:
    error = failure.to_error()
    if isinstance(error, (LoadFailed, RuntimeMissing, TimedOut)):
        return error
    return LoadFailed(
        f"{version.reference} could not be loaded: {failure.message}", reference=version.reference
    )


def _call_error(failure: Failure) -> NormanError:
    return error_from_wire(failure.code, failure.message, failure.details)
