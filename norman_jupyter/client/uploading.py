"""Uploads, written once and without I/O: what is named is opened, then published or looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from norman_jupyter.client.assets import fetch_model, read_model, staging_folder
from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.handover import Handover
from norman_jupyter.client.inspection import Inspection, inspect_opened
from norman_jupyter.client.metering import OnProgress
from norman_jupyter.client.patience import Call
from norman_jupyter.client.progress import Progress
from norman_jupyter.client.transfer import transfer_bundle
from norman_jupyter.packaging.opening import Opened, open_configured
from norman_jupyter.packaging.origin import collect_origin
from norman_protocol.errors import BundleInvalid
from norman_protocol.rest import Manifest, Origin, PublishRequest, VersionDetail

__all__ = ["Configured", "PublishOptions", "Uploads"]

Configured: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]
"""A configuration: a dictionary, or the path of a TOML or JSON file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """What the caller of an upload decides, beside what is said of the model."""

    trust: bool = False
    activate: bool = True
    origin: Origin | None = None
    on_progress: OnProgress | None = None


class Uploads:
    """The uploads of one client.

    Parameters
    ----------
    call
        Sends a request to the server.
    meet
        Makes sure that there is one.
    connect
        Connects for files to be given by descriptor; None where they can't be. Blocks.

    Notes
    -----
    In every method ``keywords`` are keys of a configuration that count before all others; those
    that are None are absent.
    """

    def __init__(
        self,
        call: Call,
        meet: Callable[[], Steps[None]],
        connect: Callable[[], Handover | None],
    ) -> None:
        self._call = call
        self._meet = meet
        self._connect = connect

    def upload(
        self,
        source: str | os.PathLike[str],
        *,
        config: Configured | None,
        keywords: Mapping[str, Any],
        options: PublishOptions,
    ) -> Steps[VersionDetail]:
        """Upload a file or folder as a new version."""
        opened = yield from work(
            partial(
                open_configured, source, config=config, keywords=keywords, trusted=options.trust
            )
        )
        yield from self._meet()
        return (yield from self._publish(opened, opened.bundle.source, options))

    def upload_model(
        self, config: Configured, *, keywords: Mapping[str, Any], options: PublishOptions
    ) -> Steps[VersionDetail]:
        """Upload a model whose files a configuration names."""
        named = yield from work(partial(read_model, config, keywords))
        yield from self._meet()  # before anything large is fetched for nobody
        tell = options.on_progress or _tell_nobody
        with staging_folder() as folder:
            opened = yield from fetch_model(named, folder, tell, trusted=options.trust)
            return (yield from self._publish(opened, None, options))

    def inspect(
        self,
        source: str | os.PathLike[str] | None,
        *,
        config: Configured | None,
        keywords: Mapping[str, Any],
    ) -> Steps[Inspection]:
        """Tell what an upload would be; nothing is asked of a server."""
        if source is None and config is not None:
            named = yield from work(partial(read_model, config, keywords))
            with staging_folder() as folder:
                opened = yield from fetch_model(named, folder, _tell_nobody, trusted=True)
                return (yield from work(partial(inspect_opened, opened)))
        if source is None:
            raise BundleInvalid("There is nothing to inspect: give a path, or a configuration.")
        opened = yield from work(
            partial(open_configured, source, config=config, keywords=keywords, trusted=True)
        )
        return (yield from work(partial(inspect_opened, opened)))

    def _publish(
        self, opened: Opened, source: Path | None, options: PublishOptions
    ) -> Steps[VersionDetail]:
        origin = options.origin
        if origin is None:
            origin = yield from work(partial(collect_origin, source))
        said = opened.configuration
        request = PublishRequest(
            manifest=Manifest(files=()),
            label=said.label,
            description=said.description,
            long_description=said.long_description,
            tags=said.tags,
            trust=options.trust,
            activate=options.activate,
            origin=origin,
            declaration=said.declaration,
        )
        tell = options.on_progress or _tell_nobody
        return (
            yield from transfer_bundle(
                self._call, self._connect, opened.bundle, opened.name, request, tell
            )
        )


def _tell_nobody(progress: Progress) -> None:
    """Take progress where nobody asked for it."""
