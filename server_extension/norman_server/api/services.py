"""What the handlers use: built once by the extension, in the background of the server's start."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from norman_protocol.errors import ExecutorUnavailable, NormanError, QueueFull
from norman_protocol.rest import DiskUsage, DoctorReport
from norman_server.api.relaying import HolderLink
from norman_server.deployments.service import Deployments
from norman_server.executor.relay import Relay
from norman_server.executor.supervisor import Supervisor
from norman_server.invocations.service import InvocationLog
from norman_server.invocations.submissions import Submissions
from norman_server.registry.collecting import Collector
from norman_server.registry.service import Registry

__all__ = [
    "TAKEOVER_PATIENCE_S",
    "ApiLimits",
    "BodyBudget",
    "Examine",
    "ServiceSlot",
    "Services",
    "retry_after",
]


class Examine(Protocol):
    """The doctor; see `norman_server.doctor.service`."""

    async def __call__(self, *, deep: bool, repair: bool) -> DoctorReport:
        """Run every check."""


TAKEOVER_PATIENCE_S = 30.0
"""How long a call waits for a server that takes the home over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """Bounds of the REST API."""

    json_body_bytes: int = 16 << 20
    frame_body_bytes: int = 1 << 30
    blob_bytes: int = 1 << 40
    bodies_in_flight_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything behind the API."""

    server_id: str
    version: str
    registry: Registry
    deployments: Deployments
    invocations: InvocationLog
    submissions: Submissions
    relay: Relay
    supervisor: Supervisor
    collector: Collector
    disk_usage: Callable[[str | None], Awaitable[DiskUsage]]
    examine: Examine


class BodyBudget:
    """Bounds the memory that bodies of requests take together."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Reserve memory.

        Raises
        ------
        QueueFull
            Other requests hold it; nothing was reserved.
        """
        if self._taken_bytes and self._taken_bytes + size_bytes > self._limit_bytes:
            raise QueueFull(
                "The requests in flight hold as much memory as this server gives them. "
                "Try again in a moment.",
                retry_after_s=1.0,
            )
        self._taken_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Release what was reserved."""
        self._taken_bytes -= size_bytes


class ServiceSlot:
    """Holds the services once they stand, and says until then why they don't.

    Parameters
    ----------
    token
        The extension's own token, as the discovery file tells it.
    user
        Who this server belongs to: the caller behind that token.

    Attributes
    ----------
    lost
        Set when the server that this one relays to is found to be gone.
    """

    def __init__(self, *, token: str, user: str, limits: ApiLimits) -> None:
        self.token = token.encode()
        self.user = user
        self.limits = limits
        self.budget = BodyBudget(limits.bodies_in_flight_bytes)
        self._services: Services | None = None
        self._reason = "Norman is starting. Try again in a moment."
        self._link: HolderLink | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self.lost = asyncio.Event()
        self.relay_secret = b""
        self._background: set[asyncio.Task[Any]] = set()

    @property
    def services(self) -> Services:
        """The services.

        Raises
        ------
        ExecutorUnavailable
            They don't stand: still starting, failed to start, or stopped.
        """
        if self._services is None:
            raise ExecutorUnavailable(self._reason, retry_after_s=1.0)
        return self._services

    @property
    def link(self) -> HolderLink | None:
        """The way to the server that holds the home, where this one relays to it."""
        return self._link

    def adopt(self, *, token: str, relay_secret: str) -> None:
        """Take the secrets by which callers are known from now on."""
        self.token = token.encode()
        self.relay_secret = relay_secret.encode()

    def fill(self, services: Services) -> None:
        """Open the API."""
        self._link, self._services = None, services
        self._settle()

    def relay(self, link: HolderLink) -> None:
        """Open the API as that of another server."""
        self._link, self._services = link, None
        self._settle()

    def empty(self, reason: str) -> None:
        """Close the API; every call is told the reason."""
        self._link, self._services = None, None
        self._reason = reason
        self._settle()

    def lose(self, link: HolderLink) -> None:
        """Note that the server behind a link is gone: calls wait for the next one."""
        if self._link is link:
            self.change()
            self.lost.set()

    def change(self) -> None:
        """Let calls wait: another server takes over, maybe this one."""
        self._link, self._services = None, None
        self._reason = "The server that held the models ended; another one takes over."
        self._settled.clear()

    async def wait_settled(self) -> None:
        """Wait until it is known who serves; not for ever."""
        if self._settled.is_set():
            return  # as a rule: a timer for each request would cost it
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKEOVER_PATIENCE_S):
                await self._settled.wait()

    def _settle(self) -> None:
        self._settled.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the end of a request that has no handler any more."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def retry_after(error: NormanError) -> str | None:
    """Return the value of the header Retry-After that an error asks for.

    Examples
    --------
    >>> retry_after(QueueFull("busy", retry_after_s=0.5))
    '1'
    """
    seconds = getattr(error, "retry_after_s", None)
    return None if seconds is None else str(max(1, math.ceil(seconds)))
