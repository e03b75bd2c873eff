"""Packs: many small blobs in one body, each behind its digest and size.

A record is the digest as 32 bytes, the size as 8 bytes in network order, and the bytes. Nothing
stands before, between or after the records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from norman_protocol.errors import RequestInvalid
from norman_protocol.frames import Buffer

__all__ = ["PACK_BYTES", "PACK_COUNT", "read_pack", "write_pack"]

PACK_BYTES = 8 << 20
"""A pack isn't longer than this."""

PACK_COUNT = 2000
"""A pack doesn't hold more blobs."""

_RECORD = struct.Struct("!32sQ")


def write_pack(blobs: Iterable[tuple[str, Buffer]]) -> bytes:
    """Write blobs, each with its digest.

    Examples
    --------
    >>> len(write_pack([("0" * 64, b"abc"), ("1" * 64, b"")]))
    83
    """
    pieces: list[Buffer] = []
    for digest, data in blobs:
        pieces.append(_RECORD.pack(bytes.fromhex(digest), memoryview(data).nbytes))
        pieces.append(data)
    return b"".join(pieces)


def read_pack(pack: Buffer) -> Iterator[tuple[str, memoryview]]:
    """Yield each blob with the digest that it claims; nobody has checked that yet.

    Raises
    ------
    RequestInvalid
        The bytes are no pack, or one of too many blobs.

    Examples
    --------
    >>> [(digest[:3], bytes(data)) for digest, data in read_pack(write_pack([("0" * 64, b"ab")]))]
    [('000', b'ab')]
    """
    view = memoryview(pack).cast("B")
    place, count = 0, 0
    while place < view.nbytes:
        count += 1
        if count > PACK_COUNT:
            raise RequestInvalid(f"A pack holds at most {PACK_COUNT} blobs.")
        if view.nbytes - place < _RECORD.size:
            raise RequestInvalid(f"The pack ends within the head of its blob {count}.")
        digest, size_bytes = _RECORD.unpack_from(view, place)
        place += _RECORD.size
        if size_bytes > view.nbytes - place:
            raise RequestInvalid(f"The pack ends within the bytes of its blob {count}.")
        yield digest.hex(), view[place : place + size_bytes]
        place += size_bytes
