"""Packs of small blobs: what is written is read, and nothing else is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_protocol.errors import RequestInvalid
from norman_protocol.packs import PACK_COUNT, read_pack, write_pack

BLOBS = st.lists(st.tuples(st.binary(min_size=32, max_size=32).map(bytes.hex), st.binary()))


@given(BLOBS)
def test_what_is_written_is_read(blobs) -> None:
    assert [(digest, bytes(data)) for digest, data in read_pack(write_pack(blobs))] == blobs


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read = list(read_pack(data))
    except RequestInvalid:
        return
    assert write_pack(read) == data


@pytest.mark.parametrize("size_bytes", [4, 2**63, 2**64 - 1])
def test_size_beyond_the_end_is_refused(size_bytes: int) -> None:
    with pytest.raises(RequestInvalid, match="within the bytes of its blob 1"):
        list(read_pack(struct.pack("!32sQ", b"", size_bytes) + b"abc"))


def test_too_many_blobs_are_refused() -> None:
    with pytest.raises(RequestInvalid, match="at most"):
        list(read_pack(bytes(40 * (PACK_COUNT + 1))))
