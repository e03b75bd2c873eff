"""Blobs: which ones are missing, taking their bytes and giving them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import BinaryIO, ClassVar

from norman_bundle.manifest import parse_digest
from norman_protocol.errors import NormanError
from norman_protocol.rest import BlobStored, MissingAnswer, MissingRequest
from norman_server.api.base import Handler, too_large
from norman_server.storage.blobs.base import BlobWriter

__all__ = ["BlobHandler", "MissingHandler"]

_WRITTEN_BYTES = 1 << 20
"""Bytes gathered for one write: a hop to a thread costs as much as writing 50 kB."""

_READ_BYTES = 1 << 20
_BYTES = "application/octet-stream"


class MissingHandler(Handler):
    """Tells which blobs must be sent."""

    async def post(self) -> None:
        """Answer with those of the digests that are not stored."""
        request = self.decode_body(MissingRequest)
        digests = tuple(dict.fromkeys(map(parse_digest, request.digests)))
        await self.answer(MissingAnswer(missing=await self.services.registry.missing(digests)))


class BlobHandler(Handler):
    """Takes the bytes of one blob while they come in, and gives them back."""

    CHARGES_BODY: ClassVar[bool] = False

    _writer: BlobWriter | None = None
    _digest: str = ""
    _stored: bool = False
    _received_bytes: int = 0

    async def admit(self) -> None:
        """Open the blob once the caller may write."""
        await super().admit()
        if self.request.method != "PUT":
            return
        self._writing = asyncio.Lock()
        self._digest = parse_digest(self.path_args[0])
        registry = self.services.registry
        self._stored = not await registry.missing((self._digest,))
        if not self._stored:
            self._writer = await asyncio.to_thread(registry.begin_blob, self._digest)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Write what came, in large pieces; the sender waits meanwhile."""
        self._received_bytes += len(chunk)
        if self._writer is None or self.body_fault is not None:
            return None
        limit_bytes = self.body_limit_bytes()
        if self._received_bytes > limit_bytes:
            self.fail_body(too_large(self._received_bytes, limit_bytes))
            return None
        self.body += chunk
        if len(self.body) < _WRITTEN_BYTES:
            return None
        return self._write()

    async def put(self, digest: str) -> None:  # noqa: ARG002 - prepare has checked it
        """Finish the blob, or say that it was there."""
        if self._stored:
            stored = BlobStored(digest=self._digest, size_bytes=self._received_bytes)
            await self.answer(stored)
            return
        await self._write()
        async with self._writing:
            writer = self._writer
            if writer is None or self.body_fault is not None:
                return  # answered already
            self._writer = None
            try:
                size_bytes = await asyncio.to_thread(writer.commit)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(writer.abort))
                raise
        await self.answer(BlobStored(digest=self._digest, size_bytes=size_bytes), 201)

    async def get(self, digest: str) -> None:
        """Give the bytes, one piece in memory at a time; the receiver sets the pace."""
        async with self._opened(digest) as blob:
            while piece := await asyncio.to_thread(blob.read, _READ_BYTES):
                self.write(piece)
                await self.flush()
            await self.finish(set_content_type=_BYTES)

    async def head(self, digest: str) -> None:
        """Tell the size."""
        async with self._opened(digest):
            await self.finish(set_content_type=_BYTES)

    @asynccontextmanager
    async def _opened(self, digest: str) -> AsyncIterator[BinaryIO]:
        """Open the blob, and say what follows."""
        self.query()
        blob = await asyncio.to_thread(self.services.registry.open_blob, digest)
        try:
            size_bytes = os.fstat(blob.fileno()).st_size
            self.set_header("Content-Type", _BYTES)
            self.set_header("Content-Length", str(size_bytes))
            # Nobody's browser is to take a model's file for a page of this server.
            self.set_header("Content-Disposition", f'attachment; filename="{digest[:16]}.bin"')
            self.set_header("X-Content-Type-Options", "nosniff")
            self.set_header("Cache-Control", "private, immutable")
            self.set_header("Accept-Ranges", "none")
            yield blob
        finally:
            await asyncio.to_thread(blob.close)

    async def _write(self) -> None:
        async with self._writing:
            writer, chunk = self._writer, bytes(self.body)
            self.body.clear()
            if writer is None or not chunk or self.body_fault is not None:
                return
            try:
                await asyncio.to_thread(writer.write, chunk)
            except NormanError as error:
                self.fail_body(error)

    async def _abort(self) -> None:
        async with self._writing:
            writer, self._writer = self._writer, None
            if writer is not None:
                await asyncio.to_thread(writer.abort)

    def _give_up(self) -> None:
        if self._writer is not None:
            self.slot.spawn(self._abort())

    def on_finish(self) -> None:
        """Leave no half-written blob behind."""
        super().on_finish()
        self._give_up()

    def on_connection_close(self) -> None:
        """Leave no half-written blob behind where the sender left."""
        super().on_connection_close()
        self._give_up()
