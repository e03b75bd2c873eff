"""Blobs over plain HTTP: given back whole, to those who may read."""

from __future__ import annotations

import os
from hashlib import sha256

import httpx
import pytest

from norman_protocol.packs import PACK_BYTES, write_pack


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


def pack_of(*blobs: bytes) -> tuple[list[str], bytes]:
    digests = [sha256(data).hexdigest() for data in blobs]
    return digests, write_pack(zip(digests, blobs, strict=True))


def test_small_blobs_go_in_and_out_many_at_a_time(client):
    blobs = [b"", *(os.urandom(100 + n) for n in range(500))]
    digests, pack = pack_of(*blobs)
    answer = client.post("blobs/pack", content=pack)
    assert (answer.status_code, answer.json()) == (200, {"count": 501})
    assert client.post("blobs/missing", json={"digests": digests}).json() == {"missing": []}
    answer = client.post("blobs/fetch", json={"digests": digests})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == pack
    assert client.get(f"blobs/{digests[7]}").content == blobs[7]


def test_pack_that_came_before_changes_nothing(client):
    _, pack = pack_of(os.urandom(50), os.urandom(60))
    for _ in range(2):
        assert client.post("blobs/pack", content=pack).status_code == 200


def test_pack_with_one_wrong_blob_stores_none(client):
    digests, pack = pack_of(os.urandom(50), os.urandom(60))
    answer = client.post("blobs/pack", content=pack[:-1] + bytes([pack[-1] ^ 1]))
    assert answer.status_code == 400
    assert answer.json()["code"] == "bundle_invalid"
    assert answer.json()["details"]["digests"] == digests[1:]
    assert client.post("blobs/missing", json={"digests": digests}).json()["missing"] == digests


@pytest.mark.parametrize("pack", [b"x", bytes(39), bytes(39) + b"\x01", bytes(40 * 2001)])
def test_bytes_that_are_no_pack_are_refused(client, pack):
    answer = client.post("blobs/pack", content=pack)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")


def test_pack_over_its_bound_is_refused(client):
    answer = client.post("blobs/pack", content=bytes(PACK_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_blobs_too_long_for_a_pack_are_not_read_into_one(client):
    digests = [put(client, os.urandom((PACK_BYTES // 2) + n)) for n in (0, 1)]
    answer = client.post("blobs/fetch", json={"digests": digests})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_pack_of_what_is_not_stored_is_not_found(client):
    answer = client.post("blobs/fetch", json={"digests": ["0" * 64]})
    assert (answer.status_code, answer.json()["code"]) == (404, "blob_not_found")
