"""Publishing and serving versions: interpreter, files, first replica, ready or failed, route."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from norman_bundle.manifest import check_manifest
from norman_bundle.trust import require_trust
from norman_protocol.errors import (
    ExecutorUnavailable,
    InternalError,
    Interrupted,
    LoadFailed,
    ModelNotFound,
    NormanError,
    NotReady,
)
from norman_protocol.messages import (
    Deploy,
    DeploymentStatus,
    Done,
    Forget,
    Route,
    RouteTarget,
    Start,
    Started,
    Stop,
)
from norman_protocol.references import ACTIVE, Reference, name_key
from norman_protocol.rest import AliasRequest, ErrorBody, PublishRequest
from norman_server.deployments.deleting import Deletions
from norman_server.deployments.switching import Switches
from norman_server.deployments.turns import Turns
from norman_server.deployments.waiting import Waiters
from norman_server.domain.records import ModelRouting, VersionRecord
from norman_server.environments.interpreters import Interpreters
from norman_server.executor.session import Session
from norman_server.executor.supervisor import Supervisor
from norman_server.registry.service import Registry
from norman_server.registry.uploads import find_format
from norman_server.storage.opening import Storage

__all__ = ["Change", "Deployments"]

_log = logging.getLogger(__name__)

_EXECUTOR_TIMEOUT_S = 60.0
_LOAD_GRACE_S = 30.0
_LOAD_ATTEMPTS = 2
_LOG_TAIL_BYTES = 16 * 1024
_CONCURRENT_DEPLOYS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something to show: a version began to load, is ready, failed, or was deleted."""

    name: str
    reference: str
    state: str


class Deployments:
    """Takes publications, has them loaded, and tells the executor what leads where.

    Parameters
    ----------
    supervisor
        Set by `attach` once it exists, since it calls `fill` in turn.
    load_timeout_s, idle_timeout_s
        What the executor gives a worker for loading, and lets an idle one stay.
    announce
        Takes every change of a version.

    Attributes
    ----------
    switches
        Moves aliases of the versions that are served.
    deletions
        Deletes versions and models.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        storage: Storage,
        interpreters: Interpreters,
        load_timeout_s: float,
        idle_timeout_s: float,
        announce: Callable[[Change], None],
    ) -> None:
        self._registry = registry
        self._storage = storage
        self._interpreters = interpreters
        self._load_timeout_s = load_timeout_s
        self._announce_change = announce
        self._supervisor: Supervisor | None = None
        self._turns = Turns()
        self._routings = Turns()
        self.switches = Switches(registry, warm=self._warm, route=self._route)
        self.deletions = Deletions(
            registry,
            session=self._session,
            deploy=self._deploy,
            route=self._route,
            serving=self._serving,
            idle_timeout_s=idle_timeout_s,
            announce=self._announce_deleted,
        )
        self._waiters = Waiters()
        self._loading: set[asyncio.Task[None]] = set()
        # Ready in the database, and not yet known to be so by the executor.
        self._settling: set[str] = set()

    def attach(self, supervisor: Supervisor) -> None:
        """Take the supervisor of the executor."""
        self._supervisor = supervisor

    async def publish(
        self, name: str, request: PublishRequest, *, user: str
    ) -> tuple[VersionRecord, bool]:
        """Make a version of stored blobs and begin to load it.

        Returns
        -------
        VersionRecord, bool
            The version, and whether loading begins (False: it stood already, or is loading).

        Raises
        ------
        BundleInvalid, TrustRequired, InterpreterRefused, RuntimeMissing
            Nothing was made.
        NormanError
            The version stood ready already and can't be started now; what was active stays so.
        """
        interpreter = await self._choose_interpreter(request)
        record, begins = await self._registry.publish(
            name, request, user=user, interpreter=interpreter
        )
        self._announce(record)
        if begins:
            self._spawn_load(record)
        elif record.state == "ready" and request.activate and not record.active:
            await self.switches.set(
                record.name,
                ACTIVE,
                AliasRequest(version=record.number, why="uploaded again"),
                user=user,
            )
            record = await self._registry.version(
                Reference(name=record.name, selector=record.number)
            )
        return record, begins

    async def version(self, reference: Reference, *, wait_s: float = 0.0) -> VersionRecord:
        """Return a version; with ``wait_s`` when it is no longer loading, or after that time.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady
            The reference leads nowhere.
        """
        record = await self._registry.version(reference)
        deadline = asyncio.get_running_loop().time() + wait_s
        numbered = Reference(name=record.name, selector=record.number)
        while wait_s and self._changes_soon(record):
            with self._waiters.watch(record.id) as change:
                # Read again, now that no change can be missed.
                record = await self._registry.version(numbered)
                if not self._changes_soon(record):
                    break
                try:
                    async with asyncio.timeout_at(deadline):
                        await change
                except TimeoutError:
                    break
            record = await self._registry.version(numbered)
        return record

    def _changes_soon(self, record: VersionRecord) -> bool:
        return record.state == "loading" or record.id in self._settling

    async def resume(self) -> None:
        """Load again what was loading when the server ended."""
        for record in await self._registry.unfinished():
            self._spawn_load(record)

    async def fill(self, session: Session) -> None:
        """Tell a new executor of every ready version and every route.

        A version that can't be made ready for it is left out: a call of it says so.
        """
        at_once = asyncio.Semaphore(_CONCURRENT_DEPLOYS)

        async def deploy(record: VersionRecord) -> None:
            async with at_once:
                try:
                    await self._deploy(session, record)
                except (Interrupted, ExecutorUnavailable):
                    raise
                except NormanError:
                    _log.exception("%s can't be served", record.reference)

        records = await self._registry.servable()
        outcomes = await asyncio.gather(*map(deploy, records), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        for routing in await self._registry.routings():
            await session.request(_route_message(session, routing), Done)

    async def close(self) -> None:
        """Stop loading; what was loading is loaded again at the next start."""
        loading = list(self._loading)
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)

    # --- interpreter ------------------------------------------------------------------------

    async def _choose_interpreter(self, request: PublishRequest) -> str | None:
        manifest, declaration = request.manifest, request.declaration
        blobs = self._storage.blobs
        # In a thread: a manifest of thousands of files would hold the event loop for long.
        await self._storage.files.run(lambda: check_manifest(manifest))
        if await self._registry.missing([entry.digest for entry in manifest.files]):
            return None  # publish refuses it and names them all
        found = await self._storage.files.run(lambda: find_format(manifest, blobs, declaration))
        # Before anything is said of interpreters: this is the question to answer first.
        require_trust(found, trusted=request.trust, path=request.origin.source_path or found.entry)
        return await self._interpreters.choose(found.runtime, request.origin.interpreter)

    # --- loading ----------------------------------------------------------------------------

    def _spawn_load(self, record: VersionRecord) -> None:
        task = asyncio.create_task(self._load_in_turn(record), name=f"load {record.reference}")
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _load_in_turn(self, record: VersionRecord) -> None:
        # One after the other per model: the version that was published last becomes active last.
        try:
            async with self._turns.turn(name_key(record.name)):
                await self._load(record)
        except NormanError:
            _log.exception("What became of %s can't be recorded or told", record.reference)
        except Exception:  # noqa: BLE001 - the border of a background task: nobody awaits it
            _log.exception("Loading %s failed in an unforeseen way", record.reference)
            await self._fail(record, InternalError("Loading failed; the server's log says why."))

    async def _load(self, record: VersionRecord) -> None:
        try:
            session, started = await self._start(record)
        except NormanError as error:
            await self._fail(record, error)
            return
        self._settling.add(record.id)
        try:
            ready = await self._registry.mark_ready(
                record.id, signature=started.signature, load_s=started.load_s
            )
            current = await self._session()
            if current is not session:  # the executor ended just now; its successor may not know
                await self._deploy(current, ready)
            await self._route(ready.name)
        finally:
            self._settling.discard(record.id)
            self._waiters.announce(record.id)
        self._announce(ready)

    async def _start(self, record: VersionRecord) -> tuple[Session, Started]:
        for attempt in range(1, _LOAD_ATTEMPTS + 1):
            session = await self._session()
            try:
                await self._deploy(session, record)
                await self._route(record.name)
                started = await self._request_start(session, record)
            except Interrupted:
                if attempt == _LOAD_ATTEMPTS:
                    raise
                _log.warning("The executor ended while %s was loading.", record.reference)
            else:
                return session, started
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _warm(self, record: VersionRecord) -> None:
        """Have a replica of a ready version serve."""
        for attempt in range(1, _LOAD_ATTEMPTS + 1):
            session = await self._session()
            try:
                try:
                    await self._request_start(session, record)
                except NotReady:  # the executor doesn't have it
                    await self._deploy(session, record)
                    await self._request_start(session, record)
            except Interrupted:
                if attempt == _LOAD_ATTEMPTS:
                    raise
                _log.warning("The executor ended while %s was warming up.", record.reference)
            else:
                return

    async def _request_start(self, session: Session, record: VersionRecord) -> Started:
        return await session.request(
            Start(id=session.new_id(), version_id=record.id),
            Started,
            timeout_s=self._load_timeout_s + _LOAD_GRACE_S,
        )

    async def _fail(self, record: VersionRecord, error: NormanError) -> None:
        details = dict(error.details)
        if isinstance(error, LoadFailed) and not details.get("log"):
            end = await self._registry.log_part(record.id, None, _LOG_TAIL_BYTES)
            details["log"] = end.text
        failed = await self._registry.mark_failed(
            record.id, ErrorBody(code=error.code, message=error.message, details=details)
        )
        self._announce(failed)
        try:
            session = await self._session()
            await session.request(Stop(id=session.new_id(), version_id=record.id), Done)
            await self._route(record.name)
        except (ExecutorUnavailable, Interrupted):
            _log.info(
                "The executor is away; its successor learns that %s failed.", record.reference
            )

    async def _deploy(self, session: Session, record: VersionRecord) -> None:
        if record.interpreter is None:
            raise InternalError(f"{record.reference} has no interpreter.")
        files = await self._registry.materialise(record.id)
        message = Deploy(
            id=session.new_id(),
            version_id=record.id,
            reference=record.reference,
            runtime=record.runtime,
            interpreter=record.interpreter,
            files=str(files),
            entry=record.entry,
            log_path=str(self._storage.home.log_path(record.id)),
            signature=record.signature,
            declaration=record.declaration,
        )
        await session.request(message, Done)

    async def _route(self, name: str) -> None:
        session = await self._session()
        # What was read last must be sent last: uploads and switches of a model may coincide.
        async with self._routings.turn(name_key(name)):
            try:
                routing = await self._registry.routing(name)
            except ModelNotFound:
                await session.request(Forget(id=session.new_id(), name=name), Done)
            else:
                await session.request(_route_message(session, routing), Done)

    async def _serving(self) -> tuple[DeploymentStatus, ...]:
        if self._supervisor is None:
            return ()
        view, _ = await self._supervisor.status()
        return view.deployments

    async def _session(self) -> Session:
        if self._supervisor is None:
            raise ExecutorUnavailable("The executor is not started yet.")
        return await self._supervisor.session(_EXECUTOR_TIMEOUT_S)

    def _announce_deleted(self, record: VersionRecord) -> None:
        self._waiters.announce(record.id)
        self._announce_change(Change(name=record.name, reference=record.reference, state="deleted"))

    def _announce(self, record: VersionRecord) -> None:
        self._waiters.announce(record.id)
        self._announce_change(
            Change(name=record.name, reference=record.reference, state=record.state)
        )


def _route_message(session: Session, routing: ModelRouting) -> Route:
    return Route(
        id=session.new_id(),
        name=routing.name,
        versions={
            str(number): RouteTarget(version_id=version_id, state=state)
            for number, (version_id, state) in routing.versions.items()
        },
        aliases=dict(routing.aliases),
    )
