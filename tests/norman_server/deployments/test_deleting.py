"""What is served is deleted only when it has nothing to do, and the executor forgets it."""

from __future__ import annotations

import asyncio

import pytest
from storing import publish

from norman_protocol.errors import Conflict, VersionNotFound
from norman_protocol.messages import Deploy, DeploymentStatus, Done, Stop
from norman_protocol.references import parse_reference
from norman_protocol.signature import Signature
from norman_server.deployments.deleting import Deletions, check_idle
from norman_server.registry.aliasing import AliasMove
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage


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


class Executor:
    """A session that notes what it is told; ``refusal`` answers a stop of what is idle."""

    def __init__(self):
        self.log = []
        self.refusal = None
        self.before_stop = None

    def new_id(self):
        return "1"

    async def request(self, message, answer, **options):
        self.log.append(message)
        if isinstance(message, Stop) and message.only_idle:
            if self.refusal is not None:
                raise self.refusal
            if self.before_stop is not None:
                await self.before_stop()
        return Done(id=message.id)


@pytest.fixture
async def world(tmp_path):
    storage = await asyncio.to_thread(open_storage, tmp_path / "home")
    registry = Registry(storage)
    for text in ("1", "2"):
        record, _ = await publish(registry, "digits", text)
        await registry.mark_ready(record.id, signature=Signature(), load_s=0.1)
    executor = Executor()

    async def session():
        return executor

    async def route(name):
        executor.log.append(name)

    async def deploy(session, version):
        executor.log.append(version.reference)

    async def serving():
        return ()

    deletions = Deletions(
        registry,
        session=session,
        deploy=deploy,
        route=route,
        serving=serving,
        idle_timeout_s=900,
        announce=lambda version: None,
    )
    yield registry, executor, deletions
    await asyncio.to_thread(storage.close)


async def delete(deletions, reference):
    return await deletions.delete_version(parse_reference(reference), stop=False, user="ada")


async def test_a_call_that_came_just_now_keeps_its_version(world):
    registry, executor, deletions = world
    executor.refusal = Conflict("Calls of digits@1 run or wait.")
    with pytest.raises(Conflict, match="run or wait"):
        await delete(deletions, "digits@1")
    assert (await registry.version(parse_reference("digits@1"))).state == "ready"


async def test_a_version_that_gets_an_alias_just_now_is_served_again(world):
    registry, executor, deletions = world

    async def name_it():
        await registry.move_alias(
            AliasMove(name="digits", alias="production", number=1, user="a", why="", action="set")
        )

    executor.before_stop = name_it
    with pytest.raises(Conflict, match="production"):
        await delete(deletions, "digits@1")
    assert executor.log[-1] == "digits@1"


async def test_what_is_deleted_is_forgotten_by_the_executor(world):
    registry, executor, deletions = world
    assert (await delete(deletions, "digits@1")).versions == ("digits@1",)
    assert "digits" in executor.log
    with pytest.raises(VersionNotFound, match="was deleted"):
        await registry.version(parse_reference("digits@1"))
    assert not any(isinstance(message, Deploy) for message in executor.log)
