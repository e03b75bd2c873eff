"""A full or refusing disk: one clear error, and nothing half there."""

from __future__ import annotations

import doctest
import errno
import json
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storing import digest_of

from norman_protocol.errors import InternalError, StorageFull
from norman_server.storage import faults, home
from norman_server.storage.blobs import copying, writing
from norman_server.storage.blobs.local import LocalBlobStore
from norman_server.storage.db import types
from norman_server.storage.faults import disk_fault, disk_faults
from norman_server.storage.logs import LogPart, read_after, read_tail

# In a process of its own: the bound on the size of files holds for all of it.
_FILL = """
import json, resource, sys
from pathlib import Path
from norman_protocol.errors import NormanError
from norman_server.storage.opening import open_storage
from storing import digest_of

data = bytes(range(256)) * 8192
with open_storage(Path(sys.argv[1])) as storage:
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, resource.RLIM_INFINITY))
    seen = []
    for chunk_bytes in (len(data), 1000):
        try:
            with storage.blobs.begin(digest_of(data)) as writer:
                for start in range(0, len(data), chunk_bytes):
                    writer.write(data[start:start + chunk_bytes])
                writer.commit()
        except NormanError as error:
            seen.append(error.code)
    print(json.dumps([seen, storage.blobs.size(digest_of(data)),
                      [path.name for path in (storage.home.blobs / "incoming").iterdir()]]))
"""


def test_a_blob_that_finds_no_room_is_told_and_leaves_nothing(tmp_path, request):
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=request.config.rootpath / "tests",
    )
    assert json.loads(done.stdout) == [["storage_full", "storage_full"], None, []]


def test_a_disk_that_fails_while_a_large_blob_is_written_is_told(tmp_path, monkeypatch):
    def fail(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing, "_LARGE_BYTES", 0)
    monkeypatch.setattr(copying, "_SYNCED_BYTES", 1)
    monkeypatch.setattr(os, "fdatasync", fail)
    store = LocalBlobStore(tmp_path)
    data = b"large"
    threads = threading.active_count()
    with store.begin(digest_of(data)) as writer:
        writer.write(data)
        with pytest.raises(StorageFull):
            writer.commit()
    assert store.size(digest_of(data)) is None
    assert list((tmp_path / "incoming").iterdir()) == []
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, InternalError),
        (errno.EACCES, InternalError),
        (errno.EIO, InternalError),
    ],
)
def test_each_failure_of_a_disk_is_told_without_a_path(number, kind):
    cause = OSError(number, "why", "/secret/path")
    with pytest.raises(kind, match="storing a blob") as caught, disk_faults("storing a blob"):
        raise cause
    assert "/secret" not in caught.value.message
    assert caught.value.__cause__ is cause


def test_an_error_without_a_number_is_told_too():
    assert "TimeoutError" in disk_fault("reading", TimeoutError()).message


@pytest.mark.parametrize(
    ("content", "limit_bytes", "expected"),
    [
        (b"one\ntwo\n", 100, ("one\ntwo\n", False)),
        (b"one\ntwo\n", 8, ("one\ntwo\n", False)),
        (b"one\ntwo\n", 6, ("two\n", True)),
        (b"one\ntwo", 5, ("two", True)),
        (b"x" * 10, 4, ("xxxx", True)),
        (b"x" * 10 + b"\n", 4, ("xxx\n", True)),
        (b"a\xff\xc3", 10, ("a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", False)),
        (b"", 10, ("", False)),
    ],
)
def test_the_tail_of_a_log_is_whole_lines(tmp_path, content, limit_bytes, expected):
    (tmp_path / "log").write_bytes(content)
    part = read_tail(tmp_path / "log", limit_bytes)
    assert (part.text, part.truncated) == expected
    assert part.end == len(content)


def test_a_log_that_nobody_wrote_is_empty(tmp_path):
    assert read_tail(tmp_path / "log", 10) == LogPart(text="", truncated=False, end=0)
    assert read_after(tmp_path / "log", 0, 10) == LogPart(text="", truncated=False, end=0)


@pytest.mark.parametrize(
    ("offset", "limit_bytes", "expected"),
    [
        (0, 100, ("one\ntwo\n", False, 8)),
        (4, 100, ("two\n", False, 8)),
        (8, 100, ("", False, 8)),
        (0, 5, ("one\n", False, 4)),
        (0, 2, ("on", False, 2)),
        (8, 3, ("thr", False, 11)),
        (9, 100, ("", False, 9)),
        (12, 100, ("", True, 11)),
    ],
)
def test_what_follows_an_offset_is_whole_lines(tmp_path, offset, limit_bytes, expected):
    (tmp_path / "log").write_bytes(b"one\ntwo\nthr")
    part = read_after(tmp_path / "log", offset, limit_bytes)
    assert (part.text, part.truncated, part.end) == expected


@given(st.binary(max_size=60), st.integers(1, 8))
def test_a_log_read_part_by_part_is_the_log(tmp_path_factory, content, limit_bytes):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(content.replace(b"\r", b"") + b"\n")
    offset, read = 0, b""
    while (part := read_after(path, offset, limit_bytes)).text:
        read += path.read_bytes()[offset : part.end]
        offset = part.end
    assert read == path.read_bytes()


@pytest.mark.parametrize("module", [faults, home, types])
def test_the_examples_hold(module):
    assert doctest.testmod(module).failed == 0
