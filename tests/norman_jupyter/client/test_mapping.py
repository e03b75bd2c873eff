"""Many rows at once: the window, its order, what stops it, and what is kept then."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from norman_jupyter import BlockingNorman, Forbidden, InputInvalid, MapInterrupted, Norman
from norman_protocol.decoding import dump_json, encode
from norman_protocol.messages import Failure, Invoke
from norman_protocol.rest import Manifest, Origin, VersionDetail
from norman_protocol.signature import Modality, Parameter, Signature

X = Parameter(name="x", modality=Modality.JSON)
Y = Parameter(name="y", modality=Modality.JSON, required=False)
SIGNATURE = Signature(inputs=(X, Y), outputs=(X,))
HANG_GUARD_S = 30.0


def describe(request):
    body = VersionDetail(
        id="0" * 32,
        reference="echo@3",
        name="echo",
        number=3,
        state="ready",
        active=True,
        label=None,
        description=None,
        tags=(),
        runtime="python",
        entry="model.py",
        interpreter=None,
        signature=SIGNATURE,
        manifest=Manifest(files=()),
        bundle_digest="0" * 64,
        size_bytes=1,
        load_s=None,
        created_at="2031-05-06T07:08:09+00:00",
        created_by="ada",
        origin=Origin(),
        trust=None,
        error=None,
    )
    return 200, {"Content-Type": "application/json"}, dump_json(encode(body))


def given(call: Invoke):
    return json.loads(bytes(call.values["x"].buffer))


class Gate:
    """Holds calls until so many are there, then answers them, the last one first."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._held = []
        self._lock = threading.Lock()
        self.most = 0

    def __call__(self, peer, call) -> None:
        with self._lock:
            self._held.append((peer, call))
            self.most = max(self.most, len(self._held))
            if len(self._held) < self._width:
                return
            held, self._held = self._held, []
        for waiting, one in reversed(held):
            waiting.echo(one)


@pytest.fixture
def served(api, executor, announce):
    announce(api, executor)
    api.routes["GET models/echo/versions/active"] = describe
    return executor


@pytest.fixture
def norman(served) -> Iterator[BlockingNorman]:
    with BlockingNorman() as client:
        yield client


def holding(number: int, held: threading.Event) -> Callable:
    """Answer the calls before the row of a number, and none from it on."""

    def on_call(peer, call) -> None:
        if given(call) < number:
            peer.echo(call)
        else:
            held.set()

    return on_call


@pytest.mark.parametrize("in_flight", [1, 4, 8])
def test_so_many_calls_are_under_way_and_answers_keep_the_order(norman, served, in_flight):
    gate = served.on_call = Gate(in_flight)
    frame = norman.map("echo", {"x": list(range(16))}, in_flight=in_flight)
    assert frame["x_output"].tolist() == list(range(16))
    assert gate.most == in_flight
    assert frame["error"].isna().all()


def test_large_rows_are_not_held_in_memory_together(norman, served):
    answered, answered_before = [], []

    def on_call(peer, call):
        answered.append(call.id)
        peer.fail(call.id, "model_failed", "seen")

    def rows():
        for _ in range(3):
            answered_before.append(len(answered))
            yield bytes(40 << 20)

    served.on_call = on_call
    frame = norman.map("echo", rows())
    assert frame["error"].tolist() == ["ModelFailed: seen"] * 3
    assert answered_before == [0, 0, 1]


def test_every_row_is_answered_by_the_version_that_the_name_meant(norman, served):
    asked = []

    def on_call(peer, call):
        asked.append(call.reference)
        peer.echo(call)

    served.on_call = on_call
    frame = norman.map("echo", [{"x": 1}, {"x": 2}], y="same")
    assert asked == ["echo@3", "echo@3"]
    assert frame.attrs["norman"] == {"version": "echo@3", "rows": 2, "failed": 0, "not_sent": []}
    assert frame["y"].tolist() == ["same", "same"]


def test_full_queue_is_waited_for(norman, served):
    refused = []

    def on_call(peer, call):
        if len(refused) < 5:
            refused.append(call.id)
            details = {"retry_after_s": 0.001}
            peer.send(Failure(id=call.id, code="queue_full", message="full", details=details))
        else:
            peer.echo(call)

    served.on_call = on_call
    frame = norman.map("echo", [1, 2, 3])
    assert frame["x_output"].tolist() == [1, 2, 3]
    assert len(refused) == 5


def test_what_stops_everything_marks_the_rest(norman, served):
    def on_call(peer, call):
        if given(call) == 2:
            peer.fail(call.id, "forbidden", "no more")
        else:
            peer.echo(call)

    served.on_call = on_call
    frame = norman.map("echo", list(range(6)), in_flight=1)
    assert frame["x_output"].tolist()[:2] == [0, 1]
    assert frame["error"].tolist() == [
        None,
        None,
        "Forbidden: no more",
        *["not done: Forbidden: no more"] * 3,
    ]
    served.on_call = lambda peer, call: peer.fail(call.id, "forbidden", "not at all")
    with pytest.raises(Forbidden, match="not at all"):
        norman.map("echo", list(range(6)))


def test_interrupt_keeps_what_is_done_and_takes_the_rest_back(norman, served):
    held = threading.Event()
    served.on_call = holding(4, held)
    told = []

    def on_progress(progress):
        told.append(progress)
        if progress.done == 4 and held.is_set():
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(MapInterrupted, match="Interrupted after 4 of 10 rows") as caught:
        norman.map("echo", list(range(10)), in_flight=2, on_progress=on_progress)
    frame = caught.value.result
    assert (caught.value.done, caught.value.total) == (4, 10)
    assert frame["x"].tolist() == list(range(10))
    assert frame["x_output"].tolist()[:4] == [0, 1, 2, 3]
    assert frame["error"].tolist() == [None] * 4 + ["not done: interrupted"] * 6
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (told[-1].total, told[-1].failed) == (10, 0)


def test_interrupt_over_rest_ends_the_requests_that_wait(api, announce):
    announce(api)
    api.routes["GET models/echo/versions/active"] = describe
    waiting, released = threading.Event(), threading.Event()

    def answer(request):
        waiting.set()
        assert released.wait(HANG_GUARD_S)
        return

    def on_progress(progress):
        if waiting.is_set():
            raise KeyboardInterrupt

    api.routes["POST invocations"] = answer
    with BlockingNorman() as norman, pytest.raises(MapInterrupted) as caught:
        norman.map("echo", [1, 2, 3], in_flight=2, on_progress=on_progress)
    assert not released.is_set()  # it didn't wait for the answers
    for thread in threading.enumerate():
        if thread.name.startswith("norman-map-http"):
            thread.join(HANG_GUARD_S)
            assert not thread.is_alive()
    released.set()
    assert caught.value.result["error"].tolist() == ["not done: interrupted"] * 3


def test_interrupted_iterator_keeps_the_rows_that_it_gave(norman, served):
    held = threading.Event()
    served.on_call = holding(2, held)

    def on_progress(progress):
        if progress.done == 2 and held.is_set():
            raise KeyboardInterrupt

    with pytest.raises(MapInterrupted, match="Interrupted after 2 rows") as caught:
        norman.map("echo", ({"x": n} for n in range(100)), in_flight=2, on_progress=on_progress)
    assert caught.value.result["x"].tolist() == [0, 1]


def test_calls_are_taken_back_where_the_display_fails(norman, served):
    waiting, ids = threading.Event(), []

    def on_call(peer, call):
        ids.append(call.id)
        waiting.set()

    def on_progress(progress):
        if waiting.is_set():
            raise RuntimeError("no display")

    served.on_call = on_call
    with pytest.raises(RuntimeError, match="no display"):
        norman.map("echo", [1, 2], in_flight=2, on_progress=on_progress)
    served.wait_taken_back(ids[0])


def test_error_of_the_data_itself_is_raised(norman, served):
    def rows():
        yield {"x": 1}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        norman.map("echo", rows())


def test_nothing_to_do_is_an_empty_frame(norman, served):
    frame = norman.map("echo", {"x": []})
    assert list(frame.columns) == ["x", "x_output", "error"]
    assert len(frame) == 0


@pytest.mark.parametrize("count", [0, 257, 2.5, True, "many"])
def test_number_in_flight_is_checked(norman, count):
    with pytest.raises(InputInvalid, match="from 1 to 256"):
        norman.map("echo", [1], in_flight=count)


def test_array_rows_get_and_lose_an_axis(api, norman, served):
    def describe_tensor(request):
        status, headers, body = describe(request)
        facts = json.loads(body)
        tensor = {"name": "x", "modality": "tensor", "dtype": "float32", "shape": ["n", 2]}
        facts["signature"] = {"inputs": [tensor], "outputs": [tensor]}
        return status, headers, json.dumps(facts).encode()

    api.routes["GET models/echo/versions/active"] = describe_tensor
    shapes = []

    def on_call(peer, call):
        shapes.append(call.values["x"].shape)
        peer.echo(call)

    served.on_call = on_call
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    frame = norman.map("echo", array)
    assert shapes == [(1, 2)] * 3
    np.testing.assert_array_equal(np.stack(frame["x_output"]), array)


def test_blocking_map_works_inside_a_running_loop(norman, served):
    async def cell():
        return norman.map("echo", [1, 2])["x_output"].tolist()

    assert asyncio.run(cell()) == [1, 2]


async def test_rows_come_one_after_the_other(served):
    async with Norman() as norman:
        rows = [row async for row in norman.map("echo", ({"x": n, "id": -n} for n in range(20)))]
    assert [row.number for row in rows] == list(range(20))
    assert [row.outputs["x"] for row in rows] == list(range(20))
    assert rows[7].row == {"x": 7, "id": -7}


async def test_awaited_map_is_a_frame_and_tells_how_far_it_is(served):
    told = []
    async with Norman() as norman:
        frame = await norman.map("echo", [1, 2, 3], on_progress=told.append)
    assert frame["x_output"].tolist() == [1, 2, 3]
    assert [progress.done for progress in told] == [1, 2, 3]


async def test_leaving_the_rows_early_takes_the_others_back(served):
    ids = []

    def on_call(peer, call):
        if given(call) == 0:
            peer.echo(call)
        else:
            ids.append(call.id)

    served.on_call = on_call
    async with Norman() as norman:
        rows = aiter(norman.map("echo", list(range(4)), in_flight=4))
        assert (await anext(rows)).outputs == {"x": 0}
        while not ids:  # until the executor has the next one
            await asyncio.to_thread(served.next_message)
        await rows.aclose()
        await asyncio.to_thread(served.wait_taken_back, ids[0])


async def test_cancelled_map_takes_its_calls_back(served):
    held, ids = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def on_call(peer, call):
        ids.append(call.id)
        loop.call_soon_threadsafe(held.set)

    served.on_call = on_call
    async with Norman() as norman:
        task = asyncio.ensure_future(norman.map("echo", [1, 2]).collect())
        async with asyncio.timeout(HANG_GUARD_S):
            await held.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(served.wait_taken_back, ids[0])
