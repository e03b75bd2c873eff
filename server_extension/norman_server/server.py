"""The running server: builds every service in order, and takes them down again."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import math
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import urlsplit

import psutil

from norman_protocol.discovery import DiscoveryRecord
from norman_protocol.errors import InternalError, NormanError
from norman_protocol.messages import ExecutorLimits
from norman_protocol.processes import process_stamp
from norman_protocol.rest import DoctorReport
from norman_server.announcement import Announcement, remove_stale_files
from norman_server.api.relaying import HolderLink
from norman_server.api.services import TAKEOVER_PATIENCE_S, ApiLimits, Services, ServiceSlot
from norman_server.deployments.service import Change, Deployments
from norman_server.doctor.keeping import BackupKeeper
from norman_server.environments.interpreters import Interpreters, KernelPrograms
from norman_server.executor.relay import Relay
from norman_server.executor.session import Session
from norman_server.executor.supervisor import EXECUTOR_COMMAND, ExecutorSettings, Supervisor
from norman_server.handover import HandoverServer
from norman_server.holding import (
    Holder,
    Identity,
    Waiting,
    read_holder,
    remove_holder,
    write_holder,
)
from norman_server.invocations.live import LiveCalls
from norman_server.invocations.retention import Retention, RetentionLimits
from norman_server.invocations.submissions import SubmissionLimits, Submissions
from norman_server.lease import HomeLease
from norman_server.storage.faults import disk_faults
from norman_server.storage.memory import settle_memory

if TYPE_CHECKING:
    from norman_server.storage.opening import Storage

__all__ = ["Listener", "NormanServer", "ServerSettings", "socket_path_for"]

_log = logging.getLogger(__name__)

_SOCKET_PATH_BYTES = 100
"""The kernel takes about 104 bytes for the path of a Unix socket, on every platform."""

_LEASE_POLL_S = 1.0
_RETRY_S = 3.0
_TAKEOVER_POLL_S = 0.05
_IMPORT_INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The configuration as plain values; see `NormanExtension` for each."""

    home: Path
    runtime_folder: Path
    version: str
    executor: ExecutorLimits
    api: ApiLimits
    rest_call_limit: int
    submissions: SubmissionLimits = field(default_factory=SubmissionLimits)
    retention: RetentionLimits = field(default_factory=RetentionLimits)
    retention_interval_s: float = 600.0
    scrub_interval_s: float = 0.0
    scrub_bytes_per_s: float = 20e6
    abandoned_upload_s: float = 86400.0
    gc_interval_s: float = 3600.0
    gc_grace_s: float = 86400.0
    backup_interval_s: float = 600.0
    backup_count: int = 8
    allowed_interpreters: Sequence[str] = ()
    executor_command: Sequence[str] = EXECUTOR_COMMAND


class Listener(Protocol):
    """Jupyter answering on one more socket."""

    async def close(self) -> None:
        """Stop."""


Listen: TypeAlias = Callable[[Path], Listener]


class NormanServer:
    """Everything that runs beside Jupyter, from `start` to `stop`.

    A fault leaves Jupyter and its notebooks alone: the API then says what is wrong.

    Parameters
    ----------
    url
        Asked when Jupyter listens: its base URL as this host reaches it.
    announce
        Takes every change of a version.
    listen
        Has Jupyter answer on a Unix socket, too, for servers that relay to this one. Without it
        others wait until this one ends.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        kernel_programs: KernelPrograms,
        url: Callable[[], str],
        announce: Callable[[Change], None],
        listen: Listen | None = None,
    ) -> None:
        self._settings = settings
        self._kernel_programs = kernel_programs
        self._url = url
        self._announce = announce
        self._listen = listen
        self._identity = Identity.new()
        self._relay_token = secrets.token_urlsafe(32)
        self._lease = HomeLease(settings.home / "server.lock")
        self._listener: Listener | None = None
        self._link: HolderLink | None = None
        self._waiting: Waiting | None = None
        self._followed: Holder | None = None
        self._announcement: Announcement | None = None
        self._services: Services | None = None
        self._storage: Storage | None = None
        self._starting: asyncio.Task[None] | None = None
        self._importing: asyncio.Task[None] | None = None
        self._handover: HandoverServer | None = None
        self._scrubbing: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        self._backing_up: asyncio.Task[None] | None = None
        self._keeper: BackupKeeper | None = None
        self._attempted = asyncio.Event()
        self.slot = ServiceSlot(token=self._identity.token, user=_owner(), limits=settings.api)

    def start(self) -> None:
        """Build and start everything in the background; Jupyter doesn't wait for it."""
        self._starting = asyncio.create_task(self._start_safely(), name="norman-start")

    async def wait_started(self) -> None:
        """Return when `start` has succeeded or failed once; the slot tells which."""
        await self._attempted.wait()

    async def stop(self) -> None:
        """End everything that was started, processes and threads included."""
        self.withdraw()
        # First of all: what others relay is held by them from now on, instead of refused here.
        await self._close_listener()
        self.slot.empty("The server is stopping.")
        if self._starting is not None:
            await _cancel(self._starting)
        await self._take_down()

    async def _take_down(self) -> None:
        """End whatever stands, and give the home back."""
        for task in (
            self._importing,
            self._forgetting,
            self._collecting,
            self._backing_up,
            self._scrubbing,
        ):
            if task is not None:
                await _cancel(task)
        await self._drop_link()
        await self._close_listener()
        if self._handover is not None:
            await self._handover.close()
            self._handover = None
        if self._services is not None:
            await self._stop_services(self._services)
            self._services = None
        if self._storage is not None and self._keeper is not None:
            with contextlib.suppress(NormanError):  # it is in the log
                await self._keeper.back_up("at-stop")
        if self._storage is not None:
            await asyncio.to_thread(self._storage.close)
            self._storage = None
            self._keeper = None
        if self._lease.is_held and not await asyncio.to_thread(self._is_awaited):
            await asyncio.to_thread(remove_holder, self._holder_path)
        self._lease.release()
        if self._waiting is not None:
            self._waiting.leave()

    async def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()

    def withdraw(self) -> None:
        """Remove the discovery file; for an end without `stop`, too. Twice is fine."""
        if self._announcement is not None:
            self._announcement.remove()

    async def _start_safely(self) -> None:
        """Start, again and again until it goes: a lock may be released, a backup be put back."""
        told = ""
        while True:
            try:
                with disk_faults("taking its home"):
                    await self._start()
            except NormanError as error:
                reason = error.message
                if told != reason:
                    _log.error("Norman can't start on %s: %s", self._settings.home, reason)
            except Exception:  # noqa: BLE001 - the border of this task: Jupyter goes on
                reason = "the Jupyter server's log says why."
                if told != reason:
                    _log.exception("Norman can't start on %s", self._settings.home)
            else:
                self._attempted.set()
                return
            told = reason
            self.slot.empty(f"Norman can't start: {reason}")
            self._attempted.set()
            # Given back meanwhile, so that `norman restore` can have the home.
            await self._take_down()
            await asyncio.sleep(_RETRY_S)

    async def _start(self) -> None:
        settings = self._settings
        await asyncio.to_thread(_make_home, settings.home)
        socket_path = await asyncio.to_thread(socket_path_for, settings.home)
        await self._take_home()
        await asyncio.to_thread(self._choose_identity)
        await asyncio.to_thread(self._announce_self, socket_path, _transfer_path(socket_path))
        self._storage = await asyncio.to_thread(
            _open_storage, settings.home, settings.abandoned_upload_s
        )
        services = self._build(self._storage, socket_path)
        self._services = services
        await services.supervisor.recover()
        await services.invocations.recover()
        services.supervisor.start()
        self._importing = asyncio.create_task(
            services.invocations.run(_IMPORT_INTERVAL_S), name="norman-journal-import"
        )
        await services.deployments.resume()
        await services.submissions.recover()
        retention = Retention(self._storage, settings.retention)
        self._forgetting = asyncio.create_task(
            retention.run(settings.retention_interval_s), name="norman-retention"
        )
        self._collecting = asyncio.create_task(
            services.collector.run(settings.gc_interval_s), name="norman-clean-up"
        )
        self._keeper = keeper = BackupKeeper(self._storage, count=settings.backup_count)
        self._backing_up = asyncio.create_task(
            keeper.run(settings.backup_interval_s), name="norman-backups"
        )
        self._handover = HandoverServer(
            _transfer_path(socket_path),
            registry=services.registry,
            server_id=self._identity.server_id,
            token=self._identity.token,
            limit_bytes=settings.api.blob_bytes,
        )
        self._handover.start()
        self._scrubbing = self._start_scrubbing(self._storage)
        self.slot.fill(services)
        await self._let_relay(socket_path)
        await asyncio.to_thread(settle_memory)

    def _start_scrubbing(self, storage: Storage) -> asyncio.Task[None] | None:
        from norman_server.registry.scrubbing import Scrubber

        settings = self._settings
        if not settings.scrub_interval_s:
            return None
        scrubber = Scrubber(storage, bytes_per_s=settings.scrub_bytes_per_s)
        return asyncio.create_task(scrubber.run(settings.scrub_interval_s), name="norman-scrubbing")

    # --- the home: held by one server, to which the others relay ----------------------------

    async def _take_home(self) -> None:
        """Take the home; until it is free, relay to the server that has it."""
        told: int | None = None
        followed = False
        lost_clock = -math.inf
        while not await asyncio.to_thread(self._lease.try_take):
            await asyncio.to_thread(self._join_waiting)
            await self._follow(await asyncio.to_thread(self._current_holder))
            followed = followed or self._link is not None
            pid = await asyncio.to_thread(self._lease.holder)
            if pid != told:
                told = pid
                _log.info("Another Jupyter server (process %s) has the models of this home.", pid)
            is_new = time.monotonic() - lost_clock < TAKEOVER_PATIENCE_S
            if self._link is None and not is_new:
                self.slot.empty(
                    f"Another Jupyter server (process {pid or 'unknown'}) has the models of this "
                    "home. This one relays to it as soon as it is ready, and takes over when it "
                    "ends."
                )
            self._attempted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    _TAKEOVER_POLL_S if is_new and self._link is None else _LEASE_POLL_S
                ):
                    await self.slot.lost.wait()
            if self.slot.lost.is_set():
                lost_clock = time.monotonic()
                await self._drop_link()
                self.slot.lost.clear()
        await self._drop_link()
        if followed:
            self.slot.change()  # calls wait until this server serves
        else:
            self.slot.empty("Norman is starting. Try again in a moment.")

    def _join_waiting(self) -> None:
        if self._waiting is None:
            run = self._settings.home / "run"
            run.mkdir(mode=0o700, exist_ok=True)
            self._waiting = Waiting(run / "waiting.lock")
        self._waiting.join()

    @property
    def _holder_path(self) -> Path:
        return self._settings.home / "run" / "holder.json"

    def _current_holder(self) -> Holder | None:
        """Return who holds the home, from when it says how to relay to it until it stops."""
        holder = read_holder(self._holder_path)
        if holder is None or holder.pid != self._lease.holder():
            return None
        return holder if Path(holder.socket_path).exists() else None

    async def _follow(self, holder: Holder | None) -> None:
        """Relay to the server that holds the home from now on."""
        if holder is None or (self._link is not None and self._followed == holder):
            return
        await self._drop_link()
        self._followed = holder
        self._identity = holder.identity
        self.slot.adopt(token=holder.identity.token, relay_secret=holder.identity.relay_secret)
        self._link = HolderLink(
            socket_path=holder.socket_path,
            base_path=holder.base_path,
            secret=holder.identity.relay_secret,
            pid=os.getpid(),
            holder_pid=holder.pid,
        )
        await asyncio.to_thread(
            self._announce_self, Path(holder.data_path), Path(holder.transfer_path)
        )
        self.slot.relay(self._link)
        _log.info("Norman relays to the server of process %d.", holder.pid)

    async def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        if self.slot.link is link:
            self.slot.change()
        await link.close()

    def _choose_identity(self) -> None:
        """Keep the identity that kernels of waiting servers know; else be a new one."""
        # First out of the queue itself: only the others in it count.
        if self._waiting is not None:
            self._waiting.leave()
            self._waiting = None
        if not self._is_awaited():
            # Nobody can mean the one before; a process may have its id again (in a container).
            remove_holder(self._holder_path)
        elif self._followed is None:
            holder = read_holder(self._holder_path)
            if holder is not None:
                self._identity = holder.identity
        identity = self._identity
        self.slot.adopt(token=identity.token, relay_secret=identity.relay_secret)

    def _is_awaited(self) -> bool:
        run = self._settings.home / "run"
        if not run.is_dir():
            return False
        return Waiting(run / "waiting.lock").has_others()

    async def _let_relay(self, socket_path: Path) -> None:
        """Answer on a socket of this host, and say so."""
        if self._listen is None:
            return
        path = socket_path.with_name("server.sock")
        path.unlink(missing_ok=True)
        self._listener = self._listen(path)
        holder = Holder(
            identity=self._identity,
            pid=os.getpid(),
            url=self._url(),
            socket_path=str(path),
            base_path=urlsplit(self._url()).path,
            data_path=str(socket_path),
            transfer_path=str(_transfer_path(socket_path)),
        )
        await asyncio.to_thread(write_holder, self._holder_path, holder)

    def _announce_self(self, data_path: Path, transfer_path: Path) -> None:
        remove_stale_files(self._settings.runtime_folder)
        record = DiscoveryRecord(
            server_id=self._identity.server_id,
            url=self._url(),
            token=self._identity.token,
            server_pid=os.getpid(),
            server_started_at=psutil.Process().create_time(),
            server_stamp=process_stamp(os.getpid()),
            socket_path=str(data_path),
            transfer_path=str(transfer_path),
            version=self._settings.version,
        )
        announcement = Announcement(self._settings.runtime_folder, record)
        announcement.write()
        self._announcement = announcement

    def _build(self, storage: Storage, socket_path: Path) -> Services:
        # Imported here: these pull in the database's libraries, and Jupyter is not to wait.
        from norman_server.doctor.findings import Live, Subject
        from norman_server.doctor.service import examine
        from norman_server.invocations.service import InvocationLog
        from norman_server.registry.collecting import Collector
        from norman_server.registry.service import Registry
        from norman_server.registry.usage import disk_usage

        settings = self._settings
        registry = Registry(storage)

        def session(timeout_s: float) -> Awaitable[Session]:
            return supervisor.session(timeout_s)

        invocations = InvocationLog(storage, live=LiveCalls(session))
        deployments = Deployments(
            registry=registry,
            storage=storage,
            interpreters=Interpreters(
                kernel_programs=self._kernel_programs, allowed=settings.allowed_interpreters
            ),
            load_timeout_s=settings.executor.load_timeout_s,
            idle_timeout_s=settings.executor.replica_idle_timeout_s,
            announce=self._announce,
        )
        supervisor = Supervisor(
            ExecutorSettings(
                server_id=self._identity.server_id,
                token=self._identity.token,
                relay_token=self._relay_token,
                socket_path=socket_path,
                journal_folder=storage.home.journal,
                run_folder=storage.home.run,
                log_path=storage.home.logs / "executor.log",
                limits=settings.executor,
                command=settings.executor_command,
            ),
            on_started=deployments.fill,
            on_ended=invocations.executor_ended,
        )
        deployments.attach(supervisor)
        relay = Relay(
            socket_path=str(socket_path),
            token=self._relay_token,
            call_limit=settings.rest_call_limit,
            body_limit_bytes=settings.executor.body_limit_bytes,
            wait_ready=supervisor.session,
        )
        submissions = Submissions(
            storage=storage,
            registry=registry,
            relay=relay,
            log=invocations,
            limits=settings.submissions,
        )

        async def examine_live(*, deep: bool, repair: bool) -> DoctorReport:
            # What executors wrote until now is read first: only the rest counts.
            await invocations.import_journal()
            subject = Subject(
                home=storage.home,
                storage=storage,
                live=Live(executor_id=supervisor.executor_id),
                runtime_folder=settings.runtime_folder,
                deep=deep,
                keep_backups=settings.backup_count,
            )
            return await storage.files.run(lambda: examine(subject, repair=repair))

        return Services(
            server_id=self._identity.server_id,
            version=settings.version,
            registry=registry,
            deployments=deployments,
            invocations=invocations,
            submissions=submissions,
            relay=relay,
            supervisor=supervisor,
            collector=Collector(storage, grace_s=settings.gc_grace_s),
            disk_usage=lambda name: storage.files.run(lambda: disk_usage(storage, name)),
            examine=examine_live,
        )

    async def _stop_services(self, services: Services) -> None:
        services.submissions.stop()
        await services.deployments.close()
        await services.supervisor.stop()
        services.relay.close()
        await services.submissions.close()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def socket_path_for(home: Path) -> Path:
    """Return where the executor's data socket goes.

    It is in the home, or in a private folder of the system's temporary one where that path is
    too long.

    Raises
    ------
    InternalError
        That folder is somebody else's.
    """
    path = home / "run" / "executor.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    name = f"norman-{os.getuid()}-{sha256(os.fsencode(home)).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid != os.getuid():
        raise InternalError(
            f"{folder} is not a private folder of this user, so the executor's socket can't go "
            "there. Remove it, or set NormanExtension.home to a shorter path."
        )
    return folder / "executor.sock"


def _transfer_path(socket_path: Path) -> Path:
    return socket_path.with_name("transfer.sock")


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InternalError(
            f"The home {home} can't be made: {error.strerror}. Set NormanExtension.home to a "
            "folder that this user can write."
        ) from error


def _open_storage(home: Path, abandoned_s: float) -> Storage:
    from norman_server.storage.opening import open_storage

    return open_storage(home, abandoned_s=abandoned_s)


def _owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
