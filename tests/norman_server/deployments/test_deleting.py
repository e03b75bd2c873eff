"""What is served is deleted only when it has nothing to do, and the executor forgets it."""

from __future__ import annotations

import pytest

from norman_protocol.errors import Conflict
from norman_protocol.messages import DeploymentStatus
from norman_server.deployments.deleting import check_idle


def status(**facts):
    return DeploymentStatus(
        **{"reference": "digits@1", "version_id": "v", "state": "ready", "pid": 7, **facts}
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"running": 1}, "1 call runs or waits"),
        ({"running": 1, "queued": 2}, "3 calls run or wait"),
    ],
)
def test_calls_refuse_it_whatever_was_asked(facts, says):
    for stop in (False, True):
        with pytest.raises(Conflict, match=says):
            check_idle(status(**facts), stop=stop, idle_timeout_s=900)


def test_an_idle_replica_refuses_it_unless_it_is_to_be_stopped():
    with pytest.raises(Conflict, match=r"process 7.*15 minutes.*%norman rm digits@1 --stop"):
        check_idle(status(), stop=False, idle_timeout_s=900)
    check_idle(status(), stop=True, idle_timeout_s=900)


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_what_nothing_serves_is_free(state):
    check_idle(status(state=state, pid=None), stop=False, idle_timeout_s=900)
