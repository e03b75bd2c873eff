"""From a publication to a served version, on real storage and a scripted executor."""

from __future__ import annotations

import asyncio
import itertools
from hashlib import sha256

import pytest

from norman_protocol.errors import (
    BundleInvalid,
    Conflict,
    ExecutorUnavailable,
    InterpreterRefused,
    Interrupted,
    LoadFailed,
    ModelNotFound,
    NotReady,
    TrustRequired,
)
from norman_protocol.messages import Deploy, Done, Route, Start, Started, Stop
from norman_protocol.references import Reference
from norman_protocol.rest import FileEntry, Manifest, Origin, PublishRequest
from norman_protocol.signature import Modality, Parameter, Signature
from norman_server.deployments.service import Deployments
from norman_server.environments.interpreters import Interpreters
from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage

_HANG_GUARD_S = 30.0
SIGNATURE = Signature(inputs=(Parameter(name="x", modality=Modality.INTEGER),))


class ScriptedSession:
    """One life of an executor that does what the test says."""

    def __init__(self, log):
        self.log = log
        self._numbers = itertools.count()
        self.starts: asyncio.Queue[tuple[Start, asyncio.Future]] = asyncio.Queue()
        self.lost = False

    def new_id(self):
        return str(next(self._numbers))

    async def request(self, message, answer, *, timeout_s=60.0):
        if self.lost:
            raise Interrupted("gone")
        self.log.append(message)
        if not isinstance(message, Start):
            return Done(id=message.id)
        outcome = asyncio.get_running_loop().create_future()
        await self.starts.put((message, outcome))
        return await outcome


class ScriptedSupervisor:
    def __init__(self):
        self.log = []
        self.current = ScriptedSession(self.log)
        self.away = False

    async def session(self, timeout_s):
        if self.away:
            raise ExecutorUnavailable("away")
        return self.current

    def restart(self):
        self.current.lost = True
        self.current = ScriptedSession(self.log)

    async def next_start(self):
        async with asyncio.timeout(_HANG_GUARD_S):
            return await self.current.starts.get()

    async def finish_start(self):
        message, outcome = await self.next_start()
        outcome.set_result(Started(id=message.id, signature=SIGNATURE, load_s=0.5))

    def routes(self, name):
        return [m for m in self.log if isinstance(m, Route) and m.name == name]


class World:
    """Deployments with all that is around them."""

    def __init__(self, storage):
        self.storage = storage
        self.registry = Registry(storage)
        self.executor = ScriptedSupervisor()
        self.changes = []
        self.deployments = Deployments(
            registry=self.registry,
            storage=storage,
            interpreters=Interpreters(kernel_programs=list),
            load_timeout_s=5.0,
            idle_timeout_s=900.0,
            announce=self.changes.append,
        )
        self.deployments.attach(self.executor)

    async def request(self, source: bytes, **settings):
        digest = sha256(source).hexdigest()

        def store():
            with self.registry.begin_blob(digest) as writer:
                writer.write(source)
                writer.commit()

        await asyncio.to_thread(store)
        entry = FileEntry(path="model.py", digest=digest, size_bytes=len(source))
        return PublishRequest(manifest=Manifest(files=(entry,)), **{"trust": True, **settings})

    async def publish(self, name, source, **settings):
        return await self.deployments.publish(
            name, await self.request(source, **settings), user="me"
        )

    async def idle(self):
        """Wait until nothing is being loaded, nor the executor told of it."""
        async with asyncio.timeout(_HANG_GUARD_S):
            await asyncio.gather(*self.deployments._loading)

    async def settled(self, reference):
        async with asyncio.timeout(_HANG_GUARD_S):
            return await self.deployments.version(reference, wait_s=_HANG_GUARD_S)


@pytest.fixture
async def world(tmp_path):
    storage = await asyncio.to_thread(open_storage, tmp_path / "home")
    world = World(storage)
    yield world
    await world.deployments.close()
    await asyncio.to_thread(storage.close)


def numbered(name, number):
    return Reference(name=name, selector=number)


async def test_version_is_deployed_started_ready_and_routed(world):
    record, begins = await world.publish("m", b"def predict(x: int): return x")
    assert begins
    assert record.state == "loading"
    waiting = asyncio.create_task(world.settled(numbered("m", 1)))
    await world.executor.finish_start()
    ready = await waiting
    assert ready.state == "ready"
    assert ready.active
    assert ready.signature == SIGNATURE
    kinds = [type(message) for message in world.executor.log]
    assert kinds == [Deploy, Route, Start, Route]
    deploy, last = world.executor.log[0], world.executor.log[-1]
    assert deploy.version_id == record.id
    assert deploy.entry == "model.py"
    assert deploy.log_path == str(world.storage.home.log_path(record.id))
    assert last.aliases == {"active": 1}
    assert last.versions["1"].state == "ready"
    assert [change.state for change in world.changes] == ["loading", "ready"]


async def test_who_waits_hears_of_ready_only_when_calls_are_routed(world):
    await world.publish("m", b"def predict(): return 1")
    waiting = asyncio.create_task(world.settled(numbered("m", 1)))
    await world.executor.finish_start()
    await waiting
    assert world.executor.routes("m")[-1].aliases == {"active": 1}


async def test_waiting_ends_at_its_deadline(world):
    await world.publish("m", b"def predict(): return 1")
    record = await world.deployments.version(numbered("m", 1), wait_s=0.05)
    assert record.state == "loading"


async def test_failed_load_is_recorded_with_its_log_and_the_version_before_stays(world):
    await world.publish("m", b"def predict(): return 1")
    await world.executor.finish_start()
    await world.settled(numbered("m", 1))
    record, _ = await world.publish("m", b"1 / 0")
    world.storage.home.log_path(record.id).write_text("the end of the log")
    _, outcome = await world.executor.next_start()
    outcome.set_exception(LoadFailed("It raised.", traceback="Traceback: 1 / 0"))
    failed = await world.settled(numbered("m", 2))
    assert failed.state == "failed"
    assert failed.error.code == "load_failed"
    assert failed.error.details["traceback"] == "Traceback: 1 / 0"
    assert failed.error.details["log"] == "the end of the log"
    await world.idle()
    assert isinstance(world.executor.log[-2], Stop)
    assert world.executor.routes("m")[-1].aliases == {"active": 1}
    active = await world.deployments.version(Reference(name="m"))
    assert active.number == 1


async def test_versions_of_one_model_load_in_their_order(world):
    await world.publish("m", b"def predict(): return 1")
    await world.publish("m", b"def predict(): return 2")
    first, outcome = await world.executor.next_start()
    assert world.executor.current.starts.empty()
    outcome.set_result(Started(id=first.id, signature=SIGNATURE, load_s=0.1))
    await world.executor.finish_start()
    second = await world.settled(numbered("m", 2))
    assert second.active
    assert world.executor.routes("m")[-1].aliases == {"active": 2}


async def test_models_load_side_by_side(world):
    await world.publish("a", b"def predict(): return 1")
    await world.publish("b", b"def predict(): return 2")
    (first, _), (second, _) = await world.executor.next_start(), await world.executor.next_start()
    assert first.version_id != second.version_id


async def test_executor_that_ends_while_loading_gets_a_second_try(world):
    await world.publish("m", b"def predict(): return 1")
    _, outcome = await world.executor.next_start()
    world.executor.restart()
    outcome.set_exception(Interrupted("gone"))
    await world.executor.finish_start()
    assert (await world.settled(numbered("m", 1))).state == "ready"


async def test_version_that_takes_the_executor_down_twice_fails(world):
    await world.publish("m", b"def predict(): return 1")
    for _ in range(2):
        _, outcome = await world.executor.next_start()
        world.executor.restart()
        outcome.set_exception(Interrupted("gone"))
    failed = await world.settled(numbered("m", 1))
    assert (failed.state, failed.error.code) == ("failed", "interrupted")


async def test_executor_that_ended_just_after_loading_is_told_again(world):
    await world.publish("m", b"def predict(): return 1")
    message, outcome = await world.executor.next_start()
    world.executor.restart()
    outcome.set_result(Started(id=message.id, signature=SIGNATURE, load_s=0.1))
    await world.settled(numbered("m", 1))
    assert [type(message) for message in world.executor.log[-2:]] == [Deploy, Route]
    assert world.executor.log[-2].signature == SIGNATURE


async def test_without_an_executor_the_version_fails_and_can_be_tried_again(world):
    world.executor.away = True
    await world.publish("m", b"def predict(): return 1")
    failed = await world.settled(numbered("m", 1))
    assert (failed.state, failed.error.code) == ("failed", "executor_unavailable")
    world.executor.away = False
    record, begins = await world.publish("m", b"def predict(): return 1")
    assert begins
    assert record.number == 1
    await world.executor.finish_start()
    assert (await world.settled(numbered("m", 1))).state == "ready"


async def test_same_bundle_again_is_active_once_it_is_warm(world):
    for source in (b"def predict(): return 1", b"def predict(): return 2"):
        await world.publish("m", source)
        await world.executor.finish_start()
        await world.settled(Reference(name="m", selector="latest"))
    again = asyncio.create_task(world.publish("m", b"def predict(): return 1"))
    message, outcome = await world.executor.next_start()
    assert (await world.registry.version(Reference(name="m"))).number == 2
    outcome.set_result(Started(id=message.id, signature=SIGNATURE, load_s=0.5))
    record, begins = await again
    assert not begins
    assert record.active
    assert world.executor.routes("m")[-1].aliases == {"active": 1}
    (change, *_) = (await world.registry.alias_history("m", "active")).items
    assert (change.before, change.after, change.why) == (2, 1, "uploaded again")


async def test_same_bundle_again_that_cannot_be_loaded_any_more_leaves_what_is_active(world):
    for source in (b"def predict(): return 1", b"def predict(): return 2"):
        await world.publish("m", source)
        await world.executor.finish_start()
        await world.settled(Reference(name="m", selector="latest"))
    again = asyncio.create_task(world.publish("m", b"def predict(): return 1"))
    _, outcome = await world.executor.next_start()
    outcome.set_exception(LoadFailed("It raised."))
    with pytest.raises(LoadFailed):
        await again
    assert (await world.registry.version(Reference(name="m"))).number == 2


async def test_new_executor_learns_every_ready_version_and_all_routes(world):
    await world.publish("good", b"def predict(): return 1")
    await world.executor.finish_start()
    ready = await world.settled(numbered("good", 1))
    await world.publish("bad", b"1 / 0")
    _, outcome = await world.executor.next_start()
    outcome.set_exception(LoadFailed("It raised."))
    await world.settled(numbered("bad", 1))
    log = []
    await world.deployments.fill(ScriptedSession(log))
    (deploy,) = [message for message in log if isinstance(message, Deploy)]
    assert deploy.version_id == ready.id
    assert deploy.signature == SIGNATURE
    assert {message.name for message in log if isinstance(message, Route)} == {"good", "bad"}


async def test_version_whose_files_are_gone_does_not_keep_the_executor_from_the_others(world):
    for name in ("a", "b"):
        await world.publish(name, f"def predict(): return {name!r}".encode())
        await world.executor.finish_start()
        await world.settled(numbered(name, 1))
    lost = await world.registry.version(numbered("a", 1))
    (entry,) = lost.manifest.files
    tree = world.storage.home.models / lost.id
    (tree / entry.path).unlink()
    tree.rmdir()
    blob = next(world.storage.home.blobs.rglob(entry.digest))
    blob.unlink()
    log = []
    await world.deployments.fill(ScriptedSession(log))
    assert [m.reference for m in log if isinstance(m, Deploy)] == ["b@1"]
    assert {m.name for m in log if isinstance(m, Route)} == {"a", "b"}


async def test_executor_that_ends_while_it_is_filled_is_reported(world):
    await world.publish("m", b"def predict(): return 1")
    await world.executor.finish_start()
    await world.settled(numbered("m", 1))
    session = ScriptedSession([])
    session.lost = True
    with pytest.raises(Interrupted):
        await world.deployments.fill(session)


async def test_what_was_loading_when_the_server_ended_is_loaded_again(world):
    await world.publish("m", b"def predict(): return 1")
    await world.executor.next_start()
    await world.deployments.close()
    successor = World(world.storage)
    await successor.deployments.resume()
    await successor.executor.finish_start()
    assert (await successor.settled(numbered("m", 1))).state == "ready"
    await successor.deployments.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"trust": False}, TrustRequired),
        ({"origin": Origin(interpreter="/opt/unknown/python")}, InterpreterRefused),
        ({"trust": False, "origin": Origin(interpreter="/opt/unknown/python")}, TrustRequired),
    ],
)
async def test_refused_publication_makes_nothing(world, settings, error):
    with pytest.raises(error):
        await world.publish("m", b"def predict(): return 1", **settings)
    with pytest.raises(ModelNotFound):
        await world.deployments.version(Reference(name="m"))
    assert world.executor.log == []


async def test_publication_of_missing_blobs_names_them_all(world):
    entries = tuple(
        FileEntry(path=path, digest=sha256(path.encode()).hexdigest(), size_bytes=7)
        for path in ("labels.txt", "model.py")
    )
    request = PublishRequest(manifest=Manifest(files=entries), trust=True)
    with pytest.raises(BundleInvalid) as caught:
        await world.deployments.publish("m", request, user="me")
    assert set(caught.value.digests) == {entry.digest for entry in entries}


async def test_version_that_is_gone_from_loading_meanwhile_is_left_alone(world):
    record, _ = await world.publish("m", b"def predict(): return 1")
    message, outcome = await world.executor.next_start()
    await world.registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    with pytest.raises(Conflict):
        await world.registry.mark_ready(record.id, signature=SIGNATURE, load_s=0.1)
    outcome.set_result(Started(id=message.id, signature=SIGNATURE, load_s=0.1))
    assert (await world.settled(numbered("m", 1))).state == "ready"


async def test_nothing_active_is_said_while_the_first_version_loads(world):
    await world.publish("m", b"def predict(): return 1")
    with pytest.raises(NotReady):
        await world.deployments.version(Reference(name="m"), wait_s=1.0)
