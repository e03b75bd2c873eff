"""No test of the server's parts may block the event loop."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from blocking import watch_loop


@pytest.hookimpl(hookwrapper=True)
def pytest_pycollect_makeitem(collector, name, obj):
    """Watch the loop in every test that runs on one."""
    if inspect.iscoroutinefunction(obj) and collector.funcnamefilter(name):
        pytest.mark.usefixtures("watched_loop")(obj)
    yield


@pytest.fixture
async def watched_loop():
    """Fails the test where a step on its loop took too long."""
    with watch_loop(asyncio.get_running_loop()):
        yield
