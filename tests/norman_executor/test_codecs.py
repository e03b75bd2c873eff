"""The pool of codec processes: reuse, crashes, hangs and limits, on processes that only pretend."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from norman_executor.codecs import Codecs, CodecSettings
from norman_protocol.errors import InputInvalid, InternalError, OutputInvalid
from norman_protocol.media import Layout
from norman_protocol.messages import ExecutorLimits, ReplicaChanged
from norman_protocol.signature import Modality, Parameter
from norman_protocol.values import Value

HANG_GUARD_S = 30.0
PRETENDER = """
import os, signal, socket, sys
from norman_protocol.channel import Channel
from norman_protocol.errors import InputInvalid
from norman_protocol.messages import Decode, Decoded, Encoded, encode_message, failure_from_error
from norman_protocol.values import Value

channel = Channel(socket.socket(fileno=int(sys.argv[-1])))
while (message := channel.receive()) is not None:
    (name, value), = message.values.items()
    said = bytes(value.buffer)
    if said == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if said.startswith(b"hang "):
        os.mkfifo(said[5:] + b".gate")
        with open(said[5:], "w"):  # tells that it hangs
            pass
        open(said[5:] + b".gate").read()
    answer = Decoded if isinstance(message, Decode) else Encoded
    if said == b"refuse":
        pieces = encode_message(failure_from_error(message.id, InputInvalid("No.", input=name)))
    elif said == b"stranger":
        pieces = encode_message(answer(id="another"))
    else:
        pid = Value(kind="text", buffer=str(os.getpid()).encode())
        pieces = encode_message(answer(id=message.id, values={name: pid}))
    channel.send(pieces)
"""
PHOTO = Parameter(name="Photo", modality=Modality.IMAGE, encoding="png", layout=Layout())


class Pool:
    """A pool of pretenders, and what it told."""

    def __init__(self, folder: Path, **limits: float) -> None:
        script = folder / "pretender.py"
        script.write_text(PRETENDER)
        self.events: list[ReplicaChanged] = []
        self.changed = asyncio.Condition()
        settings = CodecSettings(
            run_folder=folder,
            log_path=folder / "codec.log",
            limits=ExecutorLimits(**limits),
            command=(sys.executable, str(script)),
        )
        self.codecs = Codecs(settings, self._take)
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()

    def _take(self, event: ReplicaChanged) -> None:
        self.events.append(event)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def decode(self, content: bytes) -> int:
        values = await self.codecs.decode((PHOTO,), {"Photo": Value(kind="bytes", buffer=content)})
        return int(bytes(values["Photo"].buffer))

    async def hang(self, name: str) -> asyncio.Task[int]:
        """Begin a decode that never ends; return once it is at it."""
        path = self._folder / name
        os.mkfifo(path)
        task = asyncio.create_task(self.decode(b"hang " + os.fsencode(path)))
        async with asyncio.timeout(HANG_GUARD_S):
            await asyncio.to_thread(path.read_bytes)
        return task

    async def until(self, alive: int) -> None:
        def count() -> int:
            return sum(1 if event.alive else -1 for event in self.events)

        async with asyncio.timeout(HANG_GUARD_S), self.changed:
            await self.changed.wait_for(lambda: self.events and count() == alive)


@pytest.fixture
async def make_pool(tmp_path):
    pools = []

    def make(**limits):
        pools.append(Pool(tmp_path, **limits))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.codecs.close()


async def test_a_process_is_started_once_and_used_again(make_pool):
    pool = make_pool()
    pid = await pool.decode(b"a")
    assert await pool.decode(b"b") == pid
    assert [event.alive for event in pool.events] == [True]


async def test_a_refusal_costs_no_process(make_pool):
    pool = make_pool()
    with pytest.raises(InputInvalid, match=r"No\."):
        await pool.decode(b"refuse")
    await pool.decode(b"b")
    assert [event.alive for event in pool.events] == [True]


async def test_a_crash_is_told_by_the_inputs_title_and_the_next_file_is_decoded(make_pool):
    pool = make_pool()
    with pytest.raises(InputInvalid, match=r"'Photo' was too much.*signal 11 \(SIGSEGV\)") as error:
        await pool.decode(b"crash")
    assert error.value.input == "Photo"
    assert psutil.pid_exists(await pool.decode(b"b"))


async def test_a_crash_of_an_encoder_is_told_by_the_outputs_title(make_pool):
    pool = make_pool()
    with pytest.raises(OutputInvalid, match="Output 'Photo' was too much for its encoder"):
        await pool.codecs.encode((PHOTO,), {"Photo": Value(kind="text", buffer=b"crash")})


async def test_an_answer_to_nobodys_question_ends_the_process(make_pool):
    pool = make_pool()
    with pytest.raises(Exception, match="answered a request that it doesn't have"):
        await pool.decode(b"stranger")
    await pool.until(alive=0)
    await pool.decode(b"b")


async def test_who_gives_up_costs_the_process_and_nothing_else(make_pool):
    pool = make_pool()
    task = await pool.hang("one")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pool.until(alive=0)
    await pool.decode(b"b")
    await pool.until(alive=1)


async def test_there_are_never_more_processes_than_allowed(make_pool):
    pool = make_pool(codec_workers=2)
    hanging = [await pool.hang("one"), await pool.hang("two")]
    third = asyncio.create_task(pool.decode(b"three"))
    await asyncio.sleep(0)
    assert not third.done()
    assert len(pool.events) == 2
    hanging[0].cancel()
    await third
    assert [event.alive for event in pool.events] == [True, True, False, True]
    hanging[1].cancel()
    await asyncio.wait(hanging)


async def test_an_idle_process_is_stopped_after_a_while(make_pool):
    pool = make_pool(replica_idle_timeout_s=0.05)
    pid = await pool.decode(b"a")
    await pool.until(alive=0)
    assert not psutil.pid_exists(pid)
    await pool.decode(b"b")


async def test_a_process_that_was_killed_while_idle_is_replaced(make_pool):
    pool = make_pool()
    process = psutil.Process(await pool.decode(b"a"))
    process.kill()
    await asyncio.to_thread(process.wait, HANG_GUARD_S)
    assert await pool.decode(b"b") != process.pid


async def test_closing_ends_what_hangs(make_pool):
    pool = make_pool()
    task = await pool.hang("one")
    await pool.codecs.close()
    with pytest.raises(InputInvalid, match="was too much"):
        await task
    with pytest.raises(InternalError, match="stopping"):
        await pool.decode(b"b")


async def test_what_can_not_be_started_is_told(tmp_path):
    settings = CodecSettings(
        run_folder=tmp_path,
        log_path=tmp_path / "codec.log",
        limits=ExecutorLimits(),
        command=("/nowhere/python",),
    )
    codecs = Codecs(settings, lambda event: None)
    with pytest.raises(InternalError, match="A codec can't be started: No such file"):
        await codecs.decode((PHOTO,), {"Photo": Value(kind="bytes")})
