"""Uploads in parts: in order, to their end, across connections that break."""

from __future__ import annotations

import os
import socket
import time
from hashlib import sha256
from urllib.parse import urlsplit

import httpx
import pytest


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        yield client


@pytest.fixture
def data():
    return os.urandom(1 << 20)


def name(data: bytes) -> str:
    return sha256(data).hexdigest()


def put(client: httpx.Client, digest: str, part: bytes, offset: object, length: object):
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
    return client.put(f"blobs/{digest}", content=part, headers=headers)


def offset_of(client: httpx.Client, digest: str) -> int:
    answer = client.get(f"blobs/{digest}/upload")
    assert answer.headers["upload-offset"] == str(answer.json()["offset"])
    return answer.json()["offset"]


def test_parts_in_order_make_the_blob(client, data):
    digest = name(data)
    for start in range(0, len(data), 300_000):
        assert offset_of(client, digest) == start
        answer = put(client, digest, data[start : start + 300_000], start, len(data))
        ended = min(start + 300_000, len(data))
        assert answer.status_code == (201 if ended == len(data) else 202), answer.text
        if ended < len(data):
            assert answer.json() == {"digest": digest, "offset": ended, "stored": False}
            assert answer.headers["upload-offset"] == str(ended)
    assert answer.json() == {"digest": digest, "size_bytes": len(data)}
    assert client.get(f"blobs/{digest}").content == data
    state = client.get(f"blobs/{digest}/upload").json()
    assert state == {"digest": digest, "offset": len(data), "stored": True}
    again = put(client, digest, data[:5], 0, len(data))
    assert (again.status_code, again.json()["size_bytes"]) == (200, len(data))


@pytest.mark.parametrize("start", [0, 99_999, 100_001, (1 << 20) - 1])
def test_part_out_of_order_is_told_the_offset(client, data, start):
    digest = name(data)
    put(client, digest, data[:100_000], 0, len(data))
    answer = put(client, digest, data[start:], start, len(data))  # the last part among them
    assert answer.status_code == 416
    assert answer.headers["upload-offset"] == "100000"
    assert answer.json()["code"] == "range_invalid"
    assert answer.json()["details"] == {"offset": 100_000}
    assert put(client, digest, data[100_000:], 100_000, len(data)).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Offset": "0"},
        {"Upload-Length": "4"},
        {"Upload-Offset": "-1", "Upload-Length": "4"},
        {"Upload-Offset": "5", "Upload-Length": "4"},
        {"Upload-Offset": "٣", "Upload-Length": "4"},
        {"Upload-Offset": "0", "Upload-Length": "9" * 19},
        {"Upload-Offset": "", "Upload-Length": ""},
    ],
)
def test_range_that_is_none_is_refused(client, headers):
    encoded = {key: value.encode() for key, value in headers.items()}
    answer = client.put(f"blobs/{name(b'late')}", content=b"late", headers=encoded)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")
    assert offset_of(client, name(b"late")) == 0


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "A" * 64, "..", "%2e%2e%2f" + "0" * 60])
def test_malformed_digest_never_reaches_the_disk(norman_server, client, digest):
    before = sorted((norman_server.home / "blobs").rglob("*"))
    assert put(client, digest, b"x", 0, 10).status_code in {400, 404}
    assert client.get(f"blobs/{digest}/upload").status_code in {400, 404}
    assert sorted((norman_server.home / "blobs").rglob("*")) == before


def test_wrong_bytes_are_refused_at_the_end_and_nothing_is_kept(client, data):
    digest = name(data)
    put(client, digest, b"x" * 100, 0, len(data))
    answer = put(client, digest, data[100:], 100, len(data))
    assert (answer.status_code, answer.json()["code"]) == (400, "bundle_invalid")
    assert offset_of(client, digest) == 0
    assert put(client, digest, data, 0, len(data)).status_code == 201


def test_more_bytes_than_announced_are_refused(client, data):
    digest = name(data)
    answer = put(client, digest, data, 0, len(data) - 1)
    assert (answer.status_code, answer.json()["code"]) == (400, "bundle_invalid")
    headers = {"Upload-Offset": "0", "Upload-Length": "1000"}
    answer = client.put(f"blobs/{digest}", content=iter([data[:900], data[900:]]), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bundle_invalid")
    until(lambda: offset_of(client, digest) == 0)


def test_fewer_bytes_than_the_blob_has_are_refused_at_their_announced_end(client, data):
    answer = put(client, name(data), data[:1000], 0, 1000)
    assert (answer.status_code, answer.json()["code"]) == (400, "bundle_invalid")
    assert offset_of(client, name(data)) == 0


def test_last_part_may_be_empty(client, data):
    digest = name(b"all" + data)
    put(client, digest, b"all" + data, 0, len(data) + 4)
    answer = put(client, digest, b"", len(data) + 3, len(data) + 3)
    assert answer.status_code == 201
    assert client.get(f"blobs/{digest}").content == b"all" + data


def test_what_came_before_the_connection_broke_is_kept(norman_server, client, data):
    digest = name(data)
    url = urlsplit(norman_server.url)
    with socket.create_connection((url.hostname, url.port)) as sender:
        sender.sendall(
            (
                f"PUT /norman/api/v1/blobs/{digest} HTTP/1.1\r\nHost: {url.hostname}\r\n"
                f"Authorization: Bearer {norman_server.token}\r\nContent-Length: {len(data)}\r\n"
                f"Upload-Offset: 0\r\nUpload-Length: {len(data)}\r\n\r\n"
            ).encode()
            + data[:200_000]
        )
        until(lambda: any(norman_server.home.glob(f"blobs/incoming/{digest}.partial")))
        assert put(client, digest, data, 0, len(data)).status_code == 409  # one at a time
    until(lambda: put(client, digest, b"", offset_of(client, digest), len(data)).is_success)
    offset = offset_of(client, digest)
    assert put(client, digest, data[offset:], offset, len(data)).status_code == 201
    assert client.get(f"blobs/{digest}").content == data


def test_ten_gigabytes_without_a_token_are_refused_at_the_headers(norman_server):
    url = urlsplit(norman_server.url)
    before = sorted((norman_server.home / "blobs").rglob("*"))
    with socket.create_connection((url.hostname, url.port), timeout=30) as sender:
        sender.sendall(
            (
                f"PUT /norman/api/v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: {url.hostname}\r\n"
                f"Content-Length: {10 << 30}\r\nUpload-Offset: 0\r\n"
                f"Upload-Length: {10 << 30}\r\n\r\n"
            ).encode()
        )
        assert sender.recv(1000).startswith(b"HTTP/1.1 401 ")
    assert sorted((norman_server.home / "blobs").rglob("*")) == before


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
