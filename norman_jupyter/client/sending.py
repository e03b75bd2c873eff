"""One blob over REST, gone on with where a connection or a server broke off."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from norman_jupyter.client.effects import Body, HttpRequest, Steps
from norman_jupyter.client.metering import Meter
from norman_jupyter.client.patience import Call, Patience
from norman_jupyter.client.rest import get_request, raise_for_error, read_answer
from norman_jupyter.packaging.folders import LocalFile
from norman_jupyter.packaging.hashing import read_unchanged
from norman_protocol.errors import (
    BundleInvalid,
    Conflict,
    ExecutorUnavailable,
    NormanError,
    RangeInvalid,
)
from norman_protocol.rest import UPLOAD_LENGTH, UPLOAD_OFFSET, BlobUpload

__all__ = ["send_blob"]

_WHOLE_BYTES: Final = 4 << 20
"""Up to here a file is sent whole: to ask where to go on costs more than to send it twice."""

_STORE_TIMEOUT_S: Final = 600.0


def send_blob(call: Call, digest: str, file: LocalFile, meter: Meter) -> Steps[None]:
    """Send a file that the server lacks.

    Raises
    ------
    BundleInvalid
        The file changed meanwhile.
    NormanError
        The server refuses it, or is gone for longer than is waited.
    """
    before = meter.done_bytes
    patience = Patience()
    furthest = 0
    fresh = False
    while True:
        whole = fresh or file.size_bytes <= _WHOLE_BYTES
        offset = 0
        try:
            if not whole:
                offset = yield from _ask_offset(call, digest)
                whole = offset > file.size_bytes
            meter.rewind(before + offset)
            request = (
                _whole(digest, file, meter.add) if whole else _part(digest, file, offset, meter.add)
            )
            raise_for_error((yield from call(request)))
        except BundleInvalid as error:
            # What an earlier upload left was not this file's: none of it, once.
            if not error.digests or not offset or fresh:
                raise
            fresh = True
            continue
        except NormanError as error:
            failure = error
        else:
            meter.rewind(before + file.size_bytes)
            return
        if meter.done_bytes - before > furthest:
            furthest = meter.done_bytes - before
            patience.renew()
        if isinstance(failure, (RangeInvalid, Conflict)):
            # An earlier request of ours is still being taken in, or another client sends the same.
            fresh = not (yield from _wait_turn(patience, failure))
        else:
            yield from patience.wait(failure)


def _wait_turn(patience: Patience, failure: NormanError) -> Steps[bool]:
    """Wait for a writer that was faster; False where it did nothing for long."""
    try:
        yield from patience.wait(ExecutorUnavailable(failure.message))
    except ExecutorUnavailable:
        return False
    return True


def _ask_offset(call: Call, digest: str) -> Steps[int]:
    answer = yield from call(get_request(f"blobs/{digest}/upload"))
    return read_answer(BlobUpload, answer).offset


def _whole(digest: str, file: LocalFile, on_sent: Callable[[int], None]) -> HttpRequest:
    return HttpRequest(
        method="PUT",
        path=f"blobs/{digest}",
        body=Body(size_bytes=file.size_bytes, open=partial(read_unchanged, file), on_sent=on_sent),
        media_type="application/octet-stream",
        answer_timeout_s=_STORE_TIMEOUT_S,
    )


def _part(digest: str, file: LocalFile, offset: int, on_sent: Callable[[int], None]) -> HttpRequest:
    return HttpRequest(
        method="PUT",
        path=f"blobs/{digest}",
        headers={UPLOAD_OFFSET: str(offset), UPLOAD_LENGTH: str(file.size_bytes)},
        body=Body(
            size_bytes=file.size_bytes - offset,
            open=partial(read_unchanged, file, offset),
            on_sent=on_sent,
        ),
        media_type="application/octet-stream",
        answer_timeout_s=_STORE_TIMEOUT_S,
    )
