"""An upload, step by step: hash, ask what is missing, send that, publish, wait until it serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.metering import Meter, OnProgress
from norman_jupyter.client.patience import Call, patiently
from norman_jupyter.client.progress import Progress
from norman_jupyter.client.rest import (
    get_request,
    json_request,
    model_path,
    read_answer,
    version_path,
)
from norman_jupyter.client.sending import send_blob
from norman_jupyter.packaging.folders import LocalBundle
from norman_jupyter.packaging.hashing import BundleHasher
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

_HASH_STEP_BYTES = 64 << 20
_DIGESTS_PER_QUESTION = 5000
_WAIT_S = 10.0
_ANSWER_GRACE_S = 30.0


def transfer_bundle(
    call: Call, bundle: LocalBundle, name: str, request: PublishRequest, tell: OnProgress
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
    patient = patiently(call)
    manifest = yield from _hash(bundle, tell)
    yield from _send_missing(call, bundle, manifest, tell)
    request = dataclasses.replace(request, manifest=manifest)
    try:
        version = yield from _publish(patient, name, request)
    except BundleInvalid as error:
        if not error.digests:
            raise
        # Blobs that were stored a moment ago are gone: the server cleaned up. Send them again.
        yield from _send_missing(call, bundle, manifest, tell)
        version = yield from _publish(patient, name, request)
    return (yield from _wait(patient, version, tell))


def _hash(bundle: LocalBundle, tell: OnProgress) -> Steps[Manifest]:
    count = len(bundle.files)
    text = f"hashing {bundle.files[0].path if count == 1 else f'{count} files'}"
    meter = Meter(tell=tell, stage="hashing", total_bytes=bundle.size_bytes, message=text)
    meter.begin()
    hasher = BundleHasher(bundle.files)
    unfinished = True
    while unfinished:
        unfinished = yield from work(partial(hasher.advance, _HASH_STEP_BYTES))
        meter.add(hasher.done_bytes - meter.done_bytes)
    return (yield from work(hasher.manifest))


def _send_missing(
    call: Call, bundle: LocalBundle, manifest: Manifest, tell: OnProgress
) -> Steps[None]:
    sources = {entry.digest: file for entry, file in zip(manifest.files, bundle.files, strict=True)}
    missing = yield from _ask_missing(patiently(call), tuple(sources))
    total_bytes = sum(sources[digest].size_bytes for digest in missing)
    meter = Meter(
        tell=tell,
        stage="sending",
        total_bytes=total_bytes,
        message="sending nothing: the server has it all",
    )
    if not missing:
        meter.begin()
    for index, digest in enumerate(missing, start=1):
        file = sources[digest]
        place = f" ({index} of {len(missing)})" if len(missing) > 1 else ""
        meter.message = f"sending {file.path}{place}"
        if index == 1:
            meter.begin()
        yield from send_blob(call, digest, file, meter)


def _ask_missing(call: Call, digests: Sequence[str]) -> Steps[tuple[str, ...]]:
    missing: list[str] = []
    for start in range(0, len(digests), _DIGESTS_PER_QUESTION):
        question = MissingRequest(digests=tuple(digests[start : start + _DIGESTS_PER_QUESTION]))
        answer = yield from call(json_request("POST", "blobs/missing", question))
        missing.extend(read_answer(MissingAnswer, answer).missing)
    strange = set(missing) - set(digests)
    if strange:
        raise InternalError("The server misses blobs that this bundle doesn't have.")
    return tuple(missing)


def _publish(call: Call, name: str, request: PublishRequest) -> Steps[VersionDetail]:
    answer = yield from call(json_request("POST", f"{model_path(name)}/versions", request))
    return read_answer(VersionDetail, answer)


def _wait(call: Call, version: VersionDetail, tell: OnProgress) -> Steps[VersionDetail]:
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
