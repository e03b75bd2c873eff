"""Small blobs many at a time: a request for each would cost more than its bytes."""

from __future__ import annotations

import asyncio
from functools import partial

from norman_protocol.packs import PACK_BYTES, write_pack
from norman_protocol.rest import FetchRequest, PackStored
from norman_server.api.base import Handler

__all__ = ["FetchHandler", "PackHandler"]


class PackHandler(Handler):
    """Takes many small blobs."""

    async def post(self) -> None:
        """Store the blobs of a pack, all of them durable when this answers."""
        self.query()
        count = await asyncio.to_thread(self.services.registry.take_pack, bytes(self.body))
        await self.answer(PackStored(count=count))


class FetchHandler(Handler):
    """Gives many small blobs."""

    async def post(self) -> None:
        """Answer with a pack of the blobs that are asked for."""
        self.query()
        request = await self.decode_large_body(FetchRequest)
        read = partial(self.services.registry.read_blobs, request.digests, PACK_BYTES)
        blobs = await asyncio.to_thread(read)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Disposition", 'attachment; filename="blobs.pack"')
        pack = await asyncio.to_thread(write_pack, blobs)
        await self.finish(pack, set_content_type="application/octet-stream")
