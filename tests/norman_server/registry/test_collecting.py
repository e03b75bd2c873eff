"""Clean-up takes what nothing needs, keeps all else, and does no harm to uploads that go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from storing import digest_of, make_manifest, make_source, publish, send

from norman_protocol.errors import BundleInvalid
from norman_protocol.identifiers import new_id
from norman_protocol.references import parse_reference
from norman_protocol.rest import PublishRequest
from norman_protocol.signature import Signature
from norman_server.registry.collecting import Collector
from norman_server.registry.service import Registry
from norman_server.registry.usage import disk_usage
from norman_server.storage.opening import open_storage

DAY_S = 86400.0


def later(seconds: float):
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


def collector(storage, *, grace_s=DAY_S, after_s=2 * DAY_S):
    return Collector(storage, grace_s=grace_s, now=later(after_s))


async def make_deleted(registry, text="one"):
    record, _ = await publish(registry, "digits", text, activate=False)
    await registry.mark_ready(record.id, signature=Signature(), load_s=0.1)
    await registry.materialise(record.id)
    await registry.delete_version(parse_reference(record.reference), user="ada")
    return record


async def test_blobs_of_a_deleted_version_go_after_the_grace(registry, storage):
    await make_deleted(registry)
    data = make_source("one")
    early = await collector(storage, after_s=0).collect()
    assert (early.blobs, early.waiting, early.waiting_bytes) == (0, 1, len(data))
    assert await registry.missing([digest_of(data)]) == ()
    report = await collector(storage).collect()
    assert (report.blobs, report.blob_bytes, report.waiting) == (1, len(data), 0)
    assert await registry.missing([digest_of(data)]) == (digest_of(data),)
    assert list(storage.blobs.stored()) == []


async def test_what_a_version_has_is_never_touched(registry, storage):
    record, _ = await publish(registry, "digits", "one")
    report = await collector(storage, grace_s=0).collect()
    assert (report.blobs, report.trees, report.logs) == (0, 0, 0)
    assert (await registry.materialise(record.id)).is_dir()


async def test_a_dry_run_says_what_would_go_and_leaves_it(registry, storage):
    record = await make_deleted(registry)
    would = await collector(storage).collect(dry_run=True)
    assert (would.dry_run, would.blobs, would.trees, would.waiting) == (True, 1, 1, 0)
    assert (storage.home.models / record.id).is_dir()
    did = await collector(storage).collect()
    assert (did.blobs, did.trees) == (1, 1)
    assert (await collector(storage).collect()).blobs == 0


async def test_who_was_told_that_a_blob_is_there_finds_it_there(registry, storage):
    await make_deleted(registry)
    asking = Registry(storage, now=later(1.5 * DAY_S))
    assert await asking.missing([digest_of(make_source("one"))]) == ()
    assert (await collector(storage).collect()).blobs == 0


async def test_files_of_killed_servers_go(registry, storage):
    stray = storage.home.blobs / "sha256" / "ab" / ("ab" * 32)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"never noted")
    tree = storage.home.models / new_id()
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_bytes(b"x" * 5000)
    building = storage.home.models / f".{new_id()}.{new_id()}"
    building.mkdir()
    log = storage.home.logs / f"{new_id()}.log"
    log.write_bytes(b"line\n")
    (storage.home.logs / "executor.log").write_bytes(b"kept\n")
    report = await collector(storage).collect()
    assert (report.blobs, report.trees, report.logs, report.waiting) == (0, 1, 1, 1)
    assert report.tree_bytes >= 5000
    assert not any(path.exists() for path in (tree, log))
    executor_log = storage.home.logs / "executor.log"
    # What was stored and not noted is noted now: the upload that it belongs to may go on.
    assert all(path.exists() for path in (stray, building, executor_log))
    assert await registry.missing(["ab" * 32]) == ()
    assert (await collector(storage, after_s=4 * DAY_S).collect()).blobs == 1
    assert not stray.exists()


async def test_a_blob_that_somebody_stores_just_now_is_left(registry, storage):
    await make_deleted(registry)
    digest = digest_of(make_source("one"))
    with storage.blobs.claims.hold([digest]):
        assert (await collector(storage).collect()).blobs == 0
    with storage.blobs.claims.hold(None):
        assert (await collector(storage).collect()).blobs == 0
    assert (await collector(storage).collect()).blobs == 1


async def test_damaged_bytes_go_once_nobody_waits_for_them(registry, storage):
    await publish(registry, "digits", "one")
    digest = digest_of(make_source("one"))
    path = storage.home.blobs / "sha256" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    await storage.registry.write(lambda rows: rows.blobs.quarantine([digest], datetime.now(UTC)))
    assert storage.blobs.quarantine(digest)
    await collector(storage).collect()
    assert (storage.home.blobs / "quarantine" / digest).exists()
    await send(registry, {"model.py": make_source("one")})
    assert (await collector(storage).collect()).damaged_bytes == len(b"damaged")
    assert not (storage.home.blobs / "quarantine" / digest).exists()


def test_a_server_killed_during_clean_up_loses_nothing(tmp_path):
    """Ended between taking the bytes out and forgetting them: they come back at the next start."""

    async def fill(storage):
        registry = Registry(storage)
        await publish(registry, "digits", "one")
        await send(registry, {"model.py": b"of no version"})

    with open_storage(tmp_path / "home") as storage:
        asyncio.run(fill(storage))
        needed, unneeded = digest_of(make_source("one")), digest_of(b"of no version")
        assert storage.blobs.discard(needed)
        assert storage.blobs.discard(unneeded)
        storage.registry.write_now(lambda rows: rows.blobs.remove([unneeded]))
    with open_storage(tmp_path / "home") as storage:
        assert [blob.digest for blob in storage.blobs.stored()] == [needed]
        assert not list((tmp_path / "home" / "blobs" / "discarded").iterdir())


async def test_what_a_failed_round_took_out_comes_back(registry, storage):
    """Its transaction was rolled back: a version that counts on those bytes keeps them."""
    await publish(registry, "digits", "one")
    await send(registry, {"model.py": b"of no version"})
    needed = digest_of(make_source("one"))
    assert storage.blobs.discard(needed)
    report = await Collector(storage, grace_s=0, now=later(1)).collect()
    assert report.blobs == 1
    assert [blob.digest for blob in storage.blobs.stored()] == [needed]


async def test_uploads_go_on_while_clean_up_hammers(registry, storage):
    """With no grace at all, what was sent may go before it is published: then it is sent again."""
    uploaded = asyncio.Event()
    ruthless = Collector(storage, grace_s=0, now=later(3600))

    async def hammer():
        while not uploaded.is_set():
            await ruthless.collect()

    async def upload(number):
        files = {"model.py": make_source(str(number)), "shared": b"the same for all"}
        request = PublishRequest(manifest=make_manifest(files), trust=True)
        while True:
            await send(registry, files)
            try:
                record, _ = await registry.publish(
                    f"model{number}", request, user="ada", interpreter="/usr/bin/python3"
                )
            except BundleInvalid as error:
                if not error.digests:
                    raise
            else:
                return record

    hammering = asyncio.create_task(hammer())
    async with asyncio.timeout(60):
        records = await asyncio.gather(*map(upload, range(16)))
        uploaded.set()
        await hammering
        await ruthless.collect()
    for record in records:
        tree = await registry.materialise(record.id)
        assert (tree / "shared").read_bytes() == b"the same for all"
        assert (tree / "model.py").read_bytes() == make_source(record.name.removeprefix("model"))


class Home(RuleBasedStateMachine):
    """Uploads, deletions, clean-ups and restarts in any order, beside a simple model of them."""

    texts = st.sampled_from(["a", "b", "c"])

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.versions: dict[int, str] = {}
        self.last = 0
        self.open()

    def open(self):
        self.storage = open_storage(self.home)
        self.registry = Registry(self.storage)

    @property
    def home(self):
        from pathlib import Path

        return Path(self.folder.name) / "home"

    def run(self, work):
        return self.runner.run(work)

    @rule(text=texts)
    def upload(self, text):
        async def go():
            record, created = await publish(self.registry, "m", text, activate=False)
            if record.state == "loading":
                await self.registry.mark_ready(record.id, signature=Signature(), load_s=0.1)
            return record.number, created

        number, _ = self.run(go())
        if text in self.versions.values():
            assert self.versions[number] == text
        else:
            self.last += 1
            assert number == self.last
            self.versions[number] = text

    @rule(text=texts)
    def send_only(self, text):
        self.run(send(self.registry, {"model.py": make_source(text)}))

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def delete(self, data):
        number = data.draw(st.sampled_from(sorted(self.versions)))
        self.run(self.registry.delete_version(parse_reference(f"m@{number}"), user="ada"))
        del self.versions[number]

    @rule(grace_s=st.sampled_from([0.0, DAY_S]))
    def clean(self, grace_s):
        self.run(Collector(self.storage, grace_s=grace_s, now=later(1)).collect())
        if not grace_s:
            stored = {blob.digest for blob in self.storage.blobs.stored()}
            assert stored == {digest_of(make_source(text)) for text in self.versions.values()}

    @rule()
    def restart(self):
        self.storage.close()
        self.open()

    @invariant()
    def every_version_has_its_bytes(self):
        for number, text in self.versions.items():
            record = self.run(self.registry.version(parse_reference(f"m@{number}")))
            digest = record.manifest.files[0].digest
            assert digest == digest_of(make_source(text))
            assert self.storage.blobs.size(digest) == len(make_source(text))

    def teardown(self):
        self.storage.close()
        self.runner.close()
        self.folder.cleanup()


TestHome = Home.TestCase
TestHome.settings = settings(
    max_examples=8,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


async def test_disk_usage_adds_up(registry, storage):
    for name, text in (("digits", "one"), ("other", "one"), ("digits", "a longer one")):
        record, _ = await publish(registry, name, text)
        await registry.materialise(record.id)
    storage.home.log_path(record.id).write_bytes(b"x" * 10_000)
    await send(registry, {"x": b"of no version"})
    usage = await storage.files.run(lambda: disk_usage(storage))
    sizes = {item.reference: item for item in usage.items}
    one, longer = len(make_source("one")), len(make_source("a longer one"))
    assert (sizes["digits@1"].blob_bytes, sizes["digits@1"].shared_bytes) == (one, one)
    assert (sizes["digits@2"].blob_bytes, sizes["digits@2"].shared_bytes) == (longer, 0)
    assert usage.items[0].reference == "digits@2"
    assert sizes["digits@2"].log_bytes >= 10_000
    assert usage.unreferenced_bytes == len(b"of no version")
    assert usage.blob_bytes == one + longer + len(b"of no version")
    assert usage.tree_bytes == sum(item.tree_bytes for item in usage.items)
    assert min(usage.registry_bytes, usage.free_bytes) > 0
    some = await storage.files.run(lambda: disk_usage(storage, "Digits"))
    assert {item.reference for item in some.items} == {"digits@1", "digits@2"}
