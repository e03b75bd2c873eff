"""Packs of blobs on their way in and out, each blob held to its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from norman_bundle.manifest import parse_digest
from norman_protocol.errors import BundleInvalid, PayloadTooLarge, RequestInvalid
from norman_protocol.frames import Buffer
from norman_protocol.packs import PACK_COUNT
from norman_server.storage.blobs.base import BlobStore

__all__ = ["check_pack", "read_small"]


def check_pack(blobs: Mapping[str, Buffer]) -> None:
    """Check that each blob of a pack is what its digest says.

    Raises
    ------
    BundleInvalid
        One isn't; ``digests`` names them.
    """
    wrong = [digest for digest, data in blobs.items() if hashlib.sha256(data).hexdigest() != digest]
    if wrong:
        raise BundleInvalid(
            f"The bytes that came for {wrong[0][:12]}… have another digest: a file changed "
            "meanwhile, or was damaged on its way. Upload it again.",
            digests=wrong,
        )


def read_small(
    store: BlobStore, digests: Sequence[str], limit_bytes: int
) -> list[tuple[str, bytes]]:
    """Read blobs that fit one pack, each once.

    Raises
    ------
    RequestInvalid
        One is no digest, or they are too many for a pack.
    PayloadTooLarge
        Together they are longer than ``limit_bytes``; more than that isn't read.
    BlobNotFound
        One isn't stored.
    """
    asked = dict.fromkeys(map(parse_digest, digests))
    if len(asked) > PACK_COUNT:
        raise RequestInvalid(
            f"A pack holds at most {PACK_COUNT} blobs, not {len(asked)}.", field="digests"
        )
    found: list[tuple[str, bytes]] = []
    left = limit_bytes
    for digest in asked:
        with store.open(digest) as blob:
            data = blob.read(left + 1)
        left -= len(data)
        if left < 0:
            raise PayloadTooLarge(
                f"These blobs are longer than the {limit_bytes} bytes of a pack. Ask for fewer, "
                "or for each by itself.",
                limit_bytes=limit_bytes,
            )
        found.append((digest, data))
    return found
