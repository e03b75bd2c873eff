"""The one client of a shell: made at first use, made anew where the server changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from norman_protocol.errors import ServerNotFound, Unauthenticated

if TYPE_CHECKING:
    from norman_jupyter.client.inspection import Inspection
    from norman_jupyter.client.mapping import MapProgress
    from norman_jupyter.client.progress import Progress
    from norman_jupyter.client.results import InvokeResult
    from norman_jupyter.magics.notebook import Place
    from norman_protocol.messages import InvocationState
    from norman_protocol.rest import (
        AliasChange,
        AliasHistory,
        AliasPage,
        Deletion,
        DiskUsage,
        DoctorReport,
        GarbageReport,
        InvocationDetail,
        InvocationPage,
        LogText,
        ModelDetail,
        ModelPage,
        Origin,
        ServerStatus,
        VersionDetail,
        VersionDiff,
        VersionPage,
    )

__all__ = ["Client", "ClientHolder", "connect_blocking"]

T = TypeVar("T")

_SETTINGS = ("NORMAN_URL", "NORMAN_TOKEN")


class Client(Protocol):
    """What the commands use of `norman_jupyter.BlockingNorman`."""

    def upload(
        self,
        source: str | Path,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Sequence[str] = (),
        trust: bool = False,
        activate: bool = True,
        origin: Origin | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        config: Mapping[str, Any] | str | Path | None = None,
    ) -> VersionDetail:
        """Upload a model and wait until it is ready."""

    def upload_model(
        self,
        config: Mapping[str, Any] | str | Path,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Sequence[str] = (),
        trust: bool = False,
        activate: bool = True,
        origin: Origin | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> VersionDetail:
        """Upload a model whose files a configuration names."""

    def inspect(
        self,
        source: str | Path | None = None,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Sequence[str] = (),
        config: Mapping[str, Any] | str | Path | None = None,
    ) -> Inspection:
        """Tell what an upload would be."""

    def download(
        self,
        reference: str,
        folder: str | Path | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Path:
        """Give a version's files back."""

    def invoke(
        self,
        reference: str,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> InvokeResult:
        """Call a version."""

    def map(
        self,
        reference: str,
        data: Any,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        in_flight: int = 16,
        timeout_s: float | None = None,
        on_progress: Callable[[MapProgress], None] | None = None,
    ) -> Any:
        """Call a version for every row."""

    def models(
        self, *, search: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> ModelPage:
        """List the models."""

    def model(self, name: str) -> ModelDetail:
        """Return a model with its latest versions."""

    def version(self, reference: str) -> VersionDetail:
        """Return a version."""

    def logs(self, reference: str, *, after: int | None = None) -> LogText:
        """Return the end of a version's log, or what was written since."""

    def invocations(
        self,
        *,
        model: str | None = None,
        state: InvocationState | None = None,
        limit: int = 50,
        cursor: str | None = None,
        since: datetime | None = None,
    ) -> InvocationPage:
        """List recorded invocations."""

    def invocation(self, id: str, /) -> InvocationDetail:  # noqa: A002 - the field's own name
        """Return a recorded invocation."""

    def replay(
        self,
        id: str,  # noqa: A002 - the field's own name
        /,
        reference: str | None = None,
    ) -> InvokeResult:
        """Run the inputs of an invocation again."""

    def cancel(self, id: str, /) -> InvocationDetail:  # noqa: A002 - the field's own name
        """End a call."""

    def status(self) -> ServerStatus:
        """Return the server's state."""

    def versions(self, name: str, *, limit: int = 50, cursor: str | None = None) -> VersionPage:
        """List a model's versions."""

    def aliases(self, name: str, *, limit: int = 50, cursor: str | None = None) -> AliasPage:
        """List a model's aliases."""

    def set_alias(self, name: str, alias: str, version: int, why: str | None = None) -> AliasChange:
        """Let an alias lead to a version."""

    def delete_alias(self, name: str, alias: str, why: str | None = None) -> AliasChange:
        """Take an alias away."""

    def rollback(
        self, name: str, to: int | None = None, alias: str = "active", why: str | None = None
    ) -> AliasChange:
        """Let an alias lead to the version before."""

    def history(
        self,
        name: str,
        alias: str | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AliasHistory:
        """List the changes of aliases."""

    def diff(self, before: str, after: str) -> VersionDiff:
        """Compare two versions."""

    def edit(
        self,
        reference: str,
        *,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> VersionDetail:
        """Change what is said of a version."""

    def delete(self, reference: str, *, stop: bool = False) -> Deletion:
        """Delete a version."""

    def delete_model(self, name: str) -> Deletion:
        """Delete a model."""

    def disk(self, name: str | None = None) -> DiskUsage:
        """Return what takes the disk."""

    def collect_garbage(self, *, dry_run: bool = False) -> GarbageReport:
        """Remove what no version needs."""

    def doctor(self, *, repair: bool = False, deep: bool = False) -> DoctorReport:
        """Check everything that the server keeps."""

    def close(self) -> None:
        """Close the connections."""


def connect_blocking(url: str | None = None, token: str | None = None) -> Client:
    """Return a client of the server at a URL, else of the one that discovery finds."""
    from norman_jupyter.client.blocking import BlockingNorman

    return BlockingNorman(url, token)


def _anywhere() -> None:
    """Choose no server."""


class ClientHolder:
    """Hands out the client, and replaces it where the server is gone or was replaced.

    Safe to use from several threads.

    Parameters
    ----------
    connect
        Makes a client; given a URL and a token where a server was chosen.
    settings
        The environment that says which server; another server there makes another client.
    place
        Says which server was chosen, if any; another one makes another client.
    """

    def __init__(
        self,
        connect: Callable[..., Client] = connect_blocking,
        settings: Mapping[str, str] = os.environ,
        place: Callable[[], Place | None] = _anywhere,
    ) -> None:
        self._connect = connect
        self._place = place
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._made_for: tuple[object, ...] = ()

    def use(self, operation: Callable[[Client], T]) -> T:
        """Run an operation with the client and return what it returns.

        Where a client from an earlier use finds its server gone, or is refused by another one
        in its place, the operation runs once more with a new client: neither error leaves
        anything done at the server.
        """
        client, is_new = self._current()
        try:
            return operation(client)
        except (ServerNotFound, Unauthenticated):
            self._drop(client)
            if is_new:
                raise
        return operation(self._current()[0])

    def close(self) -> None:
        """Close the client; the next use makes another."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _current(self) -> tuple[Client, bool]:
        place = self._place()
        wanted = (place, *(self._settings.get(name) for name in _SETTINGS))
        with self._lock:
            outdated = self._client if self._made_for != wanted else None
            if self._client is None or outdated is not None:
                self._client, self._made_for = None, wanted
                if outdated is not None:
                    outdated.close()
                chosen = () if place is None else (place.url, place.token)
                self._client = self._connect(*chosen)
                return self._client, True
            return self._client, False

    def _drop(self, client: Client) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
        client.close()
