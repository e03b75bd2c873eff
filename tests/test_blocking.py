"""The detector for a blocked event loop sees what it must, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest
from blocking import BlockedLoop, watch_loop


async def test_step_that_takes_too_long_is_told_with_its_place():
    with (
        pytest.raises(BlockedLoop, match=r"Executing <Task .*take_a_step.* took "),
        watch_loop(asyncio.get_running_loop(), slow_s=0.0),
    ):
        await asyncio.create_task(take_a_step(), name="long")


async def take_a_step():
    await asyncio.sleep(0)


async def test_other_warnings_and_quick_steps_pass():
    loop = asyncio.get_running_loop()
    with watch_loop(loop, slow_s=60.0):
        assert loop.get_debug()
        await take_a_step()
        logging.getLogger("asyncio").warning("something else")
    assert not loop.get_debug()


async def test_step_that_waits_for_something_is_found_while_other_threads_run():
    with (
        pytest.raises(BlockedLoop, match=r"wait_for_a_process"),
        watch_loop(asyncio.get_running_loop()),
    ):
        await asyncio.create_task(wait_for_a_process())


async def wait_for_a_process():
    subprocess.run(  # noqa: ASYNC221 - the blocking that is to be noticed
        [sys.executable, "-c", "import time; time.sleep(0.5)"], check=True
    )
