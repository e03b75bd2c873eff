"""A download, step by step: compare with what stands there, fetch the rest, let it appear."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from norman_jupyter.client.effects import HttpAnswer, HttpRequest, Sink, Steps, work
from norman_jupyter.client.metering import Meter, OnProgress
from norman_jupyter.client.packing import fetch_small
from norman_jupyter.client.progress import Progress
from norman_jupyter.client.rest import raise_for_error
from norman_jupyter.packaging.placing import Placement
from norman_protocol.errors import ProtocolViolation
from norman_protocol.references import parse_name
from norman_protocol.rest import FileEntry, VersionDetail

__all__ = ["default_folder", "fetch_version"]

_Call: TypeAlias = Callable[[HttpRequest], Steps[HttpAnswer]]

_FETCH_TIMEOUT_S = 60.0


def default_folder(version: VersionDetail) -> Path:
    """Return the folder that a download makes where none is named: ``digits-3``, here.

    Raises
    ------
    ProtocolViolation
        The server's version has a name that no model can have: it could lead anywhere.
    """
    if parse_name(version.name) != version.name or version.number < 1:
        raise ProtocolViolation(f"The server tells of a version {version.reference!r:.100}.")
    return Path(f"{version.name}-{version.number}")


def fetch_version(
    call: _Call, version: VersionDetail, target: Path, tell: OnProgress
) -> Steps[Path]:
    """Bring the files of a version into a folder.

    Parameters
    ----------
    call
        Sends a request to the server.

    Raises
    ------
    Conflict
        Other files stand there.
    BundleInvalid
        The server's manifest or bytes are not sound; nothing is kept.
    BlobNotFound
        The server has lost bytes of it.
    StorageFull
        The disk here is full; nothing is kept.
    """
    placement = yield from work(partial(Placement, version.manifest, target))
    try:
        yield from _fetch(call, placement, tell)
        folder = yield from work(placement.finish)
    except Exception:
        yield from work(placement.abandon)
        raise
    except BaseException:  # the caller gives up: nothing more may be waited for
        placement.abandon()
        raise
    tell(Progress(stage="ready", message=f"{version.reference} is in {folder}"))
    return folder


def _fetch(call: _Call, placement: Placement, tell: OnProgress) -> Steps[None]:
    meter = Meter(
        tell=tell,
        stage="receiving",
        total_bytes=placement.size_bytes,
        message="receiving nothing: it is all there",
    )
    if not placement.sources:
        meter.begin()
    entries = yield from fetch_small(call, placement, meter)
    for index, entry in enumerate(entries, start=1):
        place = f" ({index} of {len(entries)})" if len(entries) > 1 else ""
        meter.message = f"receiving {entry.path}{place}"
        if index == 1:
            meter.begin()
        yield from _fetch_one(call, placement, entry, meter)


def _fetch_one(call: _Call, placement: Placement, entry: FileEntry, meter: Meter) -> Steps[None]:
    incoming = yield from work(partial(placement.receive, entry))
    before = meter.done_bytes
    sink = Sink(
        begin=incoming.begin,
        write=incoming.write,
        on_begun=lambda: meter.rewind(before),
        on_received=meter.add,
    )
    try:
        answer = yield from call(
            HttpRequest(
                method="GET",
                path=f"blobs/{entry.digest}",
                accept="application/octet-stream, application/json",
                sink=sink,
                answer_timeout_s=_FETCH_TIMEOUT_S,
            )
        )
        raise_for_error(answer)
        yield from work(incoming.finish)
    finally:
        incoming.close()
