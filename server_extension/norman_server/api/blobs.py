"""Blobs: which ones are missing, taking their bytes and giving them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import BinaryIO, ClassVar

from norman_bundle.manifest import parse_digest
from norman_protocol.errors import BundleInvalid, NormanError
from norman_protocol.rest import (
    UPLOAD_OFFSET,
    BlobStored,
    BlobUpload,
    MissingAnswer,
    MissingRequest,
)
from norman_server.api.base import Handler, too_large
from norman_server.api.ranges import UploadRange, read_range
from norman_server.storage.blobs.base import BlobWriter

__all__ = ["BlobHandler", "BlobUploadHandler", "MissingHandler"]

_WRITTEN_BYTES = 1 << 20
"""Bytes gathered for one write: a hop to a thread costs as much as writing 50 kB."""

_READ_BYTES = 1 << 20
_BYTES = "application/octet-stream"


class MissingHandler(Handler):
    """Tells which blobs must be sent."""

    async def post(self) -> None:
        """Answer with those of the digests that are not stored."""
        request = await self.decode_large_body(MissingRequest)
        digests = tuple(dict.fromkeys(map(parse_digest, request.digests)))
        await self.answer(MissingAnswer(missing=await self.services.registry.missing(digests)))


class BlobHandler(Handler):
    """Takes the bytes of one blob while they come in, and gives them back."""

    CHARGES_BODY: ClassVar[bool] = False

    _writer: BlobWriter | None = None
    _digest: str = ""
    _stored: bool = False
    _size_bytes: int = 0
    _received_bytes: int = 0
    _range: UploadRange | None = None
    _storing: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        """Open the blob once the caller may write."""
        await super().admit()
        if self.request.method != "PUT" or self.relayed is not None:
            return
        self._writing = asyncio.Lock()
        self._digest = parse_digest(self.path_args[0])
        self._range = self._read_range()
        registry = self.services.registry
        state = await registry.upload_state(self._digest)
        self._stored = state.stored
        if self._stored:
            self._size_bytes = state.offset
        elif self._range is None:
            self._writer = await asyncio.to_thread(registry.begin_blob, self._digest)
        else:
            offset = self._range.offset
            self._writer = await asyncio.to_thread(registry.resume_blob, self._digest, offset)

    def _read_range(self) -> UploadRange | None:
        found = read_range(self.request.headers)
        if found is None:
            return None
        limit_bytes = self.body_limit_bytes()
        if found.length > limit_bytes:
            raise too_large(found.length, limit_bytes)
        if found.offset + self.declared_bytes() > found.length:
            raise _too_long(self._digest, found)
        return found

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Write what came, in large pieces, one behind; the sender waits where the disk does."""
        if self.relayed is not None:
            return super().data_received(chunk)
        self._received_bytes += len(chunk)
        if self._writer is None or self.body_fault is not None:
            return None
        limit_bytes = self.body_limit_bytes()
        if self._received_bytes > limit_bytes:
            self.fail_body(too_large(self._received_bytes, limit_bytes))
            return None
        ranged = self._range
        if ranged is not None and ranged.offset + self._received_bytes > ranged.length:
            self.fail_body(_too_long(self._digest, ranged))
            return None
        self.body += chunk
        if len(self.body) < _WRITTEN_BYTES:
            return None
        return self._write()

    async def put(self, digest: str) -> None:  # noqa: ARG002 - prepare has checked it
        """Finish the blob, or say that it was there."""
        if self._stored:
            await self.answer(BlobStored(digest=self._digest, size_bytes=self._size_bytes))
            return
        await self._write()
        await self._written()
        async with self._writing:
            writer = self._writer
            if writer is None or self.body_fault is not None:
                return  # answered already
            self._writer = None
            if self._range is not None and writer.offset < self._range.length:
                await asyncio.to_thread(writer.suspend)
                self.set_header(UPLOAD_OFFSET, str(writer.offset))
                await self.answer(BlobUpload(digest=self._digest, offset=writer.offset), 202)
                return
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
        """Begin to write what is gathered, so that more can come in meanwhile."""
        await self._written()
        chunk, self.body = self.body, bytearray()
        self._storing = asyncio.create_task(self._store(chunk))

    async def _written(self) -> None:
        """Wait for what is being written."""
        if self._storing is not None:
            await self._storing

    async def _store(self, chunk: bytearray) -> None:
        async with self._writing:
            writer = self._writer
            if writer is None or not chunk or self.body_fault is not None:
                return
            try:
                await asyncio.to_thread(writer.write, chunk)
            except NormanError as error:
                self.fail_body(error)

    async def _end(self) -> None:
        async with self._writing:
            writer, self._writer = self._writer, None
            if writer is not None:
                # A part that was wrong spoils the rest; one that broke off is gone on with.
                kept = self.body_fault is None
                await asyncio.to_thread(writer.suspend if kept else writer.abort)

    def _give_up(self) -> None:
        if self._writer is not None:
            self.slot.spawn(self._end())

    def on_finish(self) -> None:
        """Leave nothing open, and of a blob that was sent as a whole nothing at all."""
        super().on_finish()
        self._give_up()

    def on_connection_close(self) -> None:
        """Keep what came where the sender left and may go on; else leave nothing behind."""
        super().on_connection_close()
        self._give_up()


class BlobUploadHandler(Handler):
    """The upload of one blob, as far as it came."""

    async def get(self, digest: str) -> None:
        """Tell where it goes on."""
        self.query()
        state = await self.services.registry.upload_state(parse_digest(digest))
        self.set_header(UPLOAD_OFFSET, str(state.offset))
        await self.answer(state)


def _too_long(digest: str, expected: UploadRange) -> BundleInvalid:
    return BundleInvalid(
        f"More bytes came than the {expected.length} that were announced as the size of the blob "
        f"{digest[:12]}…. Upload the file again.",
        digests=[digest],
    )
