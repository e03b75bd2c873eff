"""Small files many at a time, on their way to the server and from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from norman_jupyter.client.effects import HttpAnswer, HttpRequest, Steps, work
from norman_jupyter.client.metering import Meter
from norman_jupyter.client.rest import json_request, raise_for_error, read_answer
from norman_jupyter.packaging.folders import LocalFile
from norman_jupyter.packaging.hashing import read_unchanged
from norman_jupyter.packaging.placing import Placement
from norman_protocol.errors import ProtocolViolation, RequestInvalid
from norman_protocol.packs import PACK_COUNT, read_pack, write_pack
from norman_protocol.rest import FetchRequest, FileEntry, PackStored

__all__ = ["fetch_small", "send_small"]

T = TypeVar("T")
_Call: TypeAlias = Callable[[HttpRequest], Steps[HttpAnswer]]

_SMALL_BYTES = 256 << 10
"""A longer file is worth a request of its own, which holds none of it in memory."""

_PACK_BYTES = 4 << 20
_PACK_TIMEOUT_S = 300.0


def send_small(
    call: _Call, sources: Mapping[str, LocalFile], missing: Sequence[str], meter: Meter
) -> Steps[list[str]]:
    """Send the small ones of the missing blobs, in packs; return the digests of the others."""
    small, large = _split(missing, lambda digest: sources[digest].size_bytes)
    done = 0
    for digests in _groups(small, lambda digest: sources[digest].size_bytes):
        done += len(digests)
        meter.message = f"sending small files ({done} of {len(small)})"
        if done == len(digests):
            meter.begin()
        pack = yield from work(partial(_read, sources, digests))
        answer = yield from call(
            HttpRequest(
                method="POST",
                path="blobs/pack",
                body=pack,
                media_type="application/octet-stream",
                answer_timeout_s=_PACK_TIMEOUT_S,
            )
        )
        read_answer(PackStored, answer)
        meter.add(sum(sources[digest].size_bytes for digest in digests))
    return large


def fetch_small(call: _Call, placement: Placement, meter: Meter) -> Steps[list[FileEntry]]:
    """Fetch the small ones of a placement's sources, in packs; return the others."""
    small, large = _split(list(placement.sources.values()), lambda entry: entry.size_bytes)
    done = 0
    for entries in _groups(small, lambda entry: entry.size_bytes):
        done += len(entries)
        meter.message = f"receiving small files ({done} of {len(small)})"
        if done == len(entries):
            meter.begin()
        question = FetchRequest(digests=tuple(entry.digest for entry in entries))
        answer = yield from call(json_request("POST", "blobs/fetch", question))
        raise_for_error(answer)
        yield from work(partial(_place, placement, entries, answer.body))
        meter.add(sum(entry.size_bytes for entry in entries))
    return large


def _read(sources: Mapping[str, LocalFile], digests: Iterable[str]) -> bytes:
    return write_pack((digest, b"".join(read_unchanged(sources[digest]))) for digest in digests)


def _place(placement: Placement, entries: Sequence[FileEntry], pack: bytes) -> None:
    """Put the blobs of a pack into their places, each held to its digest."""
    try:
        blobs = dict(read_pack(pack))
    except RequestInvalid as error:
        raise ProtocolViolation(f"The server's answer is no pack: {error.message}") from None
    for entry in entries:
        if entry.digest not in blobs:
            raise ProtocolViolation(f"The server's pack lacks {entry.path!r}.")
        incoming = placement.receive(entry)
        try:
            incoming.begin()
            incoming.write(bytes(blobs[entry.digest]))
            incoming.finish()
        finally:
            incoming.close()


def _split(items: Sequence[T], size_of: Callable[[T], int]) -> tuple[list[T], list[T]]:
    """Return the small ones and the others; one small one alone needs no pack."""
    small = [item for item in items if size_of(item) <= _SMALL_BYTES]
    if len(small) == 1:
        return [], list(items)
    return small, [item for item in items if size_of(item) > _SMALL_BYTES]


def _groups(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Group what fits one pack, in order."""
    group: list[T] = []
    size_bytes = 0
    for item in items:
        if group and (size_bytes + size_of(item) > _PACK_BYTES or len(group) == PACK_COUNT):
            yield group
            group, size_bytes = [], 0
        group.append(item)
        size_bytes += size_of(item)
    if group:
        yield group
