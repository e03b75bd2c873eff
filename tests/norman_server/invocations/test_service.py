"""The record of invocations: complete, exactly once, also across crashes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import (
    EXECUTOR_ID,
    accepted,
    ended,
    journal_bytes,
    segment_path,
    wait_until,
)

from norman_executor.journal import Journal
from norman_protocol.arrays import object_to_value
from norman_protocol.errors import InternalError, InvocationNotFound, NameInvalid, RequestInvalid
from norman_protocol.frames import join_frame
from norman_protocol.identifiers import new_id
from norman_protocol.messages import Caller, Done, encode_message
from norman_protocol.values import Value
from norman_server.domain.records import NO_EXECUTOR, InvocationRecord
from norman_server.invocations.retention import Retention, RetentionLimits
from norman_server.invocations.service import InvocationLog

VALUES = {
    "image": object_to_value(np.array([[1.0, np.nan]], np.float32)),
    "note": object_to_value("ü"),
    "empty": object_to_value(b""),
    "options": object_to_value({"k": [1]}),
}


async def eventually(happened: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; the time limit of each test guards against hanging."""
    while True:
        if await happened():
            return
        await asyncio.sleep(0.001)


async def states(log: InvocationLog) -> dict[str, str]:
    found, cursor = {}, None
    while True:
        page = await log.page(limit=100, cursor=cursor)
        for item in page.items:
            assert item.id not in found
            found[item.id] = item.state
        cursor = page.next_cursor
        if cursor is None:
            return found


def segments(storage) -> list[str]:
    return sorted(path.name for path in storage.home.journal.iterdir())


# --- what is recorded -------------------------------------------------------------------------


async def test_a_call_is_recorded_with_all_that_is_known(log, storage):
    entries = [accepted("a" * 32, values=VALUES), ended("a" * 32, values=VALUES, logs="hi\n")]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    detail = await log.detail("a" * 32)
    assert detail.inputs == {
        "image": {"dtype": "float32", "shape": [1, 2], "data": [[1.0, None]]},
        "note": "ü",
        "empty": {"base64": "", "file_name": None},
        "options": {"k": [1]},
    }
    assert detail.outputs == detail.inputs
    assert (detail.logs, detail.error) == ("hi\n", None)
    summary = detail.invocation
    assert (summary.reference, summary.version_id, summary.state) == (
        "digits@1",
        "version-1",
        "succeeded",
    )
    assert (summary.caller.user, summary.caller.kernel_id) == ("ada", "kernel-1")
    assert summary.accepted_at == "2027-01-15T08:00:00.000000Z"
    assert summary.ended_at == "2027-01-15T08:00:01.000000Z"
    assert summary.timings is not None
    assert (summary.timings.queue_s, summary.timings.codec_s) == (0.25, 0.125)
    assert summary.input_bytes == summary.output_bytes == sum(v.size_bytes for v in VALUES.values())
    assert (await log.page()).items == (summary,)


async def test_a_failure_is_recorded_with_its_error(log, storage):
    entries = [
        accepted("a" * 32),
        ended("a" * 32, "failed", error_code="model_failed", error_message="It X."),
    ]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    detail = await log.detail("a" * 32)
    assert detail.error is not None
    assert (detail.error.code, detail.error.message) == ("model_failed", "It X.")
    assert detail.error.details == {"exception": "ValueError"}
    assert (detail.inputs, detail.outputs) == (None, None)
    assert detail.invocation.error_code == "model_failed"


async def test_text_that_no_database_holds_is_mended(log, storage):
    end = ended("a", "failed", error_code="model_failed", error_message="a\0b", logs="\0")
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a", user="x\0"), end]))
    await log.import_journal()
    detail = await log.detail("a")
    assert detail.logs == "\N{REPLACEMENT CHARACTER}"
    assert detail.error is not None
    assert detail.error.message == "a\N{REPLACEMENT CHARACTER}b"
    assert detail.invocation.caller.user == "x\N{REPLACEMENT CHARACTER}"


async def test_a_call_that_goes_on_is_shown_as_such(log, storage):
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a", values=VALUES)]))
    await log.import_journal()
    detail = await log.detail("a")
    assert detail.invocation.state == "queued"
    assert (detail.invocation.ended_at, detail.invocation.timings) == (None, None)
    assert detail.inputs is not None
    assert (detail.outputs, detail.error, detail.logs) == (None, None, "")


async def test_a_callers_malformed_json_is_shown_as_it_came(log, storage):
    values = {"x": Value(kind="json", buffer=b"[" * 5000)}
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a", values=values)]))
    await log.import_journal()
    detail = await log.detail("a")
    assert detail.inputs is not None
    assert set(detail.inputs["x"]) == {"base64", "file_name"}


async def test_nothing_captured_differs_from_nothing_sent(log, storage):
    entries = [accepted("a", values={}), ended("a", values={}), accepted("b"), ended("b")]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    empty, uncaptured = await log.detail("a"), await log.detail("b")
    assert (empty.inputs, empty.outputs) == ({}, {})
    assert (uncaptured.inputs, uncaptured.outputs) == (None, None)


# --- the executor's own writer ----------------------------------------------------------------


async def test_what_the_executor_writes_is_imported_while_it_grows(log, storage):
    ids = [new_id() for _ in range(300)]
    with Journal(storage.home.journal, EXECUTOR_ID, segment_bytes=4096) as journal:
        for number, key in enumerate(ids):
            journal.append(accepted(key, values=VALUES))
            if number % 3:
                journal.append(ended(key, values=VALUES))
            if number % 50 == 0:
                await log.import_journal()
                assert len(await states(log)) == number + 1
        await log.import_journal()
        assert len(segments(storage)) == 1  # those that are wholly recorded are deleted
        for number, key in enumerate(ids):
            if number % 3 == 0:
                journal.append(ended(key, "cancelled"))
    assert await log.executor_ended(EXECUTOR_ID) == 0
    found = await states(log)
    assert list(found) == sorted(ids, reverse=True)
    assert [found[key] for key in ids[:4]] == ["cancelled", "succeeded", "succeeded", "cancelled"]
    assert segments(storage) == []


# --- crashes ----------------------------------------------------------------------------------


async def test_what_was_open_in_a_dead_executor_is_interrupted_once(log, storage):
    entries = [accepted("a"), accepted("b"), ended("a")]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    other = "other-executor"
    segment_path(storage.home.journal, executor_id=other).write_bytes(
        journal_bytes([accepted("c")])
    )
    await log.import_journal()
    assert await log.executor_ended(EXECUTOR_ID) == 1
    assert await states(log) == {"a": "succeeded", "b": "interrupted", "c": "queued"}
    detail = await log.detail("b")
    assert detail.error is not None
    assert detail.error.code == "interrupted"
    assert segments(storage) == [f"{other}-000001.frames"]
    assert await log.executor_ended(EXECUTOR_ID) == 0


async def test_an_entry_torn_by_the_executors_death_is_as_if_never_written(log, storage):
    whole, torn = journal_bytes([accepted("a")]), journal_bytes([ended("a", values=VALUES)])
    for missing in (1, len(torn) // 2, len(torn) - 1):
        segment_path(storage.home.journal).write_bytes(whole + torn[:-missing])
        await log.import_journal()
        assert await states(log) == {"a": "queued"}
    segment_path(storage.home.journal).write_bytes(whole + torn)
    await log.import_journal()
    assert await states(log) == {"a": "succeeded"}
    segment_path(storage.home.journal, 2).write_bytes(journal_bytes([accepted("b")]) + torn[:-1])
    assert await log.executor_ended(EXECUTOR_ID) == 1
    assert await states(log) == {"a": "succeeded", "b": "interrupted"}
    assert segments(storage) == []


async def test_at_start_whatever_executors_left_is_recorded_and_interrupted(log, storage):
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a")]))
    await log.import_journal()
    # Its journal is gone, and a crash came before its calls were interrupted.
    segment_path(storage.home.journal).unlink()
    segment_path(storage.home.journal, executor_id="second").write_bytes(
        journal_bytes([accepted("b"), accepted("c"), ended("c")])
    )
    segment_path(storage.home.journal, executor_id="live").write_bytes(
        journal_bytes([accepted("d")])
    )
    assert await InvocationLog(storage).recover(live=["live"]) == 2
    assert await states(log) == {
        "a": "interrupted",
        "b": "interrupted",
        "c": "succeeded",
        "d": "queued",
    }
    assert segments(storage) == ["live-000001.frames"]
    assert await InvocationLog(storage).recover(live=["live"]) == 0


async def test_an_end_that_comes_after_the_interruption_changes_nothing(log, storage):
    path = segment_path(storage.home.journal)
    path.write_bytes(journal_bytes([accepted("a")]))
    await log.executor_ended(EXECUTOR_ID)
    path.write_bytes(journal_bytes([accepted("a"), ended("a", values=VALUES)]))
    await log.import_journal()
    detail = await log.detail("a")
    assert (detail.invocation.state, detail.outputs) == ("interrupted", None)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_a_journal_may_grow_and_the_server_restart_at_any_byte(storage, data):
    executor_id = new_id()
    path = segment_path(storage.home.journal, executor_id=executor_id)
    ids = [new_id() for _ in range(4)]
    entries = [entry for key in ids for entry in (accepted(key, values=VALUES), ended(key))]
    content = journal_bytes(entries)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    for cut in [*cuts, len(content)]:
        path.write_bytes(content[:cut])
        await InvocationLog(storage).import_journal()
    log = InvocationLog(storage)
    recorded = {key: state for key, state in (await states(log)).items() if key in ids}
    assert recorded == dict.fromkeys(ids, "succeeded")
    assert await log.executor_ended(executor_id) == 0
    assert not path.exists()


_IMPORT = """
import asyncio, sys
from pathlib import Path
from norman_server.invocations.service import InvocationLog
from norman_server.storage.opening import open_storage

async def main():
    with open_storage(Path(sys.argv[1])) as storage:
        await InvocationLog(storage).import_journal()

asyncio.run(main())
"""


def import_and_be_killed(home, direct: sqlite3.Connection, rows: int) -> None:
    """Record in another process, which is killed once so many calls are recorded."""
    importing = subprocess.Popen([sys.executable, "-c", _IMPORT, str(home)])

    def far_enough() -> bool:
        (count,) = direct.execute("SELECT count(*) FROM invocations").fetchone()
        return count >= rows or importing.poll() is not None

    try:
        wait_until(far_enough)
    finally:
        importing.kill()
        status = importing.wait()
    assert status == -signal.SIGKILL


def record_and_be_killed_twice(home, ids) -> None:
    entries = [entry for key in ids for entry in (accepted(key, values=VALUES), ended(key))]
    segment_path(home.journal).write_bytes(journal_bytes(entries))
    with contextlib.closing(sqlite3.connect(home.invocations_path)) as direct:
        for rows in (1, 2000):
            import_and_be_killed(home.root, direct, rows)


async def test_a_server_killed_while_it_records_loses_and_repeats_nothing(storage):
    ids = [new_id() for _ in range(6000)]
    await asyncio.to_thread(record_and_be_killed_twice, storage.home, ids)
    log = InvocationLog(storage)
    await log.recover()
    assert await states(log) == dict.fromkeys(ids, "succeeded")
    assert segments(storage) == []


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 64,
        b"NRMN" + b"\xff" * 12,
        join_frame({"type": "unheard of"}),
        journal_bytes([]) + b"".join(map(bytes, encode_message(Done(id="1")))),
        join_frame({"type": "accepted", "invocation_id": 7}),
        journal_bytes([accepted("b", at=1e300)]),
    ],
    ids=["zeros", "lengths", "unknown", "other", "malformed", "time"],
)
async def test_a_damaged_segment_is_kept_aside_and_others_go_on(log, storage, caplog, damage):
    before = journal_bytes([accepted("a"), ended("a")])
    path = segment_path(storage.home.journal)
    path.write_bytes(before + damage + journal_bytes([accepted("lost")]))
    segment_path(storage.home.journal, 2).write_bytes(journal_bytes([accepted("c")]))
    with caplog.at_level(logging.ERROR):
        await log.import_journal()
        await log.import_journal()
    assert segments(storage) == [f"{path.name}.corrupt", f"{EXECUTOR_ID}-000002.frames"]
    assert len(caplog.records) == 1
    assert await states(log) == {"c": "queued", "a": "succeeded"}
    assert f"after {len(before)} bytes" in caplog.records[0].getMessage()


async def test_a_segment_cut_in_its_middle_is_kept_aside(log, storage, caplog):
    path = segment_path(storage.home.journal)
    path.write_bytes(journal_bytes([accepted("a"), ended("a")])[:-3])
    segment_path(storage.home.journal, 2).write_bytes(journal_bytes([accepted("b")]))
    with caplog.at_level(logging.ERROR):
        await log.import_journal()
    assert await states(log) == {"a": "queued", "b": "queued"}
    assert f"{path.name}.corrupt" in segments(storage)


async def test_a_segment_that_shrank_is_kept_aside(log, storage, caplog):
    path = segment_path(storage.home.journal)
    path.write_bytes(journal_bytes([accepted("a"), ended("a")]))
    await log.import_journal()
    path.write_bytes(b"")
    with caplog.at_level(logging.ERROR):
        await log.import_journal()
    assert segments(storage) == [f"{path.name}.corrupt"]
    assert await states(log) == {"a": "succeeded"}


async def test_a_crash_before_a_damaged_segment_is_set_aside_is_made_up_for(log, storage, caplog):
    path = segment_path(storage.home.journal)
    path.write_bytes(b"\0" * 64)
    with sqlite3.connect(storage.home.invocations_path) as direct:
        direct.execute(
            "INSERT INTO segments (name, executor_id, offset_bytes, corrupt) VALUES (?, ?, 0, 1)",
            (path.name, EXECUTOR_ID),
        )
    direct.close()
    with caplog.at_level(logging.ERROR):
        await log.import_journal()
    assert segments(storage) == [f"{path.name}.corrupt"]


async def test_ends_whose_beginnings_are_lost_are_counted_and_passed_over(log, storage, caplog):
    segment_path(storage.home.journal).write_bytes(
        journal_bytes([ended("lost"), accepted("a"), ended("a")])
    )
    with caplog.at_level(logging.WARNING):
        await log.import_journal()
    assert await states(log) == {"a": "succeeded"}
    assert any("1 ends" in record.getMessage() for record in caplog.records)


async def test_files_that_are_no_segments_are_left(log, storage):
    for name in ("notes.txt", "x.frames", f"{EXECUTOR_ID}-000001.frames.corrupt", "a-1.frames"):
        (storage.home.journal / name).write_bytes(b"what")
    await log.import_journal()
    assert len(segments(storage)) == 4


# --- passes -----------------------------------------------------------------------------------


async def test_a_caller_sees_what_was_written_before_it_asked(log, storage):
    path = segment_path(storage.home.journal)
    ids = [f"{number:032x}" for number in range(40)]

    async def write_and_look(key: str) -> bool:
        with path.open("ab") as file:
            file.write(journal_bytes([accepted(key)]))
        await log.import_journal()
        return key in await states(log)

    assert all(await asyncio.gather(*map(write_and_look, ids)))
    assert await states(log) == dict.fromkeys(reversed(ids), "queued")


async def test_callers_that_wait_for_the_same_thing_share_a_pass(log, storage):
    await asyncio.gather(*(log.import_journal() for _ in range(50)))
    assert log._passes_begun <= 2


async def test_a_cancelled_caller_does_not_keep_others_waiting(log, storage):
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a")]))
    first = asyncio.create_task(log.import_journal())
    second = asyncio.create_task(log.import_journal())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert "a" in await states(log)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_loop_keeps_the_record_up_to_date_and_outlives_a_failure(storage, caplog):
    log = InvocationLog(storage)
    journal = storage.home.journal
    aside = journal.with_name("aside")
    journal.rename(aside)

    async def failed() -> bool:
        return bool(caplog.records)

    async def recorded() -> bool:
        return "a" in await states(log)

    with caplog.at_level(logging.WARNING):
        running = asyncio.create_task(log.run(interval_s=0.001))
        await eventually(failed)
        aside.rename(journal)
        segment_path(journal).write_bytes(journal_bytes([accepted("a")]))
        await eventually(recorded)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(caplog.records) == 1  # told once, however often it was tried
    assert "can't be recorded" in caplog.records[0].getMessage()


async def test_a_closed_storage_is_told(storage):
    log = InvocationLog(storage)
    storage.close()
    with pytest.raises(InternalError, match="stopping"):
        await log.page()


# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
async def filled(log, storage):
    entries = []
    for number in range(7):
        key = f"{number:032x}"
        name = "Digits@2" if number % 2 else "faces@1"
        entries.append(accepted(key, reference=name))
        if number < 3:
            entries.append(ended(key, "failed", error_code="timed_out"))
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    return log


async def numbers(log, **filters) -> list[int]:
    return [int(item.id, 16) for item in (await log.page(**filters)).items]


async def test_pages_are_newest_first_and_hold_each_call_once(filled):
    for limit in (1, 2, 3, 7, 8):
        seen, cursor = [], None
        while True:
            page = await filled.page(limit=limit, cursor=cursor)
            seen.extend(int(item.id, 16) for item in page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [6, 5, 4, 3, 2, 1, 0]


async def test_pages_are_filtered_by_model_version_and_state(filled):
    assert await numbers(filled, model="digits") == [5, 3, 1]
    assert await numbers(filled, model="DIGITS@2") == [5, 3, 1]
    assert await numbers(filled, model="digits@1") == []
    assert await numbers(filled, state="failed") == [2, 1, 0]
    assert await numbers(filled, state="queued", model="faces") == [6, 4]
    assert await numbers(filled, model="nobody") == []


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"limit": 0}, RequestInvalid),
        ({"limit": 501}, RequestInvalid),
        ({"state": "done"}, RequestInvalid),
        ({"cursor": "a b"}, RequestInvalid),
        ({"cursor": ""}, RequestInvalid),
        ({"model": "digits@production"}, RequestInvalid),
        ({"model": "../x"}, NameInvalid),
    ],
)
async def test_parameters_out_of_bounds_are_refused(log, parameters, kind):
    with pytest.raises(kind):
        await log.page(**parameters)


@pytest.mark.parametrize("key", ["0" * 32, "", "a\0", "\ud800", "x" * 1000])
async def test_an_unknown_invocation_is_told(log, key):
    with pytest.raises(InvocationNotFound) as caught:
        await log.detail(key)
    assert caught.value.id == key[:64]


async def test_many_calls_in_large_entries_are_recorded_in_groups(log, storage):
    """A group is bounded in bytes; an entry larger than the bound is taken whole."""
    large = {"x": Value(kind="bytes", buffer=bytes(3 << 20))}
    huge = {"x": Value(kind="bytes", buffer=bytes(9 << 20))}
    entries = [accepted("a", values=large), accepted("b", values=huge), accepted("c", values=large)]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    detail = await log.detail("b")
    assert detail.inputs is not None
    assert len(json.dumps(detail.inputs["x"])) > 12 << 20
    assert set(await states(log)) == {"a", "b", "c"}


# --- calls that wait in the database ----------------------------------------------------------


def waiting_record(invocation_id: str) -> InvocationRecord:
    return InvocationRecord(
        id=invocation_id,
        executor_id=NO_EXECUTOR,
        version_id="version-1",
        reference="digits@1",
        caller=Caller(user="ada"),
        accepted_at=datetime.now(UTC),
        input_bytes=0,
        inputs=VALUES,
        timeout_s=5.0,
    )


async def test_a_call_that_waited_in_the_database_is_taken_by_its_executor_once(log, storage):
    await storage.invocations.write(lambda rows: rows.add([waiting_record("a")]))
    await storage.invocations.write(lambda rows: rows.add([waiting_record("b")]))
    assert await storage.invocations.read(lambda rows: rows.waiting()) == ["a", "b"]
    assert await log.recover() == 0  # nobody took them: they are not interrupted
    segment_path(storage.home.journal).write_bytes(journal_bytes([accepted("a")]))
    await log.import_journal()
    assert await storage.invocations.read(lambda rows: rows.waiting()) == ["b"]
    assert (await log.record("a")).executor_id == EXECUTOR_ID
    assert (await log.record("a", with_values=True)).inputs == VALUES
    assert await log.executor_ended(EXECUTOR_ID) == 1
    assert await states(log) == {"b": "queued", "a": "interrupted"}


async def test_what_goes_on_is_never_forgotten(log, storage):
    old = [accepted(f"{number:032x}", values=VALUES) for number in range(3)]
    entries = [*old, ended(f"{1:032x}", values=VALUES)]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    limits = RetentionLimits(invocations_s=1, payloads_s=1, invocations_bytes=1)
    forgotten = await Retention(storage, limits).forget()
    assert (forgotten.payloads, forgotten.invocations) == (1, 1)
    assert await states(log) == {f"{number:032x}": "queued" for number in (2, 0)}
    assert (await log.record(f"{0:032x}", with_values=True)).inputs == VALUES


async def test_records_are_forgotten_in_small_transactions(log, storage):
    ids = [f"{number:032x}" for number in range(900)]
    entries = [entry for key in ids for entry in (accepted(key), ended(key))]
    segment_path(storage.home.journal).write_bytes(journal_bytes(entries))
    await log.import_journal()
    forgotten = await Retention(storage, RetentionLimits(invocations_s=1)).forget()
    assert forgotten.invocations == 900
    assert await states(log) == {}
