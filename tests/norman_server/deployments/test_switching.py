"""Switching aliases on real storage and a scripted executor: warm first, then moved and routed."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from storing import publish

from norman_protocol.errors import (
    Conflict,
    Interrupted,
    LoadFailed,
    NameInvalid,
    NotReady,
    RequestInvalid,
    VersionNotFound,
)
from norman_protocol.messages import Deploy, Done, Route, Start, Started
from norman_protocol.references import parse_reference
from norman_protocol.rest import AliasRequest, ErrorBody, RollbackRequest
from norman_protocol.signature import Signature
from norman_server.deployments.service import Deployments
from norman_server.environments.interpreters import Interpreters
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

_HANG_GUARD_S = 30.0


class Executor:
    """Supervisor and session in one: starts what it was told of, or what the test lets through."""

    def __init__(self):
        self.log = []
        self.known = set()
        self.failure = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self._numbers = itertools.count()

    async def session(self, timeout_s):
        return self

    def new_id(self):
        return str(next(self._numbers))

    async def request(self, message, answer, *, timeout_s=60.0):
        self.log.append(message)
        if isinstance(message, Deploy):
            self.known.add(message.version_id)
        if not isinstance(message, Start):
            return Done(id=message.id)
        if message.version_id not in self.known:
            raise NotReady("not deployed", state="stopped")
        self.reached.set()
        await self.gate.wait()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return Started(id=message.id, signature=Signature(), load_s=0.1)

    def kinds(self):
        return [type(message) for message in self.log]

    def last_aliases(self):
        return [message for message in self.log if isinstance(message, Route)][-1].aliases


@pytest.fixture
async def executor():
    return Executor()


@pytest.fixture
async def registry(tmp_path):
    storage = await asyncio.to_thread(open_storage, tmp_path / "home")
    made = Registry(storage)
    made.storage = storage
    for text in ("1", "2", "3"):
        record, _ = await publish(made, "digits", text)
        await made.mark_ready(record.id, signature=Signature(), load_s=0.1)
    yield made
    await asyncio.to_thread(storage.close)


@pytest.fixture
async def switches(registry, executor):
    deployments = Deployments(
        registry=registry,
        storage=registry.storage,
        interpreters=Interpreters(kernel_programs=list),
        load_timeout_s=5.0,
        idle_timeout_s=900.0,
        announce=lambda change: None,
    )
    deployments.attach(executor)
    yield deployments.switches
    await deployments.close()


def to(version, **facts):
    return AliasRequest(version=version, **facts)


async def active(registry):
    return (await registry.version(parse_reference("digits"))).number


async def test_the_target_is_warm_before_the_alias_moves_and_calls_follow(
    switches, registry, executor
):
    executor.known.add((await registry.version(parse_reference("digits@1"))).id)
    executor.gate.clear()
    switching = asyncio.create_task(switches.set("Digits", "Active", to(1, why=" bad "), user="me"))
    async with asyncio.timeout(_HANG_GUARD_S):
        await executor.reached.wait()
    assert await active(registry) == 3
    assert executor.kinds() == [Start]
    executor.gate.set()
    change = await switching
    assert (change.name, change.alias, change.before, change.after, change.why) == (
        "digits",
        "active",
        3,
        1,
        "bad",
    )
    assert await active(registry) == 1
    assert executor.kinds() == [Start, Route]
    assert executor.last_aliases() == {"active": 1}


async def test_a_version_that_the_executor_does_not_have_is_deployed(switches, executor):
    await switches.set("digits", "production", to(2), user="me")
    assert executor.kinds() == [Start, Deploy, Start, Route]
    assert executor.last_aliases() == {"active": 3, "production": 2}


async def test_a_target_that_does_not_start_leaves_the_alias(switches, registry, executor):
    executor.failure = LoadFailed("No module named 'torch'.")
    with pytest.raises(LoadFailed, match="torch"):
        await switches.set("digits", "active", to(1), user="me")
    assert await active(registry) == 3
    assert len((await registry.alias_history("digits", "active")).items) == 3
    assert Route not in executor.kinds()


async def test_a_switch_outlives_one_executor(switches, registry, executor):
    executor.failure = Interrupted("gone")
    assert (await switches.set("digits", "active", to(1), user="me")).after == 1
    assert await active(registry) == 1


async def test_versions_that_load_or_failed_are_no_target(switches, registry, executor):
    loading, _ = await publish(registry, "digits", "4")
    with pytest.raises(NotReady, match=r"production can't lead to digits@4: .*still loading"):
        await switches.set("digits", "production", to(4), user="me")
    await registry.mark_failed(loading.id, ErrorBody(code="load_failed", message="No weights."))
    with pytest.raises(NotReady, match="failed to load: No weights") as caught:
        await switches.set("digits", "production", to(4), user="me")
    assert (caught.value.reference, caught.value.state) == ("digits@4", "failed")
    assert not executor.log


async def test_switches_of_a_model_come_one_after_the_other(switches, registry):
    changes = await asyncio.gather(
        *(switches.set("digits", "active", to(1 + i % 2), user="me") for i in range(6)),
        switches.roll_back("digits", "active", RollbackRequest(), user="me"),
    )
    assert changes[-1].action == "rollback"
    for earlier, later in itertools.pairwise(changes):
        assert later.before == earlier.after


async def test_an_upload_that_becomes_active_meanwhile_stops_a_rollback(
    switches, registry, executor
):
    executor.gate.clear()
    going_back = asyncio.create_task(
        switches.roll_back("digits", "active", RollbackRequest(), user="me")
    )
    async with asyncio.timeout(_HANG_GUARD_S):
        await executor.reached.wait()
    fourth, _ = await publish(registry, "digits", "4")
    await registry.mark_ready(fourth.id, signature=Signature(), load_s=0.1)
    executor.gate.set()
    with pytest.raises(Conflict, match="leads to digits@4 now"):
        await going_back
    assert await active(registry) == 4


async def test_rollback_walks_back_and_names_a_version(switches, registry, executor):
    request = RollbackRequest(why="worse")
    first = await switches.roll_back("digits", "active", request, user="me")
    assert (first.action, first.after, first.why) == ("rollback", 2, "worse")
    assert (await switches.roll_back("digits", "active", request, user="me")).after == 1
    assert executor.last_aliases() == {"active": 1}
    third = await switches.roll_back("digits", "active", RollbackRequest(to=3), user="me")
    assert third.after == 3


async def test_a_deleted_alias_leads_nowhere(switches, executor):
    await switches.set("digits", "production", to(2), user="me")
    change = await switches.delete("digits", "production", "over", user="me")
    assert (change.action, change.before, change.after, change.why) == ("delete", 2, None, "over")
    assert executor.last_aliases() == {"active": 3}
    with pytest.raises(VersionNotFound):
        await switches.delete("digits", "production", None, user="me")


@pytest.mark.parametrize("alias", ["latest", "Latest", "3", "3a", "", "..", "a/b", "a" * 300])
async def test_names_that_no_alias_can_have_are_refused(switches, alias):
    with pytest.raises(NameInvalid):
        await switches.set("digits", alias, to(1), user="me")


async def test_a_reason_that_is_no_text_is_refused(switches):
    for why in ("x" * 2001, "a\0b"):
        with pytest.raises(RequestInvalid):
            await switches.set("digits", "production", to(1, why=why), user="me")
