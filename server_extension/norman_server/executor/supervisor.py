"""Keeps one executor process running: spawns it, fills it, watches it, restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from norman_protocol.errors import ExecutorUnavailable, Interrupted, NormanError, ProtocolViolation
from norman_protocol.messages import (
    Configure,
    Configured,
    ExecutorLimits,
    GetStatus,
    Message,
    ReplicaChanged,
    Status,
)
from norman_protocol.rest import ExecutorStatus
from norman_server.executor.connection import Connection
from norman_server.executor.leftovers import Ledger, ProcessRecord, process_record
from norman_server.executor.session import Session

__all__ = ["EXECUTOR_COMMAND", "ExecutorSettings", "Supervisor"]

_log = logging.getLogger(__name__)

_CONFIGURE_TIMEOUT_S = 30.0
_STATUS_TIMEOUT_S = 2.0
_STEADY_S = 30.0
_MIN_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 10.0

EXECUTOR_COMMAND = (sys.executable, "-P", "-m", "norman_executor")
"""-P: a module in the folder where Jupyter was started must not stand in for one of Python's."""

State: TypeAlias = Literal["starting", "ready", "restarting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Where the executor's things are, its secrets and its bounds.

    Attributes
    ----------
    socket_path
        Where callers find the data socket once every version is known to the executor.
    command
        What to run; ``--control-fd N`` is appended.
    end_timeout_s
        How long an executor that shall end may take before it is killed.
    """

    server_id: str
    token: str
    relay_token: str
    socket_path: Path
    journal_folder: Path
    run_folder: Path
    log_path: Path
    limits: ExecutorLimits
    command: Sequence[str] = EXECUTOR_COMMAND
    end_timeout_s: float = 10.0


class Supervisor:
    """Owns the executor process for as long as the server runs.

    Parameters
    ----------
    on_started
        Called with each new session before callers can reach the executor: makes every version
        known to it.
    on_ended
        Called with the id of an executor that has ended, when nothing of it runs any more.
    """

    def __init__(
        self,
        settings: ExecutorSettings,
        *,
        on_started: Callable[[Session], Awaitable[None]],
        on_ended: Callable[[str], Awaitable[object]],
    ) -> None:
        self._settings = settings
        self._on_started = on_started
        self._on_ended = on_ended
        self._ledger = Ledger(settings.run_folder / "processes.json")
        self._saving: set[asyncio.Task[None]] = set()
        self._session: Session | None = None
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._state: State = "starting"
        self._restarts = 0
        self._problem = ""

    @property
    def state(self) -> State:
        """What the executor is doing."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The executor's process id while it serves."""
        return None if self._session is None else self._session.process.pid

    @property
    def executor_id(self) -> str | None:
        """The id of the executor that serves."""
        return None if self._session is None else self._session.executor_id

    async def recover(self) -> None:
        """End what a server that was killed on this home left behind; before `start`."""
        await asyncio.to_thread(self._ledger.end_all)
        await asyncio.to_thread(self._remove_sockets)

    def start(self) -> None:
        """Start the executor in the background."""
        self._task = asyncio.create_task(self._run(), name="norman-executor-supervisor")

    async def stop(self) -> None:
        """End the executor and its workers, and return when they are gone."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._set("stopped", None)

    async def session(self, timeout_s: float) -> Session:
        """Return the session that serves, waiting for it while the executor (re)starts.

        Raises
        ------
        ExecutorUnavailable
            It didn't get ready in time, or the server is stopping.
        """

        def serving() -> bool:
            return self._state == "stopped" or (self._session is not None and self._session.is_open)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(serving)
        if self._session is None or not self._session.is_open:
            reason = f" {self._problem}" if self._problem else ""
            raise ExecutorUnavailable(
                f"The executor is {self._state}.{reason} Try again in a moment; its log is "
                f"logs/{self._settings.log_path.name} in the server's home.",
                retry_after_s=1.0,
            )
        return self._session

    async def status(self) -> tuple[ExecutorStatus, Status | None]:
        """Return the supervisor's view and what the executor says of itself, if it answers."""
        session = self._session
        report: Status | None = None
        if session is not None and session.is_open:
            with contextlib.suppress(NormanError):
                report = await session.request(
                    GetStatus(id=session.new_id()), Status, timeout_s=_STATUS_TIMEOUT_S
                )
        view = ExecutorStatus(
            state=self._state,
            pid=self.pid,
            uptime_s=None if session is None else time.monotonic() - session.started,
            restarts=self._restarts,
            connections=0 if report is None else report.connections,
            deployments=() if report is None else report.deployments,
        )
        return view, report

    # --- the life of the process ------------------------------------------------------------

    async def _run(self) -> None:
        backoff_s = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._live()
                self._problem = ""
            except NormanError as error:
                self._problem = error.message
                _log.warning("The executor didn't start: %s", error.message)
            except OSError as error:
                self._problem = f"It can't be started: {error.strerror or error}."
                _log.warning("The executor can't be started: %s", error)
            except Exception:  # noqa: BLE001 - the border of this task: it must go on
                self._problem = "It failed in an unforeseen way."
                _log.exception("Supervising the executor failed")
            steady = time.monotonic() - began > _STEADY_S
            backoff_s = 0.0 if steady else min(max(_MIN_BACKOFF_S, backoff_s * 2), _MAX_BACKOFF_S)
            self._restarts += 1
            await self._set("restarting", None)
            await asyncio.sleep(backoff_s)

    async def _live(self) -> None:
        """Run one life of the executor from spawning to its end."""
        session: Session | None = None
        # A process that is being made can't be taken back: also who is cancelled meanwhile waits
        # for it, to end it.
        spawning = asyncio.ensure_future(self._spawn())
        try:
            process, connection = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            (spawned,) = await asyncio.gather(spawning, return_exceptions=True)
            if not isinstance(spawned, BaseException):
                await self._clean(*spawned, None)
            raise
        try:
            session = await self._configure(process, connection)
            await self._on_started(session)
            await asyncio.to_thread(self._open_to_callers)
            _log.info("The executor %s runs as process %d.", session.executor_id, process.pid)
            await self._set("ready", session)
            await self._wait_ended(process, connection)
            _log.warning("The executor (process %d) ended: %s.", process.pid, process.returncode)
        finally:
            # Shielded: also a server that is stopping leaves no process behind.
            await asyncio.shield(asyncio.ensure_future(self._clean(process, connection, session)))

    async def _wait_ended(
        self, process: asyncio.subprocess.Process, connection: Connection
    ) -> None:
        ends = {
            asyncio.ensure_future(process.wait()),
            asyncio.ensure_future(connection.wait_closed()),
        }
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    @property
    def _listening_path(self) -> Path:
        return self._settings.socket_path.with_name("live.sock")

    def _open_to_callers(self) -> None:
        """Let callers find the executor's socket.

        Their path is a link that is made when every version is known, so that nobody is told "no
        such model" by an executor that was just restarted. It leads nowhere once the executor,
        which removes its own socket, has ended, also where this server was killed.
        """
        path = self._settings.socket_path
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(self._listening_path.name)
        unfinished.replace(path)

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, Connection]:
        ours, theirs = socket.socketpair()
        try:
            log = await asyncio.to_thread(self._settings.log_path.open, "ab")
            with theirs, log:
                spawned = await asyncio.create_subprocess_exec(
                    *self._settings.command,
                    "--control-fd",
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        record = await asyncio.to_thread(process_record, spawned.pid)
        if record is not None:
            self._ledger.add(record)
            await asyncio.to_thread(self._ledger.save)
        connection = await Connection.open_socket(
            ours, lost=_ended_meanwhile, on_event=self._take_event
        )
        return spawned, connection

    async def _configure(
        self, process: asyncio.subprocess.Process, connection: Connection
    ) -> Session:
        settings = self._settings
        request = Configure(
            id=connection.new_id(),
            server_id=settings.server_id,
            token=settings.token,
            relay_token=settings.relay_token,
            socket_path=str(self._listening_path),
            journal_folder=str(settings.journal_folder),
            run_folder=str(settings.run_folder),
            limits=settings.limits,
        )
        provisional = Session(connection=connection, process=process, executor_id="")
        configured = await provisional.request(request, Configured, timeout_s=_CONFIGURE_TIMEOUT_S)
        return Session(connection=connection, process=process, executor_id=configured.executor_id)

    async def _clean(
        self,
        process: asyncio.subprocess.Process,
        connection: Connection,
        session: Session | None,
    ) -> None:
        if self._session is session:
            self._session = None
        connection.close()  # its end-of-file ends the executor
        try:
            async with asyncio.timeout(self._settings.end_timeout_s):
                await process.wait()
        except TimeoutError:
            _log.warning("The executor (process %d) doesn't end and is killed.", process.pid)
        await asyncio.gather(*self._saving, return_exceptions=True)
        await asyncio.to_thread(self._ledger.end_all)
        await process.wait()
        await asyncio.to_thread(self._remove_sockets)
        if session is not None:
            try:
                await self._on_ended(session.executor_id)
            except NormanError:
                _log.exception("The end of executor %s can't be recorded", session.executor_id)

    def _remove_sockets(self) -> None:
        for path in (self._listening_path, self._settings.socket_path):
            path.unlink(missing_ok=True)

    def _take_event(self, message: Message) -> None:
        if not isinstance(message, ReplicaChanged):
            raise ProtocolViolation(f"The executor sent an unexpected {message.TYPE} message.")
        if message.alive:
            self._ledger.add(ProcessRecord(pid=message.pid, started_at=message.started_at))
        else:
            self._ledger.discard(message.pid)
        saving = asyncio.create_task(asyncio.to_thread(self._ledger.save))
        self._saving.add(saving)
        saving.add_done_callback(self._saved)

    def _saved(self, saving: asyncio.Task[None]) -> None:
        self._saving.discard(saving)
        if not saving.cancelled() and saving.exception() is not None:
            # Only a server that is killed, too, would have needed it.
            _log.warning("The list of workers can't be written: %s", saving.exception())

    async def _set(self, state: State, session: Session | None) -> None:
        async with self._changed:
            self._state = state
            self._session = session
            self._changed.notify_all()


def _ended_meanwhile() -> NormanError:
    return Interrupted("The executor ended meanwhile; it restarts by itself.")
