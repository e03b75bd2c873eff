"""Media through the executor process: decoded before the queue, encoded after the model."""

from __future__ import annotations

import asyncio
import io
import os
import signal

import numpy as np
import psutil
import pytest
from PIL import Image
from serving import until

from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.errors import InputInvalid, ModelFailed, TimedOut
from norman_protocol.messages import Accepted, Ended
from norman_protocol.values import Value

HANG_GUARD_S = 60.0
MIRROR = """
import numpy as np
from numpy.typing import NDArray

def predict(x: NDArray[np.float32], shift: int = 0) -> NDArray[np.float32]:
    if shift < 0:
        raise ValueError("negative")
    return np.roll(x[..., ::-1], shift, -1)
"""
DECLARATION = Declaration(
    inputs=(
        DeclaredParameter(title="Photo", parameter="x", encoding="png"),
        DeclaredParameter(title="Shift by", parameter="shift", default=1),
    ),
    outputs=(DeclaredParameter(title="Mirrored", parameter="output", encoding="png"),),
)


def photo(width=4, height=3, grey=None):
    rng = np.random.default_rng(width)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if grey is not None:
        pixels[:] = grey
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return pixels, buffer.getvalue()


def pixels_of(value):
    with Image.open(io.BytesIO(bytes(value.buffer))) as image:
        return np.asarray(image)


def codecs(executor):
    return [one for one in executor.descendants() if "norman_codec" in one.cmdline()]


async def accepted(executor, count):
    """Wait until so many calls were."""

    def is_there():
        return sum(isinstance(record, Accepted) for record in executor.journal) >= count

    await asyncio.to_thread(until, is_there)


@pytest.fixture
async def client(executor):
    await executor.deploy_python("m", MIRROR, declaration=DECLARATION)
    return await executor.client()


async def test_files_go_in_and_out_by_their_titles(executor, client):
    pixels, data = photo()
    result = await client.call("m", **{"Photo": data, "Shift by": 0})
    assert list(result.values) == ["Mirrored"]
    found = result.values["Mirrored"]
    assert (found.kind, found.encoding) == ("bytes", "png")
    assert np.array_equal(pixels_of(found), pixels[:, ::-1])
    assert result.timings.codec_s > 0
    assert result.timings.total_s >= result.timings.queue_s + result.timings.model_s


async def test_a_declared_default_is_the_models(client):
    pixels, data = photo()
    result = await client.call("m", Photo=data)
    assert np.array_equal(pixels_of(result.values["Mirrored"]), np.roll(pixels[:, ::-1], 1, 1))


async def test_the_journal_has_what_the_caller_sent_and_got(executor, client):
    _, data = photo()
    result = await client.call("m", Photo=data)
    accepted, ended = executor.journal
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Ended)
    assert bytes(accepted.values["Photo"].buffer) == data
    assert ended.values["Mirrored"] == Value(
        kind="bytes", encoding="png", buffer=result.values["Mirrored"].buffer
    )
    assert ended.timings.codec_s == result.timings.codec_s


async def test_a_file_within_the_limit_of_calls_may_become_more_than_that(executor_with):
    executor = await executor_with(body_limit_bytes=1 << 20)
    source = """
        import numpy as np
        from numpy.typing import NDArray

        def predict(x: NDArray[np.float32]) -> int:
            return x.nbytes
    """
    await executor.deploy_python(
        "m", source, declaration=Declaration(inputs=DECLARATION.inputs[:1])
    )
    client = await executor.client()
    assert await client.value("m", Photo=photo(600, 400, grey=9)[1]) == 600 * 400 * 3 * 4


async def test_what_is_no_image_fails_the_call_alone(executor, client):
    with pytest.raises(InputInvalid, match=r"'Photo'.*is text") as error:
        await client.call("m", Photo=b"hello")
    assert error.value.input == "Photo"
    _, data = photo()
    await client.call("m", Photo=data)
    assert list(executor.ends().values()) == [["failed"], ["succeeded"]]


async def test_an_input_that_the_model_refuses_is_named_by_its_title(client):
    _, data = photo()
    with pytest.raises(InputInvalid, match="Input 'Shift by' takes integer") as error:
        await client.call("m", **{"Photo": data, "Shift by": "one"})
    assert error.value.input == "Shift by"
    with pytest.raises(ModelFailed, match="negative"):
        await client.call("m", **{"Photo": data, "Shift by": -1})


async def test_each_of_many_gets_its_own(executor, client):
    sizes = range(1, 25)
    futures = [
        (await client.begin_call("m", **{"Photo": photo(size)[1], "Shift by": 0}))[1]
        for size in sizes
    ]
    for size, future in zip(sizes, futures, strict=True):
        result = await client.answer(future)
        assert np.array_equal(pixels_of(result.values["Mirrored"]), photo(size)[0][:, ::-1])
    assert 1 <= len(codecs(executor)) <= 2


async def test_a_decoder_past_the_deadline_is_replaced(executor, client):
    pixels, data = photo()
    await client.call("m", Photo=data)
    (stuck,) = codecs(executor)
    stuck.suspend()
    with pytest.raises(TimedOut):
        await client.call("m", timeout_s=0.2, Photo=data)
    await asyncio.to_thread(stuck.wait, HANG_GUARD_S)
    result = await client.call("m", **{"Photo": data, "Shift by": 0})
    assert np.array_equal(pixels_of(result.values["Mirrored"]), pixels[:, ::-1])


async def test_a_caller_that_leaves_lets_its_decoder_go(executor, client):
    _, data = photo()
    await client.call("m", Photo=data)
    (stuck,) = codecs(executor)
    stuck.suspend()
    leaver = await executor.client()
    await leaver.begin_call("m", Photo=data)
    await accepted(executor, 2)
    await leaver.close()
    await asyncio.to_thread(stuck.wait, HANG_GUARD_S)
    await client.call("m", Photo=data)
    assert sorted(state for (state,) in executor.ends().values()) == [
        "cancelled",
        "succeeded",
        "succeeded",
    ]


async def test_who_waits_behind_leavers_is_decoded(executor_with):
    executor = await executor_with(codec_workers=1)
    await executor.deploy_python("m", MIRROR, declaration=DECLARATION)
    client, leaver = await executor.client(), await executor.client()
    _, data = photo()
    await client.call("m", Photo=data)
    (stuck,) = codecs(executor)
    stuck.suspend()
    for _ in range(2):  # as many as are decoded ahead
        await leaver.begin_call("m", Photo=data)
    await accepted(executor, 3)
    _, future = await client.begin_call("m", Photo=data)
    await accepted(executor, 4)
    await leaver.close()
    assert (await client.answer(future)).values["Mirrored"].encoding == "png"


async def test_a_model_that_is_faster_than_its_encoder_waits_for_it(executor_with):
    executor = await executor_with(codec_workers=1)
    await executor.deploy_python("m", MIRROR, declaration=DECLARATION)
    client = await executor.client()
    tensor = np.zeros((1, 3, 3, 4), np.float32)
    await client.call("m", Photo=tensor)
    (stuck,) = codecs(executor)
    stuck.suspend()
    futures = [(await client.begin_call("m", Photo=tensor))[1] for _ in range(6)]
    await accepted(executor, 7)

    async def waiting():
        (deployment,) = (await executor.status()).deployments
        return deployment.queued + deployment.running

    async with asyncio.timeout(HANG_GUARD_S):
        while await waiting() > 4:
            pass
    await executor.status()  # whoever would run now had the time to
    assert await waiting() == 4
    stuck.resume()
    for future in futures:
        assert (await client.answer(future)).values["Mirrored"].encoding == "png"


async def test_a_killed_decoder_fails_the_call_alone(executor, client):
    _, data = photo()
    await client.call("m", Photo=data)
    (stuck,) = codecs(executor)
    stuck.suspend()
    _, future = await client.begin_call("m", Photo=data)
    await accepted(executor, 2)
    stuck.kill()
    with pytest.raises(InputInvalid, match="too much for its decoder, which killed by signal 9"):
        await client.answer(future)
    await client.call("m", Photo=data)


async def test_stopping_a_version_ends_what_is_decoded(executor, client):
    _, data = photo()
    await client.call("m", Photo=data)
    (stuck,) = codecs(executor)
    stuck.suspend()
    _, future = await client.begin_call("m", Photo=data)
    await accepted(executor, 2)
    await executor.stop("m")
    with pytest.raises(Exception, match="was stopped"):
        await client.answer(future)
    await asyncio.to_thread(stuck.wait, HANG_GUARD_S)


async def test_codecs_end_with_a_killed_executor(executor, client):
    _, data = photo()
    await client.call("m", Photo=data)
    (codec,) = codecs(executor)
    os.kill(executor.process.pid, signal.SIGKILL)
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [codec], HANG_GUARD_S)
    assert gone
