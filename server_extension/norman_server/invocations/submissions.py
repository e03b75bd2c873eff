"""Calls that are kept before they are answered: their callers may leave, and come back for them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from norman_protocol.errors import (
    Cancelled,
    Conflict,
    ExecutorUnavailable,
    IdempotencyConflict,
    Interrupted,
    NormanError,
    NotReady,
    PayloadTooLarge,
    QueueFull,
    RequestInvalid,
)
from norman_protocol.identifiers import new_id
from norman_protocol.messages import Caller, Result
from norman_protocol.references import parse_reference
from norman_protocol.signature import check_inputs
from norman_protocol.values import Value, write_descriptors
from norman_server.domain.records import NO_EXECUTOR, CallKey, InvocationRecord
from norman_server.executor.relay import Relay
from norman_server.invocations.folding import ending
from norman_server.invocations.service import InvocationLog
from norman_server.registry.service import Registry
from norman_server.storage.opening import Storage

__all__ = ["SubmissionLimits", "Submissions", "Wish", "fingerprint"]

_log = logging.getLogger(__name__)

Outcome: TypeAlias = Result | NormanError

_INLINE_BYTES: Final = 1 << 20
_KEY_CHARACTERS: Final = 200
_LONGEST_PAUSE_S: Final = 1.0
_END_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionLimits:
    """Bounds of what is kept.

    Attributes
    ----------
    waiting
        Calls that may be kept and unfinished; one more is refused.
    payload_bytes
        Inputs above it are refused; outputs above it are not kept.
    at_once
        Calls without a caller that waits, of those that are with the executor together.
    keys_s
        How long a key stands for its call.
    default_timeout_s, max_timeout_s
        The executor's own.
    """

    waiting: int = 1000
    payload_bytes: int = 64 << 20
    at_once: int = 32
    keys_s: float = 86400.0
    default_timeout_s: float = 60.0
    max_timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A call that is to be kept.

    Attributes
    ----------
    key
        By which its caller means this one call, however often it is sent.
    is_awaited
        Whether its caller waits for the answer.
    replay_of
        The invocation whose inputs these are.
    """

    reference: str
    values: Mapping[str, Value]
    caller: Caller
    timeout_s: float | None = None
    key: str | None = None
    is_awaited: bool = False
    replay_of: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """A kept call that goes on in this process."""

    invocation_id: str
    is_awaited: bool
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    task: asyncio.Task[None] | None = None
    is_cancelled: bool = False


class Submissions:
    """Keeps calls in the database, hands them to the executor, and knows how they ended.

    A call is committed before its caller hears of it. One that no executor took before the server
    ended is handed over at the next start; one that was taken and has no end is interrupted, as
    any other, since its model may have run.

    Parameters
    ----------
    now
        The clock by which keys expire.

    Notes
    -----
    For one event loop.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        registry: Registry,
        relay: Relay,
        log: InvocationLog,
        limits: SubmissionLimits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = storage.invocations
        self._registry = registry
        self._relay = relay
        self._invocations = log
        self._limits = limits
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._turns = asyncio.Semaphore(limits.at_once)
        self._closing = False

    async def submit(self, wish: Wish) -> str:
        """Keep a call and begin it; return the invocation's id.

        Raises
        ------
        IdempotencyConflict
            The key stands for a call of something else.
        ModelNotFound, VersionNotFound, NotReady, InputInvalid, RequestInvalid
            It can't be called so.
        PayloadTooLarge, QueueFull
            The inputs are too large to be kept, or too many calls are.
        """
        _check_key(wish.key)
        timeout_s = self._check_timeout(wish.timeout_s)
        key = None
        invocation_id = new_id()
        if wish.key is not None:
            size_bytes = sum(value.size_bytes for value in wish.values.values())
            key = CallKey(
                user=wish.caller.user,
                key=wish.key,
                fingerprint=(
                    fingerprint(wish)
                    if size_bytes <= _INLINE_BYTES
                    else await asyncio.to_thread(fingerprint, wish)
                ),
                invocation_id=invocation_id,
                created_at=self._now(),
            )
            # First of all: what the call needed may be gone since.
            standing = await self._standing(key)
            if standing is not None:
                return _same(key, standing)
        record = await self._check(wish, invocation_id, timeout_s)
        # Known before it is committed: who finds the key waits for this one.
        entry = _Entry(invocation_id=invocation_id, is_awaited=wish.is_awaited)
        self._entries[invocation_id] = entry
        keys_since = self._keys_since()
        try:
            standing = await self._database.write(lambda rows: rows.submit(record, key, keys_since))
        except BaseException:
            self._abandon(entry)
            raise
        if standing is not None and key is not None:
            self._abandon(entry)
            return _same(key, standing)
        self._begin(entry)
        return invocation_id

    async def outcome(self, invocation_id: str, *, wait_s: float | None = None) -> Outcome | None:
        """Return how a call ended, waiting for it; None where it goes on after ``wait_s``.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        Conflict
            It succeeded, and its outputs were not kept.
        """
        entry = self._entries.get(invocation_id)
        if entry is not None:
            try:
                async with asyncio.timeout(wait_s):
                    return await asyncio.shield(entry.outcome)
            except TimeoutError:
                return None
        return await self._invocations.outcome(invocation_id, wait_s=wait_s)

    async def cancel(self, invocation_id: str) -> None:
        """End a call, wherever it is; one that has ended stays as it is.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        Conflict
            It ended otherwise before.
        """
        entry = self._entries.get(invocation_id)
        if entry is not None and entry.task is not None and not entry.outcome.done():
            entry.is_cancelled = True
            entry.task.cancel()
            await asyncio.wait([entry.task])
        else:
            await self._invocations.cancel(invocation_id)
        detail = await self._invocations.detail(invocation_id)
        state = detail.invocation.state
        if state != "cancelled":
            raise Conflict(
                f"The invocation {invocation_id} can't be cancelled: it is {state}.",
                name=invocation_id,
            )

    async def recover(self) -> int:
        """Begin what waited in the database when the server ended; return how many that were."""
        waiting = await self._database.read(lambda rows: rows.waiting())
        for invocation_id in waiting:
            if invocation_id not in self._entries:
                entry = _Entry(invocation_id=invocation_id, is_awaited=False)
                self._entries[invocation_id] = entry
                self._begin(entry)
        return len(waiting)

    def stop(self) -> None:
        """Hand nothing over any more; what waits, waits for the next start."""
        self._closing = True

    async def close(self) -> None:
        """Give up what still goes on, once the executor has ended."""
        self._closing = True
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is asked ----------------------------------------------------------------------

    async def _check(
        self, wish: Wish, invocation_id: str, timeout_s: float | None
    ) -> InvocationRecord:
        if self._closing:
            raise ExecutorUnavailable("The server is stopping.", retry_after_s=1.0)
        if len(self._entries) >= self._limits.waiting:
            raise QueueFull(
                f"{self._limits.waiting} kept calls are unfinished already. Try again later.",
                reference=wish.reference,
            )
        size_bytes = sum(value.size_bytes for value in wish.values.values())
        if size_bytes > self._limits.payload_bytes:
            raise PayloadTooLarge(
                f"The inputs have {size_bytes} bytes; up to {self._limits.payload_bytes} can be "
                "kept. Call without Prefer: respond-async and Idempotency-Key.",
                size_bytes=size_bytes,
                limit_bytes=self._limits.payload_bytes,
            )
        version = await self._registry.version(parse_reference(wish.reference))
        if version.state != "ready":
            raise NotReady(
                f"{version.reference} is {version.state}: %norman show {version.reference}",
                reference=version.reference,
                state=version.state,
            )
        if version.signature is not None:
            check_inputs(version.signature, wish.values)
        return InvocationRecord(
            id=invocation_id,
            executor_id=NO_EXECUTOR,
            version_id=version.id,
            reference=version.reference,
            caller=wish.caller,
            accepted_at=self._now(),
            input_bytes=size_bytes,
            inputs=wish.values,
            timeout_s=timeout_s,
            replay_of=wish.replay_of,
        )

    def _check_timeout(self, timeout_s: float | None) -> float | None:
        if timeout_s is not None and not 0 < timeout_s <= self._limits.max_timeout_s:
            raise RequestInvalid(
                f"timeout_s must be above 0 and at most {self._limits.max_timeout_s:g} s, "
                f"not {timeout_s:g}.",
                field="timeout_s",
            )
        return timeout_s

    async def _standing(self, key: CallKey) -> CallKey | None:
        since = self._keys_since()
        return await self._database.read(lambda rows: rows.key(key.user, key.key, since))

    def _keys_since(self) -> datetime:
        return self._now() - timedelta(seconds=self._limits.keys_s)

    # --- what is done -----------------------------------------------------------------------

    def _begin(self, entry: _Entry) -> None:
        entry.task = asyncio.create_task(
            self._carry_out(entry), name=f"invocation {entry.invocation_id}"
        )

    def _abandon(self, entry: _Entry) -> None:
        self._entries.pop(entry.invocation_id, None)
        entry.outcome.cancel()

    async def _carry_out(self, entry: _Entry) -> None:
        try:
            try:
                outcome = await self._in_turn(entry)
            except asyncio.CancelledError:
                if not entry.is_cancelled:
                    raise
                outcome = Cancelled("The call was cancelled.", invocation_id=entry.invocation_id)
            if not entry.is_cancelled:
                entry.outcome.set_result(outcome)
            await self._settle(entry, outcome)
            if entry.is_cancelled and not entry.outcome.done():
                entry.outcome.set_result(outcome)
        except NormanError as error:
            _log.error("what became of invocation %s can't be kept: %s", entry.invocation_id, error)
            if not entry.outcome.done():
                entry.outcome.set_result(error)
        finally:
            self._entries.pop(entry.invocation_id, None)
            if not entry.outcome.done():
                stopped = Interrupted(
                    "The server stopped. The call is kept: ask for it again at its successor.",
                    invocation_id=entry.invocation_id,
                )
                entry.outcome.set_result(stopped)
            self._invocations.announce(entry.invocation_id)

    async def _in_turn(self, entry: _Entry) -> Outcome:
        if entry.is_awaited:
            return await self._hand_over(entry)
        async with self._turns:
            return await self._hand_over(entry)

    async def _hand_over(self, entry: _Entry) -> Outcome:
        """Bring a call to the executor, which may be busy or restarting."""
        record = await self._invocations.record(entry.invocation_id, with_values=True)
        timeout_s = record.timeout_s or self._limits.default_timeout_s
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            if self._closing:
                raise asyncio.CancelledError
            try:
                return await self._relay.invoke(
                    record.reference,
                    record.inputs or {},
                    caller=record.caller,
                    timeout_s=max(deadline - loop.time(), 0.001),
                    invocation_id=record.id,
                    capture_limit_bytes=self._limits.payload_bytes,
                )
            except Interrupted as error:
                await self._invocations.import_journal()
                if (await self._invocations.record(record.id)).executor_id != NO_EXECUTOR:
                    return error  # its model may have run
                refusal: NormanError = error
            except NormanError as error:
                if not _passes(error):
                    return error
                refusal = error
            pause_s = min(getattr(refusal, "retry_after_s", _LONGEST_PAUSE_S), _LONGEST_PAUSE_S)
            if loop.time() + pause_s >= deadline:
                return refusal
            await asyncio.sleep(pause_s)

    async def _settle(self, entry: _Entry, outcome: Outcome) -> None:
        """See to it that the record has its end: the executor's, or ours where it wrote none."""
        await self._invocations.import_journal()
        record = await self._invocations.record(entry.invocation_id)
        taken = record.executor_id != NO_EXECUTOR
        if isinstance(outcome, Cancelled) and taken and record.end is None:
            await self._invocations.wait(entry.invocation_id, _END_PATIENCE_S)
        if taken and isinstance(outcome, Interrupted):
            return  # the end of its executor is the end of the call, whoever tells of it
        end = ending(outcome, self._now(), self._limits.payload_bytes)
        await self._database.write(lambda rows: rows.end(entry.invocation_id, end))


def _passes(error: NormanError) -> bool:
    """Whether a refusal, before which nothing ran, is one of the moment."""
    if isinstance(error, NotReady):
        return error.state == "stopped"
    return isinstance(error, (QueueFull, ExecutorUnavailable))


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= _KEY_CHARACTERS and key.isprintable()):
        raise RequestInvalid(
            f"Idempotency-Key is 1 to {_KEY_CHARACTERS} printable characters.",
            field="Idempotency-Key",
        )


def _same(key: CallKey, standing: CallKey) -> str:
    if standing.fingerprint != key.fingerprint:
        raise IdempotencyConflict(
            f"The key {key.key!r} stands for another call already, the invocation "
            f"{standing.invocation_id}. A new call needs a new key.",
            key=key.key,
            invocation_id=standing.invocation_id,
        )
    return standing.invocation_id


def fingerprint(wish: Wish) -> str:
    """Return a digest of what is called, with what and for how long.

    Examples
    --------
    >>> one = Wish(reference="digits", values={}, caller=Caller(user="ada"))
    >>> other = Wish(reference="digits@2", values={}, caller=Caller(user="ada"))
    >>> fingerprint(one) == fingerprint(one), fingerprint(one) == fingerprint(other)
    (True, False)
    """
    # In one order: the same inputs are the same call, however they were written.
    values = dict(sorted(wish.values.items()))
    head = repr((wish.reference, wish.timeout_s, wish.replay_of, write_descriptors(values)))
    digest = hashlib.sha256(head.encode("utf-8", "surrogatepass"))
    for value in values.values():
        digest.update(f"|{value.size_bytes}|".encode())
        digest.update(value.buffer)
    return digest.hexdigest()
