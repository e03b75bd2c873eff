"""Deleting versions that are served: refused, or their idle replica is stopped first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from norman_protocol.errors import Conflict, ExecutorUnavailable, Interrupted, NormanError
from norman_protocol.messages import DeploymentStatus, Done, Stop
from norman_protocol.references import Reference
from norman_protocol.rest import Deletion
from norman_server.domain.records import VersionRecord
from norman_server.executor.session import Session
from norman_server.registry.deleting import check_deletable
from norman_server.registry.service import Registry

__all__ = ["Deletions", "check_idle"]

_log = logging.getLogger(__name__)


class Deletions:
    """Deletes versions and models, here and in the executor.

    Parameters
    ----------
    session
        Gives the executor's session, or raises `ExecutorUnavailable`.
    deploy
        Tells a session of a version that may be called.
    route
        Tells the executor where the references to a model lead now.
    serving
        Returns what the executor serves; nothing where it is away.
    idle_timeout_s
        When an idle replica ends by itself.
    announce
        Takes each version that was deleted.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        session: Callable[[], Awaitable[Session]],
        deploy: Callable[[Session, VersionRecord], Awaitable[None]],
        route: Callable[[str], Awaitable[None]],
        serving: Callable[[], Awaitable[tuple[DeploymentStatus, ...]]],
        idle_timeout_s: float,
        announce: Callable[[VersionRecord], None],
    ) -> None:
        self._registry = registry
        self._session = session
        self._deploy = deploy
        self._route = route
        self._serving = serving
        self._idle_timeout_s = idle_timeout_s
        self._announce = announce

    async def delete_version(self, reference: Reference, *, stop: bool, user: str) -> Deletion:
        """Delete a version that nothing leads to and no replica serves.

        Parameters
        ----------
        stop
            Stop a replica that has nothing to do, instead of refusing.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady
            The reference leads to no version.
        Conflict
            An alias leads to it, a replica serves it, or it is being loaded.
        """
        version = await self._registry.version(reference)
        check_deletable(version)
        numbered = Reference(name=version.name, selector=version.number)
        for status in await self._serving():
            if status.version_id == version.id:
                check_idle(status, stop=stop, idle_timeout_s=self._idle_timeout_s)
        # Asked of the executor itself: a call that has come since then is not cut off.
        await self._stop_idle(version)
        try:
            version, deletion = await self._registry.delete_version(numbered, user=user)
        except NormanError:
            await self._restore(version)
            raise
        await self._forget([version])
        return deletion

    async def _stop_idle(self, version: VersionRecord) -> None:
        try:
            session = await self._session()
            stop = Stop(id=session.new_id(), version_id=version.id, only_idle=True)
            await session.request(stop, Done)
        except (ExecutorUnavailable, Interrupted):
            return  # nothing runs there

    async def _restore(self, version: VersionRecord) -> None:
        """Let the executor serve a version again that was not deleted after all."""
        if version.state != "ready":
            return
        with suppress(ExecutorUnavailable, Interrupted):
            await self._deploy(await self._session(), version)

    async def delete_model(self, name: str, *, user: str) -> Deletion:
        """Delete a model with its versions and aliases; idle replicas are stopped.

        Raises
        ------
        NameInvalid, ModelNotFound
            There is none of that name.
        Conflict
            A version of it is being loaded, or has calls that run or wait.
        """
        detail = await self._registry.model(name)
        prefix = f"{detail.model.name}@"
        for status in await self._serving():
            if status.reference.startswith(prefix):
                check_idle(status, stop=True, idle_timeout_s=self._idle_timeout_s)
        versions, deletion = await self._registry.delete_model(name, user=user)
        await self._forget(versions)
        return deletion

    async def _forget(self, versions: list[VersionRecord] | tuple[VersionRecord, ...]) -> None:
        """Have the executor forget deleted versions, then remove their files."""
        try:
            await self._route(versions[0].name)
            session = await self._session()
            for version in versions:
                await session.request(Stop(id=session.new_id(), version_id=version.id), Done)
        except (ExecutorUnavailable, Interrupted):
            _log.info("The executor is away; its successor never learns of what was deleted.")
        except NormanError:
            # They are deleted all the same: whoever asked must not hear of a failure.
            _log.exception("The executor could not be told of what was deleted.")
        for version in versions:
            await self._registry.remove_files(version.id)
            self._announce(version)


def check_idle(status: DeploymentStatus, *, stop: bool, idle_timeout_s: float) -> None:
    """Refuse to delete a version that a replica serves.

    Raises
    ------
    Conflict
        It is at work, or it is idle and wasn't to be stopped.
    """
    calls = status.running + status.queued
    if calls:
        raise Conflict(
            f"{status.reference} can't be deleted: {calls} "
            f"call{' runs or waits' if calls == 1 else 's run or wait'} there. Wait for "
            f"{'it' if calls == 1 else 'them'}, or cancel: %norman invocations {status.reference}",
            name=status.reference,
        )
    if status.state in ("ready", "starting") and not stop:
        raise Conflict(
            f"{status.reference} can't be deleted: a replica serves it (process {status.pid}). It "
            f"ends by itself after {idle_timeout_s / 60:g} minutes without a call; to stop it "
            f"now: %norman rm {status.reference} --stop",
            name=status.reference,
        )
