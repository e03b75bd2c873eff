"""An upload, step by step: hash, ask what is missing, send that, publish, wait until it serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest, Steps, work
from norman_jupyter.client.progress import Progress, Stage
from norman_jupyter.client.rest import (
    get_request,
    json_request,
    model_path,
    raise_for_error,
    read_answer,
    version_path,
)
from norman_jupyter.packaging.folders import LocalBundle, LocalFile
from norman_jupyter.packaging.hashing import BundleHasher, read_unchanged
from norman_protocol.errors import BundleInvalid, InternalError, error_from_wire
from norman_protocol.references import Reference
from norman_protocol.rest import (
    Manifest,
    MissingAnswer,
    MissingRequest,
    PublishRequest,
    VersionDetail,
)

__all__ = ["OnProgress", "transfer_bundle"]

OnProgress: TypeAlias = Callable[[Progress], None]
_Call: TypeAlias = Callable[[HttpRequest], Steps[HttpAnswer]]

_HASH_STEP_BYTES = 64 << 20
_DIGESTS_PER_QUESTION = 5000
_WAIT_S = 10.0
_ANSWER_GRACE_S = 30.0
_STORE_TIMEOUT_S = 600.0
_REPORTS_PER_STAGE = 100


@dataclass(slots=True)
class _Meter:
    """Tells progress about a hundred times in a stage, however many pieces it has."""

    tell: OnProgress
    stage: Stage
    total_bytes: int
    message: str
    done_bytes: int = 0
    told_bytes: int = 0

    def begin(self) -> None:
        """Tell that the stage begins."""
        self._say()

    def add(self, size_bytes: int) -> None:
        """Count bytes."""
        self.done_bytes += size_bytes
        step = max(1, self.total_bytes // _REPORTS_PER_STAGE)
        if self.done_bytes - self.told_bytes >= step or self.done_bytes >= self.total_bytes:
            self._say()

    def _say(self) -> None:
        self.told_bytes = self.done_bytes
        self.tell(
            Progress(
                stage=self.stage,
                done_bytes=self.done_bytes,
                total_bytes=self.total_bytes,
                message=self.message,
            )
        )


def transfer_bundle(
    call: _Call, bundle: LocalBundle, name: str, request: PublishRequest, tell: OnProgress
) -> Steps[VersionDetail]:
    """Send a bundle and wait until its version is ready.

    Parameters
    ----------
    call
        Sends a request to the server.
    request
        What to publish; its manifest is put in here.

    Raises
    ------
    BundleInvalid
        A file changed meanwhile, or the server refuses the bundle.
    LoadFailed, RuntimeMissing, ModelFailed
        The version was published and could not be loaded; the error is the version's own.
    NormanError
        Anything else that the server refuses.
    """
    manifest = yield from _hash(bundle, tell)
    yield from _send_missing(call, bundle, manifest, tell)
    request = dataclasses.replace(request, manifest=manifest)
    try:
        version = yield from _publish(call, name, request)
    except BundleInvalid as error:
        if not error.digests:
            raise
        # Blobs that were stored a moment ago are gone: the server cleaned up. Send them again.
        yield from _send_missing(call, bundle, manifest, tell)
        version = yield from _publish(call, name, request)
    return (yield from _wait(call, version, tell))


def _hash(bundle: LocalBundle, tell: OnProgress) -> Steps[Manifest]:
    count = len(bundle.files)
    text = f"hashing {bundle.files[0].path if count == 1 else f'{count} files'}"
    meter = _Meter(tell, "hashing", bundle.size_bytes, text)
    meter.begin()
    hasher = BundleHasher(bundle.files)
    unfinished = True
    while unfinished:
        unfinished = yield from work(partial(hasher.advance, _HASH_STEP_BYTES))
        meter.add(hasher.done_bytes - meter.done_bytes)
    return (yield from work(hasher.manifest))


def _send_missing(
    call: _Call, bundle: LocalBundle, manifest: Manifest, tell: OnProgress
) -> Steps[None]:
    sources = {entry.digest: file for entry, file in zip(manifest.files, bundle.files, strict=True)}
    missing = yield from _ask_missing(call, tuple(sources))
    total_bytes = sum(sources[digest].size_bytes for digest in missing)
    meter = _Meter(tell, "sending", total_bytes, "sending nothing: the server has it all")
    if not missing:
        meter.begin()
    for index, digest in enumerate(missing, start=1):
        file = sources[digest]
        place = f" ({index} of {len(missing)})" if len(missing) > 1 else ""
        meter.message = f"sending {file.path}{place}"
        if index == 1:
            meter.begin()
        answer = yield from call(_store_request(digest, file, meter.add))
        raise_for_error(answer)


def _ask_missing(call: _Call, digests: Sequence[str]) -> Steps[tuple[str, ...]]:
    missing: list[str] = []
    for start in range(0, len(digests), _DIGESTS_PER_QUESTION):
        question = MissingRequest(digests=tuple(digests[start : start + _DIGESTS_PER_QUESTION]))
        answer = yield from call(json_request("POST", "blobs/missing", question))
        missing.extend(read_answer(MissingAnswer, answer).missing)
    strange = set(missing) - set(digests)
    if strange:
        raise InternalError("The server misses blobs that this bundle doesn't have.")
    return tuple(missing)


def _store_request(digest: str, file: LocalFile, on_sent: Callable[[int], None]) -> HttpRequest:
    return HttpRequest(
        method="PUT",
        path=f"blobs/{digest}",
        body=Body(size_bytes=file.size_bytes, open=partial(read_unchanged, file), on_sent=on_sent),
        media_type="application/octet-stream",
        answer_timeout_s=_STORE_TIMEOUT_S,
    )


def _publish(call: _Call, name: str, request: PublishRequest) -> Steps[VersionDetail]:
    answer = yield from call(json_request("POST", f"{model_path(name)}/versions", request))
    return read_answer(VersionDetail, answer)


def _wait(call: _Call, version: VersionDetail, tell: OnProgress) -> Steps[VersionDetail]:
    """Wait while the version is loading; each question has its own deadline at the server."""
    created = version.created
    reference = Reference(name=version.name, selector=version.number)
    while version.state == "loading":
        tell(Progress(stage="loading", message=f"loading {version.reference}"))
        question = get_request(
            version_path(reference), wait_s=_WAIT_S, answer_timeout_s=_WAIT_S + _ANSWER_GRACE_S
        )
        version = read_answer(VersionDetail, (yield from call(question)))
    if version.state == "failed":
        body = version.error
        if body is None:
            raise InternalError(f"{version.reference} failed, and the server doesn't say why.")
        raise error_from_wire(body.code, body.message, body.details, body.request_id)
    tell(Progress(stage="ready", message=f"{version.reference} is ready"))
    return dataclasses.replace(version, created=created)
