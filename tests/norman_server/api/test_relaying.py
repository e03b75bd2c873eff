"""The way to the server that holds the home, once that one is gone."""

from __future__ import annotations

import os

import pytest

from norman_protocol.errors import ExecutorUnavailable
from norman_server.api.relaying import HolderGone, HolderLink


def link_to(path):
    return HolderLink(socket_path=str(path), base_path="/", secret="s", pid=1, holder_pid=4711)


@pytest.mark.parametrize("closed", [True, False])
async def test_what_finds_no_holder_was_not_sent(tmp_path, closed):
    """Closed, too: another request has found out first, and this one may go to the next holder."""
    link = link_to(tmp_path / "none.sock")
    if closed:
        await link.close()
    with pytest.raises(HolderGone) as caught:
        await link.send("POST", "/norman/api/v1/invocations", [], b"{}", "ann")
    assert not caught.value.was_sent
    await link.close()


async def test_a_holder_that_lives_unreachably_is_told_with_its_process(tmp_path):
    link = link_to(tmp_path / "none.sock")
    error = link.unreachable()
    assert isinstance(error, ExecutorUnavailable)
    for part in ("process 4711", os.fspath(tmp_path / "none.sock"), "restart"):
        assert part in error.message
    await link.close()
