"""Blobs over plain HTTP: given back whole, to those who may read."""

from __future__ import annotations

import os
from hashlib import sha256

import httpx
import pytest


@pytest.fixture(scope="module")
def client(norman_server):
    with norman_server.client() as client:
        yield client


def put(client: httpx.Client, data: bytes) -> str:
    digest = sha256(data).hexdigest()
    client.put(f"blobs/{digest}", content=data).raise_for_status()
    return digest


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 20) - 1, (5 << 20) + 3])
def test_blob_is_given_back_whole(client, size_bytes):
    data = os.urandom(size_bytes)
    answer = client.get(f"blobs/{put(client, data)}")
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-length"] == str(size_bytes)


def test_blob_is_never_taken_for_a_page(client):
    answer = client.get(f"blobs/{put(client, b'<script>alert(1)</script>')}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_head_tells_the_size_and_gives_no_bytes(client):
    answer = client.head(f"blobs/{put(client, b'12345')}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "5"


def test_part_of_a_blob_is_not_given(client):
    digest = put(client, b"0123456789")
    answer = client.get(f"blobs/{digest}", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["accept-ranges"] == "none"


def test_blob_that_is_not_stored_is_not_found(client):
    answer = client.get(f"blobs/{'0' * 64}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "blob_not_found"
    assert answer.json()["details"] == {"digest": "0" * 64}
    assert client.head(f"blobs/{'0' * 64}").status_code == 404


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "A" * 64, "..", "%2e%2e%2fnorman.db"])
def test_what_is_no_digest_reaches_no_file(client, digest):
    answer = client.get(f"blobs/{digest}")
    assert answer.status_code in {400, 404}
    assert answer.json()["code"] in {"request_invalid", "route_not_found"}


def test_bytes_need_a_token(norman_server, client):
    digest = put(client, b"secret weights")
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{norman_server.api_url}blobs/{digest}", trust_env=False)
        assert answer.status_code == 401
        assert b"secret" not in answer.content
