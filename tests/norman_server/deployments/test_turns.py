"""Turns and waiting."""

from __future__ import annotations

import asyncio

from norman_server.deployments.turns import Turns
from norman_server.deployments.waiting import Waiters


async def test_one_at_a_time_per_key_in_the_order_of_asking():
    turns, order = Turns(), []
    gate = asyncio.Event()

    async def take(key, name):
        async with turns.turn(key):
            order.append(f"{name} begins")
            await gate.wait()
            order.append(f"{name} ends")

    tasks = [asyncio.create_task(take("a", "first")), asyncio.create_task(take("a", "second"))]
    other = asyncio.create_task(take("b", "other"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["first begins", "other begins"]
    gate.set()
    await asyncio.gather(*tasks, other)
    assert order.index("first ends") < order.index("second begins")


async def test_keys_are_forgotten():
    turns = Turns()
    async with turns.turn("a"):
        cancelled = asyncio.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
    assert not turns._locks
    assert not turns._users


async def test_every_waiter_is_woken_once_and_forgotten():
    waiters = Waiters()
    with waiters.watch("v") as first, waiters.watch("v") as second, waiters.watch("w") as other:
        waiters.announce("v")
        assert first.done()
        assert second.done()
        assert not other.done()
        waiters.announce("v")
    with waiters.watch("v") as later:
        assert not later.done()
    assert not waiters._waiting
