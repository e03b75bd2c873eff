"""The running server: builds every service in order, and takes them down again."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from norman_protocol.discovery import DiscoveryRecord
from norman_protocol.errors import InternalError, NormanError
from norman_protocol.identifiers import new_id
from norman_protocol.messages import ExecutorLimits
from norman_protocol.rest import DoctorReport
from norman_server.announcement import Announcement, remove_stale_files
from norman_server.api.services import ApiLimits, Services, ServiceSlot
from norman_server.deployments.service import Change, Deployments
from norman_server.doctor.keeping import BackupKeeper
from norman_server.environments.interpreters import Interpreters, KernelPrograms
from norman_server.executor.relay import Relay
from norman_server.executor.session import Session
from norman_server.executor.supervisor import EXECUTOR_COMMAND, ExecutorSettings, Supervisor
from norman_server.handover import HandoverServer
from norman_server.invocations.live import LiveCalls
from norman_server.invocations.retention import Retention, RetentionLimits
from norman_server.invocations.submissions import SubmissionLimits, Submissions
from norman_server.lease import HomeLease

if TYPE_CHECKING:
    from norman_server.storage.opening import Storage

__all__ = ["NormanServer", "ServerSettings", "socket_path_for"]

_log = logging.getLogger(__name__)

_SOCKET_PATH_BYTES = 100
"""The kernel takes about 104 bytes for the path of a Unix socket, on every platform."""

_LEASE_POLL_S = 1.0
_RETRY_S = 3.0
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


class NormanServer:
    """Everything that runs beside Jupyter, from `start` to `stop`.

    A fault leaves Jupyter and its notebooks alone: the API then says what is wrong.

    Parameters
    ----------
    url
        Asked when Jupyter listens: its base URL as this host reaches it.
    announce
        Takes every change of a version.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        kernel_programs: KernelPrograms,
        url: Callable[[], str],
        announce: Callable[[Change], None],
    ) -> None:
        self._settings = settings
        self._kernel_programs = kernel_programs
        self._url = url
        self._announce = announce
        self._server_id = new_id()
        self._token = secrets.token_urlsafe(32)
        self._relay_token = secrets.token_urlsafe(32)
        self._lease = HomeLease(settings.home / "server.lock")
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
        self.slot = ServiceSlot(token=self._token, user=_owner(), limits=settings.api)

    def start(self) -> None:
        """Build and start everything in the background; Jupyter doesn't wait for it."""
        self._starting = asyncio.create_task(self._start_safely(), name="norman-start")

    async def wait_started(self) -> None:
        """Return when `start` has succeeded or failed once; the slot tells which."""
        await self._attempted.wait()

    async def stop(self) -> None:
        """End everything that was started, processes and threads included."""
        self.withdraw()
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
        self._lease.release()

    def withdraw(self) -> None:
        """Remove the discovery file; for an end without `stop`, too. Twice is fine."""
        if self._announcement is not None:
            self._announcement.remove()

    async def _start_safely(self) -> None:
        """Start, again and again until it goes: a lock may be released, a backup be put back."""
        told = ""
        while True:
            try:
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
        await self._take_home()
        socket_path = await asyncio.to_thread(socket_path_for, settings.home)
        await asyncio.to_thread(self._write_announcement, socket_path)
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
            server_id=self._server_id,
            token=self._token,
            limit_bytes=settings.api.blob_bytes,
        )
        self._handover.start()
        self._scrubbing = self._start_scrubbing(self._storage)
        self.slot.fill(services)

    def _start_scrubbing(self, storage: Storage) -> asyncio.Task[None] | None:
        from norman_server.registry.scrubbing import Scrubber

        settings = self._settings
        if not settings.scrub_interval_s:
            return None
        scrubber = Scrubber(storage, bytes_per_s=settings.scrub_bytes_per_s)
        return asyncio.create_task(scrubber.run(settings.scrub_interval_s), name="norman-scrubbing")

    async def _take_home(self) -> None:
        """Wait until no other server has the home; the API says meanwhile which one does."""
        told = False
        while not await asyncio.to_thread(self._lease.try_take):
            holder = await asyncio.to_thread(self._lease.holder)
            reason = (
                f"Another Jupyter server (process {holder or 'unknown'}) serves the models of this "
                "home. Use that one, or set NormanExtension.home to another folder. This server "
                "takes over when that one ends."
            )
            self.slot.empty(reason)
            if not told:
                _log.warning("%s", reason)
                told = True
            await asyncio.sleep(_LEASE_POLL_S)
        self.slot.empty("Norman is starting.")

    def _write_announcement(self, socket_path: Path) -> None:
        remove_stale_files(self._settings.runtime_folder)
        record = DiscoveryRecord(
            server_id=self._server_id,
            url=self._url(),
            token=self._token,
            server_pid=os.getpid(),
            server_started_at=psutil.Process().create_time(),
            socket_path=str(socket_path),
            transfer_path=str(_transfer_path(socket_path)),
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
                server_id=self._server_id,
                token=self._token,
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
                live=Live(executor_id=supervisor.executor_id, executor_pid=supervisor.pid),
                runtime_folder=settings.runtime_folder,
                deep=deep,
                keep_backups=settings.backup_count,
            )
            return await storage.files.run(lambda: examine(subject, repair=repair))

        return Services(
            server_id=self._server_id,
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
