"""A deployment: one version being served, its queue, and the replica behind it.

One replica for now; it is started when it is first needed, replaced when it dies, and stopped when
nobody has called for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from norman_executor.calls import Call
from norman_executor.codecs import Codecs
from norman_executor.devices import resident_bytes
from norman_executor.preparation import Preparation
from norman_executor.replicas import Replica, ReplicaEvents, ReplicaSettings
from norman_protocol.errors import (
    Cancelled,
    Interrupted,
    NormanError,
    QueueFull,
    TimedOut,
)
from norman_protocol.messages import Deploy, DeploymentStatus, Loaded, Prediction, ReplicaChanged
from norman_protocol.signature import Signature, check_inputs

__all__ = ["Deployment", "DeploymentEvents", "State"]

_log = logging.getLogger(__name__)

_BACKOFF_FIRST_S = 1.0
_BACKOFF_LIMIT_S = 60.0

State = Literal["stopped", "starting", "ready", "failed"]


class DeploymentEvents:
    """Whom a deployment tells, and how it runs tasks.

    Attributes
    ----------
    ended
        Takes each call with its prediction or error, once.
    changed
        Takes births and deaths of worker processes.
    spawn
        Runs a coroutine in the executor's task group.
    """

    __slots__ = ("changed", "ended", "spawn")

    def __init__(
        self,
        *,
        ended: Callable[[Call, Prediction | NormanError], None],
        changed: Callable[[ReplicaChanged], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.ended = ended
        self.changed = changed
        self.spawn = spawn


class Deployment:
    """One version being served.

    Not thread-safe: everything happens on the executor's loop.
    """

    def __init__(
        self,
        version: Deploy,
        settings: ReplicaSettings,
        events: DeploymentEvents,
        codecs: Codecs,
    ) -> None:
        self.version = version
        self.signature: Signature | None = None
        self._preparation = Preparation(
            codecs, settings.limits, end=self._end, on_ready=self._go_on
        )
        self._queue = self._preparation.queue
        self._learn(version.signature)
        self._settings = settings
        self._events = events
        self._replica_events = ReplicaEvents(
            finished=self._finished, died=self._died, changed=events.changed
        )
        self._replica: Replica | None = None
        self._running: Call | None = None
        self._loaded: Loaded | None = None
        self._starting: asyncio.Future[Loaded] | None = None
        self._failure: NormanError | None = None
        self._failures_in_a_row = 0
        self._retry_clock = 0.0
        self._idle_since = time.monotonic()
        self._idle_check: asyncio.TimerHandle | None = None
        self._closed = False
        self._calls = self._failed_calls = self._restarts = 0

    @property
    def state(self) -> State:
        """What the deployment does now."""
        if self._replica is not None:
            return "ready"
        if self._starting is not None:
            return "starting"
        return "failed" if self._failure is not None else "stopped"

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What the places along the last axis of outputs stand for, by the outputs' names."""
        return self._preparation.labels

    @property
    def running(self) -> Call | None:
        """The call that the model is at work on."""
        return self._running

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that is here: what runs, then what waits."""
        running = () if self._running is None else (self._running,)
        return (*self._preparation.encoding, *running, *self._queue)

    def status(self) -> DeploymentStatus:
        """Return counts and sizes, for people."""
        pid = self._replica.pid if self._replica is not None else None
        return DeploymentStatus(
            reference=self.version.reference,
            version_id=self.version.version_id,
            state=self.state,
            pid=pid,
            queued=len(self._queue),
            running=int(self._running is not None),
            calls=self._calls,
            failures=self._failed_calls,
            restarts=self._restarts,
            memory_bytes=resident_bytes(pid) if pid is not None else 0,
        )

    def check(self, call: Call) -> None:
        """Refuse a call that can't be taken.

        Raises
        ------
        QueueFull, InputInvalid
            Too many wait already, or the inputs don't fit the signature.
        NormanError
            What the last start failed with, while its back-off lasts.
        """
        limit = self._settings.limits.queue_limit
        if len(self._queue) >= limit:
            raise QueueFull(
                f"{limit} calls of {self.version.reference} wait already. Try again later.",
                reference=self.version.reference,
            )
        if self._failure is not None and time.monotonic() < self._retry_clock:
            raise self._failure
        if self.signature is not None:
            check_inputs(self.signature, call.values)

    def submit(self, call: Call) -> None:
        """Take a call that `check` passed; ``ended`` tells how it went."""
        self._calls += 1
        self._set_deadline(call, call.timeout_s)
        self._queue.append(call)
        self._go_on()

    def cancel(self, call: Call, reason: NormanError | None = None) -> None:
        """End a call because its caller took it back or left.

        A call that runs is answered at once; if its model doesn't finish soon either, the replica
        is replaced: nobody is to wait for an answer that nobody wants.
        """
        if call is not self._running:
            self._preparation.drop(call)
        elif not call.ended:
            self._set_deadline(call, self._settings.limits.cancel_grace_s)
        self._end(call, reason or Cancelled("The call was cancelled."))
        self._go_on()

    async def start(self) -> Loaded:
        """Load the version now; several callers share one start.

        Raises
        ------
        NormanError
            Why it can't be loaded.
        """
        if self._replica is not None and self._loaded is not None:
            return self._loaded
        return await asyncio.shield(self._starting or self._begin_start())

    async def close(self, error: NormanError | None = None) -> None:
        """Stop serving; what waits or runs ends with ``error`` (default: interrupted)."""
        self._closed = True
        reason = error or Interrupted("The executor stopped before the call was done.")
        if self._idle_check is not None:
            self._idle_check.cancel()
        running, self._running = self._running, None
        if running is not None:
            self._end(running, reason)
        for call in [*self._preparation.encoding, *self._queue]:
            self._preparation.drop(call)
            self._end(call, reason)
        replica, self._replica = self._replica, None
        if replica is not None:
            await replica.stop(gracefully=not replica.busy)

    def _dispatch(self) -> None:
        replica = self._replica
        if replica is None:
            if self._starting is None and not self._closed:
                self._begin_start()
            return
        if replica.busy or not self._queue:
            return
        if not replica.alive:
            return  # its end is about to be reported, and then replaced; the call keeps its place
        if self._preparation.is_behind:
            return
        call = self._preparation.take()
        if call is None:
            return  # all that may be decoded ahead still is
        self._running = call
        call.dispatched_clock = time.perf_counter()
        replica.predict(call)
        call.own_values = {}  # maybe large, and with the worker now

    def _go_on(self) -> None:
        """Do what may be done by now for those who wait."""
        if self._queue:
            self._preparation.look_ahead()
            self._dispatch()

    def _learn(self, signature: Signature | None) -> None:
        self.signature = signature
        self._preparation.learn(signature)

    def _begin_start(self) -> asyncio.Future[Loaded]:
        future: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        # Retrieved here as well: nobody may wait for a start that a call caused.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._starting = future
        self._events.spawn(self._start(future))
        return future

    async def _start(self, future: asyncio.Future[Loaded]) -> None:
        try:
            replica, loaded = await Replica.start(
                self.version, self._settings, self._replica_events
            )
        except NormanError as error:
            self._starting = None
            self._start_failed(error)
            future.set_exception(error)
            return
        except BaseException:
            future.cancel()
            raise
        self._starting = None
        if self._closed:
            await replica.stop()
            future.set_exception(Interrupted("The deployment was stopped while it was starting."))
            return
        self._replica, self._failure, self._failures_in_a_row = replica, None, 0
        self._loaded = loaded
        self._learn(loaded.signature)
        future.set_result(loaded)
        self._events.spawn(replica.watch())
        self._became_idle()
        self._go_on()

    def _start_failed(self, error: NormanError) -> None:
        pause_s = min(_BACKOFF_FIRST_S * 2**self._failures_in_a_row, _BACKOFF_LIMIT_S)
        self._failures_in_a_row += 1
        self._failure = error
        self._retry_clock = time.monotonic() + pause_s
        for call in list(self._queue):
            self._preparation.drop(call)
            self._end(call, error)

    def _finished(self, call: Call, outcome: Prediction | NormanError) -> None:
        if call is self._running:
            self._running = None
        self._preparation.answer(call, outcome)
        if self._queue:
            self._go_on()
        else:
            self._became_idle()

    def _died(self, replica: Replica, how: str) -> None:
        _log.warning("worker of %s lost: %s", self.version.reference, how)
        if self._replica is replica:
            self._replica = None
            self._replace()

    def _replace(self) -> None:
        if not self._closed and self._starting is None:
            self._restarts += 1
            self._begin_start()

    def _set_deadline(self, call: Call, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() + delay_s
        if call.deadline is not None:
            limit = min(limit, call.deadline.when())
            call.deadline.cancel()
        call.deadline = loop.call_at(limit, self._expire, call)

    def _expire(self, call: Call) -> None:
        error = TimedOut(
            f"{self.version.reference} did not answer within {call.timeout_s:g} s.",
            timeout_s=call.timeout_s,
        )
        if call is not self._running:
            self._preparation.drop(call)
            self._end(call, error)
            self._go_on()
            return
        # A model can't be interrupted safely in the middle of native code; its process can. This
        # holds too where the caller has left meanwhile: a hung call must not block the next one.
        self._end(call, error)
        replica, self._replica, self._running = self._replica, None, None
        if replica is not None:
            self._events.spawn(replica.stop(gracefully=False))
            self._replace()

    def _end(self, call: Call, outcome: Prediction | NormanError) -> None:
        if call.deadline is not None and call is not self._running:
            call.deadline.cancel()
        if call.ended:
            return
        call.ended = True
        if isinstance(outcome, NormanError):
            self._failed_calls += 1
        self._events.ended(call, outcome)

    def _became_idle(self) -> None:
        self._idle_since = time.monotonic()
        if self._idle_check is None:
            self._check_later(self._settings.limits.replica_idle_timeout_s)

    def _check_later(self, delay_s: float) -> None:
        self._idle_check = asyncio.get_running_loop().call_later(delay_s, self._check_idle)

    def _check_idle(self) -> None:
        self._idle_check = None
        replica = self._replica
        if replica is None or self._closed:
            return
        timeout_s = self._settings.limits.replica_idle_timeout_s
        idle_s = time.monotonic() - self._idle_since
        if replica.busy or self._queue:
            self._check_later(timeout_s)
        elif idle_s < timeout_s:
            self._check_later(timeout_s - idle_s)
        else:
            self._replica = None
            self._events.spawn(replica.stop())
