"""A model called over many rows: so many calls at once, the answers in the order of the rows."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from norman_jupyter.client.asyncio_driver import AsyncioDriver
from norman_jupyter.client.core import Core
from norman_jupyter.client.effects import Steps, pause
from norman_jupyter.client.fitting import Fit, plan_fit, settle
from norman_jupyter.client.frames import MappedRow, collect
from norman_jupyter.client.inputs import check_in_flight, check_timeout, merge_inputs
from norman_jupyter.client.loop_thread import LoopThread
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.client.tables import Table, read_table
from norman_jupyter.client.threaded_http import ThreadedHttp
from norman_protocol.errors import (
    ExecutorUnavailable,
    Forbidden,
    InputInvalid,
    ModelNotFound,
    NormanError,
    QueueFull,
    ServerNotFound,
    Unauthenticated,
    VersionNotFound,
)
from norman_protocol.signature import Signature

__all__ = ["MapInterrupted", "MapProgress", "MapRun", "OnRows", "map_blocking"]

# Inputs of the calls under way, together: what of a few large images would not fit into memory.
_HELD_BYTES: Final = 64 << 20
_QUEUE_PATIENCE_S: Final = 300.0
_SHORTEST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 30.0
_TELL_EVERY_S: Final = 0.1
_REST: Final = "not done: "

# What the next row would end with as well, maybe only after a long wait.
_FATAL: Final = (
    ExecutorUnavailable,
    Forbidden,
    ModelNotFound,
    ServerNotFound,
    Unauthenticated,
    VersionNotFound,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapProgress:
    """How far a map is.

    Attributes
    ----------
    done
        Rows that ended, failed ones too.
    failed
        Those of them that failed.
    total
        Rows altogether; None where nobody knows.
    """

    done: int
    failed: int
    total: int | None


_Inputs: TypeAlias = tuple[dict[str, Any], bool]
OnRows: TypeAlias = Callable[[MapProgress], None]
"""Told how far a map is."""


class MapInterrupted(KeyboardInterrupt):
    """A map was interrupted; ``result`` is what it had come to.

    Attributes
    ----------
    result
        As `BlockingNorman.map` returns it: every row that was done with its outputs, the rest
        marked in the column ``error``.
    done, total
        How many rows were done, and of how many (None where nobody knows).
    """

    def __init__(self, result: Any, done: int, total: int | None) -> None:
        of = "" if total is None else f" of {total:,}"
        super().__init__(
            f"Interrupted after {done:,}{of} rows. They are kept: `result` of this exception has "
            "them (in a notebook, sys.last_value.result)."
        )
        self.result = result
        self.done = done
        self.total = total


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What a map has come to; written by one thread, read by another."""

    rows: list[MappedRow] = field(default_factory=list)
    failed: int = 0
    stopped_by: NormanError | None = None

    def add(self, row: MappedRow, table: Table) -> None:
        # What can be read again isn't held twice.
        self.rows.append(row if table.count is None else replace(row, row=None))
        self.failed += row.error is not None

    def progress(self, table: Table) -> MapProgress:
        return MapProgress(done=len(self.rows), failed=self.failed, total=table.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A map that may begin: the version it is for, and how rows fit it."""

    reference: str
    signature: Signature
    fit: Fit


class MapRun:
    """A map under way; made by `Norman.map`.

    ``await`` gives everything at once, as a DataFrame. ``async for`` gives a `MappedRow` for each
    row, in their order, and keeps none: what is done stays done when one leaves the loop.
    """

    def __init__(
        self,
        core: Core,
        driver: AsyncioDriver,
        reference: str,
        data: Any,
        constants: Mapping[str, Any],
        *,
        in_flight: int,
        timeout_s: float | None,
        on_progress: OnRows | None,
    ) -> None:
        self._core = core
        self._driver = driver
        self._reference = reference
        self._constants = constants
        self._timeout_s = check_timeout(timeout_s)
        self._in_flight = check_in_flight(in_flight)
        self._on_progress = on_progress
        self._table = read_table(data)
        self._plan: _Plan | None = None
        self._tally = _Tally()

    @property
    def progress(self) -> MapProgress:
        """How far it is; may be read from any thread."""
        return self._tally.progress(self._table)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.collect().__await__()

    async def __aiter__(self) -> AsyncGenerator[MappedRow, None]:
        async with aclosing(self._answers()) as answers:
            async for row in answers:
                yield row

    async def collect(self) -> Any:
        """Call the model for every row and return them all; see `Norman.map`."""
        tally = self._tally = _Tally()
        async with aclosing(self._answers()) as answers:
            async for row in answers:
                tally.add(row, self._table)
                if self._on_progress is not None:
                    self._on_progress(self.progress)
                if isinstance(row.error, _FATAL):
                    tally.stopped_by = row.error
                    break
        if tally.stopped_by is not None and tally.failed == len(tally.rows):
            raise tally.stopped_by  # nothing is lost by it
        reason = None
        if tally.stopped_by is not None:
            reason = f"{type(tally.stopped_by).__name__}: {tally.stopped_by.message}"
        return self.kept(reason)

    def kept(self, rest: str | None) -> Any:
        """Return what there is, with the rows that weren't done marked."""
        plan = self._plan
        return collect(
            self._table,
            self._tally.rows,
            single=None if plan is None else plan.fit.single,
            outputs=() if plan is None else [one.name for one in plan.signature.outputs],
            reference=self._reference if plan is None else plan.reference,
            not_sent=() if plan is None else plan.fit.aside,
            rest=None if rest is None else f"{_REST}{rest}",
        )

    async def _answers(self) -> AsyncGenerator[MappedRow, None]:
        """Keep so many calls under way, and give their answers in the order of the rows."""
        plan = self._plan = await self._driver.run(self._prepare())
        waiting: deque[tuple[asyncio.Task[MappedRow], int]] = deque()
        held_bytes = 0
        try:
            for number, row in enumerate(self._table.rows()):
                fitted = _fitted(plan.fit, row)
                size_bytes = 0 if isinstance(fitted, NormanError) else _size_of(fitted[0])
                while waiting and (
                    len(waiting) >= self._in_flight or held_bytes + size_bytes > _HELD_BYTES
                ):
                    task, freed_bytes = waiting[0]
                    answer = await task
                    waiting.popleft()
                    held_bytes -= freed_bytes
                    yield answer
                held_bytes += size_bytes
                task = asyncio.create_task(self._answer(plan, number, row, fitted))
                waiting.append((task, size_bytes))
            while waiting:
                answer = await waiting[0][0]
                waiting.popleft()
                yield answer
        finally:
            for task, _ in waiting:
                task.cancel()
            await asyncio.gather(*(task for task, _ in waiting), return_exceptions=True)

    async def _answer(
        self, plan: _Plan, number: int, row: Any, fitted: _Inputs | NormanError
    ) -> MappedRow:
        if isinstance(fitted, NormanError):
            return MappedRow(number=number, row=row, outputs={}, error=fitted)
        inputs, lifted = fitted
        try:
            result = await self._driver.run(self._invoke(plan.reference, inputs))
        except NormanError as error:
            return MappedRow(number=number, row=row, outputs={}, error=error)
        return MappedRow(number=number, row=row, outputs=settle(result.outputs, lifted=lifted))

    def _prepare(self) -> Steps[_Plan]:
        """Ask once which version it is: an alias that moves meanwhile mixes no answers."""
        version = yield from self._core.version(self._reference)
        signature = version.signature
        if signature is None:  # it never loaded; the first call says why
            raise InputInvalid(
                f"{version.reference} has no signature ({version.state}), so that rows can't be "
                f"matched to its inputs. See %norman show {version.reference}."
            )
        fit = plan_fit(signature, self._table, self._constants)
        return _Plan(reference=version.reference, signature=signature, fit=fit)

    def _invoke(self, reference: str, inputs: Mapping[str, Any]) -> Steps[InvokeResult]:
        """Call once, waiting for a place in the queue where it is full."""
        left_s = _QUEUE_PATIENCE_S
        while True:
            try:
                return (yield from self._core.invoke(reference, inputs, self._timeout_s, {}))
            except QueueFull as error:
                pause_s = max(_SHORTEST_PAUSE_S, min(error.retry_after_s, _LONGEST_PAUSE_S))
                left_s -= pause_s
                if left_s < 0:
                    raise
            yield from pause(pause_s)


def map_blocking(
    core: Core,
    reference: str,
    data: Any,
    inputs: Mapping[str, Any] | None,
    named: Mapping[str, Any],
    *,
    in_flight: int,
    timeout_s: float | None,
    on_progress: OnRows | None,
) -> Any:
    """Map on a thread with a loop of its own, while this one waits and can be interrupted.

    Raises
    ------
    MapInterrupted
        Ctrl-C came. What was done is in its ``result``.
    """
    driver = AsyncioDriver(ThreadedHttp(check_in_flight(in_flight)))
    run = MapRun(
        core,
        driver,
        reference,
        data,
        merge_inputs(inputs, named),
        in_flight=in_flight,
        timeout_s=timeout_s,
        on_progress=None,
    )
    thread = LoopThread(lambda: _collect_and_close(run, driver))
    try:
        thread.start()
        while not thread.wait(_TELL_EVERY_S):
            if on_progress is not None:
                on_progress(run.progress)
    except KeyboardInterrupt:
        thread.cancel()
        progress = run.progress
        raise MapInterrupted(run.kept("interrupted"), progress.done, progress.total) from None
    except BaseException:  # on_progress raised: nobody is there for the answers any more
        thread.cancel()
        raise
    if on_progress is not None:
        on_progress(run.progress)
    return thread.result()


async def _collect_and_close(run: MapRun, driver: AsyncioDriver) -> Any:
    try:
        return await run.collect()
    finally:
        await driver.close()


def _fitted(fit: Fit, row: Any) -> _Inputs | NormanError:
    try:
        return fit.inputs(row)
    except NormanError as error:
        return error


def _size_of(inputs: Mapping[str, Any]) -> int:
    """Return about how many bytes the inputs of a row take; of small ones nobody asks."""
    return sum(map(_cell_bytes, inputs.values()))


def _cell_bytes(cell: Any) -> int:
    size_bytes = getattr(cell, "nbytes", None)
    if isinstance(size_bytes, int):
        return size_bytes
    if isinstance(cell, (str, bytes, bytearray)):
        return len(cell)
    if isinstance(cell, os.PathLike):
        try:
            return Path(cell).stat().st_size
        except (OSError, ValueError):  # the call says what is wrong with it
            return 0
    return 0
