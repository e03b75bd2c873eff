"""An upload, step by step: hash, ask what is missing, send that, publish, wait until it serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.handover import Handover, hand_over
from norman_jupyter.client.metering import Meter, OnProgress
from norman_jupyter.client.packing import send_small
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
from norman_jupyter.packaging.folders import LocalBundle, LocalFile
from norman_jupyter.packaging.hashing import BundleHasher, make_manifest
from norman_protocol.errors import (
    BundleInvalid,
    InternalError,
    Interrupted,
    ProtocolViolation,
    error_from_wire,
)
from norman_protocol.references import Reference
from norman_protocol.rest import (
    Manifest,
    MissingAnswer,
    MissingRequest,
    PublishRequest,
    VersionDetail,
)

__all__ = ["OnProgress", "transfer_bundle"]

_PUBLISH_ATTEMPTS = 4
_SWITCH_S = 360.0
_HASH_STEP_BYTES = 64 << 20
_HANDED_OVER_BYTES = 8 << 20
"""A smaller file is hashed here first, which costs little and spares a descriptor's way."""

_DIGESTS_PER_QUESTION = 5000
_WAIT_S = 10.0
_ANSWER_GRACE_S = 30.0


def transfer_bundle(
    call: Call,
    connect: Callable[[], Handover | None],
    bundle: LocalBundle,
    name: str,
    request: PublishRequest,
    tell: OnProgress,
) -> Steps[VersionDetail]:
    """Send a bundle and wait until its version is ready.

    Parameters
    ----------
    call
        Sends a request to the server.
    connect
        Connects for files to be given by descriptor; None where they can't be. Blocks.
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
    blobs = _Blobs(call=call, bundle=bundle, tell=tell, link=(yield from work(connect)))
    try:
        manifest = yield from blobs.digest()
        yield from blobs.send_missing(manifest)
        request = dataclasses.replace(request, manifest=manifest)
        version = yield from _publish_whole(patient, name, request, blobs)
    finally:
        blobs.close()
    return (yield from _wait(patient, version, tell))


@dataclass(slots=True, kw_only=True)
class _Blobs:
    """The files of a bundle on their way to the server.

    Where it takes them by descriptor, it hashes the large ones while it copies them, and nothing
    is read here; that way ends with the server, and REST goes on with its successor.
    """

    call: Call
    bundle: LocalBundle
    tell: OnProgress
    link: Handover | None

    def close(self) -> None:
        """End the connection for descriptors."""
        if self.link is not None:
            self.link.close()
            self.link = None

    def digest(self) -> Steps[Manifest]:
        """Find every file's digest; the large ones may be stored when this is done."""
        files = self.bundle.files
        large = [file for file in files if file.size_bytes >= _HANDED_OVER_BYTES]
        if self.link is None:
            large = []
        handed = {file.path for file in large}
        digests: dict[str, str] = {}
        yield from self._hash([file for file in files if file.path not in handed], digests)
        yield from self._hand_over(large, digests)
        yield from self._hash([file for file in large if file.path not in digests], digests)
        return (yield from work(lambda: make_manifest(files, [digests[one.path] for one in files])))

    def _hash(self, files: Sequence[LocalFile], digests: dict[str, str]) -> Steps[None]:
        if not files:
            return
        text = f"hashing {files[0].path if len(files) == 1 else f'{len(files)} files'}"
        size_bytes = sum(file.size_bytes for file in files)
        meter = Meter(tell=self.tell, stage="hashing", total_bytes=size_bytes, message=text)
        meter.begin()
        hasher = BundleHasher(files)
        unfinished = True
        while unfinished:
            unfinished = yield from work(partial(hasher.advance, _HASH_STEP_BYTES))
            meter.add(hasher.done_bytes - meter.done_bytes)
        digests.update(zip([file.path for file in files], hasher.digests, strict=True))

    def _hand_over(self, files: Sequence[LocalFile], digests: dict[str, str]) -> Steps[None]:
        meter = self._sending(sum(file.size_bytes for file in files))
        for index, file in enumerate(files, start=1):
            _name(meter, file, index, len(files))
            found = yield from self._give(file, None, meter)
            if found is None:
                return
            digests[file.path] = found

    def send_missing(self, manifest: Manifest) -> Steps[None]:
        """Send what the server lacks of a manifest."""
        files = zip(manifest.files, self.bundle.files, strict=True)
        sources = {entry.digest: file for entry, file in files}
        missing = yield from _ask_missing(patiently(self.call), tuple(sources))
        meter = self._sending(sum(sources[digest].size_bytes for digest in missing))
        if not missing:
            meter.begin()
        alone = yield from send_small(patiently(self.call), sources, missing, meter)
        for index, digest in enumerate(alone, start=1):
            file = sources[digest]
            _name(meter, file, index, len(alone))
            if (yield from self._give(file, digest, meter)) is None:
                yield from send_blob(self.call, digest, file, meter)

    def _give(self, file: LocalFile, digest: str | None, meter: Meter) -> Steps[str | None]:
        """Give a file by its descriptor; None where that can't be done any more."""
        if self.link is None:
            return None
        before = meter.done_bytes
        try:
            return (yield from hand_over(self.link, file, digest, meter))
        except (Interrupted, ProtocolViolation):
            self.close()
            meter.rewind(before)
            return None

    def _sending(self, total_bytes: int) -> Meter:
        text = "sending nothing: the server has it all"
        return Meter(tell=self.tell, stage="sending", total_bytes=total_bytes, message=text)


def _name(meter: Meter, file: LocalFile, index: int, count: int) -> None:
    place = f" ({index} of {count})" if count > 1 else ""
    meter.message = f"sending {file.path}{place}"
    if index == 1:
        meter.begin()


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


def _publish_whole(
    call: Call, name: str, request: PublishRequest, blobs: _Blobs
) -> Steps[VersionDetail]:
    for attempt in range(1, _PUBLISH_ATTEMPTS + 1):
        try:
            return (yield from _publish(call, name, request))
        except BundleInvalid as error:
            if not error.digests or attempt == _PUBLISH_ATTEMPTS:
                raise
            # Blobs that were stored a moment ago are gone: the server cleaned up. Send them again.
            yield from blobs.send_missing(request.manifest)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _publish(call: Call, name: str, request: PublishRequest) -> Steps[VersionDetail]:
    question = json_request("POST", f"{model_path(name)}/versions", request)
    # A version that stands already is loaded and warm before it is active, and this answered.
    answer = yield from call(dataclasses.replace(question, answer_timeout_s=_SWITCH_S))
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
