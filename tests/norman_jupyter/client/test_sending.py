"""A blob over REST against a server in memory that breaks off where a test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest, Pause, Steps
from norman_jupyter.client.metering import Meter
from norman_jupyter.client.sending import send_blob
from norman_jupyter.packaging.folders import LocalFile
from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import (
    BundleInvalid,
    Conflict,
    Forbidden,
    Interrupted,
    NormanError,
    RangeInvalid,
)
from norman_protocol.rest import UPLOAD_LENGTH, UPLOAD_OFFSET, BlobUpload

SMALL = b"small" * 100
LARGE = b"0123456789abcdef" * (5 << 16)  # 5 MiB: more than is sent whole


@dataclass
class Server:
    """Takes blobs in parts; ``failures`` happen, one each, after so many bytes of a request."""

    kept: bytearray = field(default_factory=bytearray)
    failures: list[tuple[int, NormanError]] = field(default_factory=list)
    requests: list[tuple[str, int | None]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)

    def call(self, request: HttpRequest) -> Steps[HttpAnswer]:
        if request.method == "GET":
            return self._answer(
                dump_json(encode(BlobUpload(digest="a" * 64, offset=len(self.kept))))
            )
        assert isinstance(request.body, Body)
        offset = request.headers.get(UPLOAD_OFFSET)
        self.requests.append((request.method, None if offset is None else int(offset)))
        sent = b"".join(request.body.open())
        assert len(sent) == request.body.size_bytes
        if offset is None:
            self.kept.clear()
        else:
            assert int(offset) == len(self.kept)
            assert int(request.headers[UPLOAD_LENGTH]) == len(self.kept) + len(sent)
        assert request.body.on_sent is not None
        if self.failures:
            taken, error = self.failures.pop(0)
            self.kept += sent[:taken]
            request.body.on_sent(taken)
            raise error
        self.kept += sent
        request.body.on_sent(len(sent))
        return self._store(request.path.removeprefix("blobs/"))
        yield

    def _store(self, digest: str) -> HttpAnswer:
        content = bytes(self.kept)
        self.kept.clear()
        if sha256(content).hexdigest() != digest:
            raise BundleInvalid("The digest differs.", digests=(digest,))
        self.stored[digest] = content
        return self._answer(b"")

    def _answer(self, body: bytes) -> HttpAnswer:
        return HttpAnswer(url="http://a/", status=200, media_type="application/json", body=body)


@pytest.fixture
def meter() -> Meter:
    return Meter(
        tell=lambda progress: None,
        stage="sending",
        total_bytes=len(LARGE),
        message="",
        done_bytes=7,
    )


def local_file(folder: Path, content: bytes) -> tuple[str, LocalFile]:
    path = folder / "weights"
    path.write_bytes(content)
    found = path.stat()
    file = LocalFile(
        path="weights", source=path, size_bytes=found.st_size, modified_ns=found.st_mtime_ns
    )
    return sha256(content).hexdigest(), file


def carry_out(steps: Steps[None]) -> list[float]:
    waited = []
    for effect in steps:
        assert isinstance(effect, Pause)
        waited.append(effect.seconds)
    return waited


def test_a_small_file_goes_whole_and_is_counted(tmp_path: Path, meter: Meter) -> None:
    server = Server()
    digest, file = local_file(tmp_path, SMALL)
    assert carry_out(send_blob(server.call, digest, file, meter)) == []
    assert server.stored == {digest: SMALL}
    assert server.requests == [("PUT", None)]
    assert meter.done_bytes == 7 + len(SMALL)


def test_a_large_file_goes_on_where_each_break_left_it(tmp_path: Path, meter: Meter) -> None:
    gone = Interrupted("The connection broke off.")
    server = Server(failures=[(1000, gone), (2000, gone)])
    digest, file = local_file(tmp_path, LARGE)
    waited = carry_out(send_blob(server.call, digest, file, meter))
    assert server.stored == {digest: LARGE}
    assert [offset for _, offset in server.requests] == [0, 1000, 3000]
    assert waited == [0.1, 0.1]  # it went further meanwhile, so the waiting began anew
    assert meter.done_bytes == 7 + len(LARGE)


def test_what_was_left_of_another_file_is_sent_over_once(tmp_path: Path, meter: Meter) -> None:
    server = Server(kept=bytearray(b"other"))
    digest, file = local_file(tmp_path, LARGE)
    carry_out(send_blob(server.call, digest, file, meter))
    assert server.stored == {digest: LARGE}
    assert [offset for _, offset in server.requests] == [5, None]


def test_a_wrong_digest_from_the_beginning_is_told(tmp_path: Path, meter: Meter) -> None:
    server = Server()
    _, file = local_file(tmp_path, LARGE)
    with pytest.raises(BundleInvalid):
        carry_out(send_blob(server.call, "0" * 64, file, meter))
    assert len(server.requests) == 1
    assert not server.stored


@pytest.mark.parametrize("busy", [RangeInvalid("Not there.", offset=0), Conflict("Another sends.")])
def test_another_writer_is_waited_for(tmp_path: Path, meter: Meter, busy: NormanError) -> None:
    server = Server(failures=[(0, busy)])
    digest, file = local_file(tmp_path, LARGE)
    assert carry_out(send_blob(server.call, digest, file, meter)) == [0.1]
    assert server.stored == {digest: LARGE}


def test_a_writer_that_does_nothing_for_long_is_not_waited_for(
    tmp_path: Path, meter: Meter
) -> None:
    server = Server(failures=[(0, Conflict("Another sends."))] * 20)
    digest, file = local_file(tmp_path, LARGE)
    carry_out(send_blob(server.call, digest, file, meter))
    assert server.stored == {digest: LARGE}
    assert ("PUT", None) in server.requests


def test_a_refusal_is_told_at_once(tmp_path: Path, meter: Meter) -> None:
    server = Server(failures=[(0, Forbidden("Not you."))])
    digest, file = local_file(tmp_path, LARGE)
    with pytest.raises(Forbidden):
        carry_out(send_blob(server.call, digest, file, meter))
    assert len(server.requests) == 1
