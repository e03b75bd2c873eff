"""The executor's service: takes calls, finds their deployment, records and answers them."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from norman_executor.calls import Call, ended_record, failure_answer, result_answer
from norman_executor.codecs import Codecs, CodecSettings
from norman_executor.deployments import Deployment, DeploymentEvents
from norman_executor.devices import list_devices
from norman_executor.journal import Journal
from norman_executor.peers import user_name
from norman_executor.replicas import ReplicaSettings
from norman_executor.routing import Routes
from norman_executor.sessions import Session
from norman_protocol.errors import (
    Conflict,
    InternalError,
    Interrupted,
    InvocationNotFound,
    NormanError,
    NotReady,
    QueueFull,
    RequestInvalid,
    StorageFull,
)
from norman_protocol.frames import FrameLimits
from norman_protocol.identifiers import new_id
from norman_protocol.messages import (
    Accepted,
    Caller,
    Configure,
    Deploy,
    Failure,
    Forget,
    Invoke,
    Prediction,
    ReplicaChanged,
    Result,
    Route,
    Running,
    Started,
    Status,
)
from norman_protocol.peers import check_peer

__all__ = ["ExecutorService"]

_log = logging.getLogger(__name__)

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LISTEN_BACKLOG = 128
_ACCEPT_PAUSE_S = 0.5
_GREETING_CONNECTIONS = 64
"""How many more than the limit may be open, waiting to be told so."""


class ExecutorService:
    """Everything between the data socket and the replicas.

    Parameters
    ----------
    configuration
        Where everything is, the secrets and the limits.
    executor_id
        Names this process in the journal and to clients.
    archive
        The worker's zipapp.
    journal
        Takes every acceptance and end; its owner closes it.
    spawn
        Runs a coroutine in the process's task group.
    announce
        Takes births and deaths of worker processes.

    Notes
    -----
    Not thread-safe: everything happens on the loop's thread.
    """

    def __init__(
        self,
        configuration: Configure,
        *,
        executor_id: str,
        archive: Path,
        journal: Journal,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        announce: Callable[[ReplicaChanged], None],
    ) -> None:
        self.server_id = configuration.server_id
        self.executor_id = executor_id
        self.token = configuration.token
        self.relay_token = configuration.relay_token
        self.user = user_name()
        self._limits = configuration.limits
        self._socket_path = Path(configuration.socket_path)
        self._journal = journal
        self._routes = Routes()
        self._deployments: dict[str, Deployment] = {}
        self._sessions: set[Session] = set()
        self._started_clock = time.monotonic()
        self._listener: socket.socket | None = None
        self._settings = ReplicaSettings(
            archive=archive,
            run_folder=Path(configuration.run_folder),
            limits=configuration.limits,
        )
        self._codecs = Codecs(
            CodecSettings(
                run_folder=Path(configuration.run_folder),
                log_path=Path(configuration.run_folder) / "codec.log",
                limits=configuration.limits,
            ),
            announce,
        )
        self._events = DeploymentEvents(ended=self._ended, changed=announce, spawn=spawn)

    # --- the data socket ---------------------------------------------------------------------

    def listen(self) -> None:
        """Begin to take connections.

        Raises
        ------
        OSError
            The path is too long, say, or its folder is missing.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket_path.unlink(missing_ok=True)
        listener.bind(str(self._socket_path))
        # Not by umask, which is the whole process's; until here the folder alone keeps others out.
        self._socket_path.chmod(0o600)
        listener.listen(_LISTEN_BACKLOG)
        listener.setblocking(False)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            stream, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptor is left, say
            _log.error("connections wait, since none can be taken: %s", error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener.fileno())
            loop.call_later(_ACCEPT_PAUSE_S, self._resume_accepting)
            return
        session = Session(
            stream,
            identity=self,
            taker=self,
            limits=FrameLimits(body_bytes=self._limits.body_limit_bytes),
            on_closed=self._sessions.discard,
        )
        self._sessions.add(session)
        try:
            check_peer(stream)
        except NormanError as error:
            session.close(error)
            return
        if len(self._sessions) > self._limits.connection_limit + _GREETING_CONNECTIONS:
            session.close()
            return
        session.start()

    def _resume_accepting(self) -> None:
        listener = self._listener
        if listener is not None and listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def admit(self) -> None:
        """Refuse one more session where there are too many.

        Raises
        ------
        QueueFull
            The limit of connections is reached. It is said in answer to Hello, where the peer
            reads it; a connection closed before that would show it a broken pipe.
        """
        if len(self._sessions) > self._limits.connection_limit:
            raise QueueFull("Too many connections are open. Close some and try again.")

    # --- calls ---------------------------------------------------------------------------------

    def take(
        self, invoke: Invoke, caller: Caller, answer: Callable[[Result | Failure], None]
    ) -> Call:
        """Accept a call.

        Raises
        ------
        NormanError
            The reference leads nowhere, the inputs don't fit, too much waits, or the disk is full.
            A call that is refused here is no invocation: nothing is recorded.
        """
        deployment = self._deployment(self._routes.resolve(invoke.reference), invoke.reference)
        call = Call(
            request_id=invoke.id,
            reference=deployment.version.reference,
            version_id=deployment.version.version_id,
            caller=caller,
            values=invoke.values,
            timeout_s=self._timeout(invoke.timeout_s),
            answer=answer,
            invocation_id=invoke.invocation_id or new_id(),
            capture_limit_bytes=(
                self._limits.capture_limit_bytes
                if invoke.capture_limit_bytes is None
                else invoke.capture_limit_bytes
            ),
        )
        deployment.check(call)
        self._record_accepted(call)
        deployment.submit(call)
        return call

    def cancel(self, call: Call, reason: NormanError | None = None) -> None:
        """End a call that its caller took back, or for another reason."""
        deployment = self._deployments.get(call.version_id)
        if deployment is not None:
            deployment.cancel(call, reason)

    def cancel_invocation(self, invocation_id: str) -> None:
        """End a call by the invocation's id, whoever waits for it.

        Raises
        ------
        InvocationNotFound
            It has ended, or never came here.
        """
        for deployment in self._deployments.values():
            for call in deployment.calls:
                if call.invocation_id == invocation_id and not call.ended:
                    deployment.cancel(call)
                    return
        raise InvocationNotFound(
            f"The executor has no call {invocation_id[:64]!r} under way.", id=invocation_id[:64]
        )

    def running(self, request_id: str) -> Running:
        """Return which invocations a model is at work on."""
        calls = (deployment.running for deployment in self._deployments.values())
        return Running(
            id=request_id,
            invocation_ids=tuple(
                call.invocation_id for call in calls if call is not None and not call.ended
            ),
        )

    def _timeout(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self._limits.default_timeout_s
        if not 0 < timeout_s <= self._limits.max_timeout_s:
            raise RequestInvalid(
                f"timeout_s must be above 0 and at most {self._limits.max_timeout_s:g} s, "
                f"not {timeout_s:g}.",
                field="timeout_s",
            )
        return timeout_s

    def _record_accepted(self, call: Call) -> None:
        input_bytes = call.input_bytes
        captured = input_bytes <= self._limits.capture_limit_bytes
        record = Accepted(
            invocation_id=call.invocation_id,
            version_id=call.version_id,
            reference=call.reference,
            caller=call.caller,
            accepted_at=call.accepted_at,
            input_bytes=input_bytes,
            captured=captured,
            values=call.values if captured else {},
        )
        try:
            self._journal.append(record)
        except OSError as error:
            raise _storage_error(error) from error

    def _ended(self, call: Call, outcome: Prediction | NormanError) -> None:
        prediction = outcome if isinstance(outcome, Prediction) else None
        error = outcome if isinstance(outcome, NormanError) else None
        timings = call.timings(prediction.model_s if prediction is not None else 0.0)
        record = ended_record(
            call,
            timings=timings,
            prediction=prediction,
            error=error,
        )
        try:
            self._journal.append(record)
        except OSError:
            # The caller still gets the answer; the record says interrupted after the next start.
            _log.exception("the end of invocation %s could not be recorded", call.invocation_id)
        if prediction is not None:
            deployment = self._deployments.get(call.version_id)
            labels = {} if deployment is None else deployment.labels
            call.answer(result_answer(call, prediction, record, labels))
        elif error is not None:
            call.answer(failure_answer(call, error))

    # --- what the server asks ------------------------------------------------------------------

    async def deploy(self, version: Deploy) -> None:
        """Make a version known; one that changed loses its replica."""
        current = self._deployments.get(version.version_id)
        # The new one first: a call that comes while the old one closes must not wait in it.
        self._deployments[version.version_id] = Deployment(
            version, self._settings, self._events, self._codecs
        )
        if current is not None:
            await current.close()

    async def start(self, version_id: str, request_id: str) -> Started:
        """Start a replica and describe the version.

        Raises
        ------
        NormanError
            It was never deployed, or can't be loaded.
        """
        loaded = await self._deployment(version_id, version_id).start()
        return Started(id=request_id, signature=loaded.signature, load_s=loaded.load_s)

    async def stop(self, version_id: str, *, only_idle: bool = False) -> None:
        """Stop serving a version and forget it.

        Raises
        ------
        Conflict
            Only an idle one was to be stopped, and calls run or wait.
        """
        found = self._deployments.get(version_id)
        if only_idle and found is not None and found.calls:
            raise Conflict(
                f"Calls of {found.version.reference} run or wait. Wait for them, or cancel them: "
                f"%norman invocations {found.version.reference}",
                name=found.version.reference,
            )
        deployment = self._deployments.pop(version_id, None)
        if deployment is not None:
            reason = NotReady(
                f"{deployment.version.reference} was stopped.",
                reference=deployment.version.reference,
                state="stopped",
            )
            await deployment.close(reason)

    def route(self, route: Route) -> None:
        """Take the routing of a model."""
        self._routes.replace(route)

    def forget(self, forget: Forget) -> None:
        """Drop the routing of a model."""
        self._routes.forget(forget.name)

    def status(self, request_id: str) -> Status:
        """Return what runs."""
        statuses = (deployment.status() for deployment in self._deployments.values())
        return Status(
            id=request_id,
            executor_id=self.executor_id,
            uptime_s=time.monotonic() - self._started_clock,
            connections=len(self._sessions),
            deployments=tuple(
                status for status in statuses if status.state != "stopped" or status.calls
            ),
            devices=list_devices(),
        )

    async def close(self) -> None:
        """Stop taking calls, end every replica and answer what still waits."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._socket_path.unlink(missing_ok=True)
        deployments, self._deployments = list(self._deployments.values()), {}
        await asyncio.gather(*(deployment.close() for deployment in deployments))
        await self._codecs.close()
        for session in list(self._sessions):
            session.close(Interrupted("The executor stopped."))

    def _deployment(self, version_id: str, reference: str) -> Deployment:
        deployment = self._deployments.get(version_id)
        if deployment is None:
            raise NotReady(
                f"{reference} is not deployed yet. Try again in a moment.",
                reference=reference,
                state="stopped",
            )
        return deployment


def _storage_error(error: OSError) -> NormanError:
    if error.errno in _DISK_FULL:
        return StorageFull("The disk of the server's home is full: the call can't be recorded.")
    return InternalError(f"The call can't be recorded: {error.strerror}.")
