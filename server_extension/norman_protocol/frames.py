"""Frames: a length-prefixed JSON header and raw buffers, encoded and decoded without I/O.

`SPECIFICATION.md` beside this file is the format; the golden bytes in the tests hold it still.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from norman_protocol.decoding import dump_json, parse_json
from norman_protocol.errors import PayloadTooLarge, ProtocolViolation, RequestInvalid

__all__ = [
    "ALIGNMENT_BYTES",
    "PREFIX_BYTES",
    "Buffer",
    "Frame",
    "FrameDecoder",
    "FrameLimits",
    "assemble_frame",
    "buffer_bytes",
    "decode_frame",
    "drop_bytes",
    "encode_frame",
    "frame_bytes",
    "join_frame",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

_MAGIC = b"NRMN"
ALIGNMENT_BYTES = 64
"""Each buffer starts at a multiple of this in the body: enough for any SIMD load."""

_PREFIX = struct.Struct("<4sIQ")
PREFIX_BYTES = _PREFIX.size
"""What `frame_bytes` must see of a frame."""
_PADDING = [bytes(size_bytes) for size_bytes in range(ALIGNMENT_BYTES)]
_MAPPED_BYTES = 2 << 20
"""From this size on a body is mapped: the system gives its pages as bytes arrive, so that a length
that lies costs one page. Below, reused memory is faster than new pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """Bounds that a decoder applies before it takes memory."""

    header_bytes: int = 1 << 20
    body_bytes: int = 2 << 30
    buffers: int = 4096


_DEFAULT_LIMITS = FrameLimits()


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: its header (without the buffers' sizes) and its buffers."""

    header: dict[str, Any]
    buffers: Sequence[Buffer] = field(default=())


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def encode_frame(header: dict[str, Any], buffers: Sequence[Buffer] = ()) -> list[Buffer]:
    r"""Encode one frame as pieces for a gathering write; the buffers are not copied.

    Lone surrogates in the header's text (a file name that is no UTF-8, say) become ``?``.

    Raises
    ------
    RequestInvalid
        The header holds something that strict JSON can't say.
    PayloadTooLarge
        There are more buffers than a peer takes. (The sizes of header and body are for the
        sender to bound: the peer's limits may be narrower or wider than the default.)

    Examples
    --------
    >>> b"".join(encode_frame({"type": "hi"}))
    b'NRMN\r\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{"type":"hi"}'
    """
    if not buffers:
        return assemble_frame(dump_json(header, surrogates="replace"), ())
    sized = {**header, "buffers": list(map(buffer_bytes, buffers))}
    return assemble_frame(dump_json(sized, surrogates="replace"), buffers)


def assemble_frame(header: bytes, buffers: Sequence[Buffer]) -> list[Buffer]:
    """Put a frame together from its header as it is written, sizes of buffers included.

    Raises
    ------
    PayloadTooLarge
        There are more buffers than a peer takes.
    """
    _check_size("number of buffers", len(buffers), _DEFAULT_LIMITS.buffers)
    body_bytes = 0
    pieces: list[Buffer] = [b""]
    for buffer in buffers:
        size_bytes = buffer_bytes(buffer)
        pieces.append(buffer)
        padding = -size_bytes % ALIGNMENT_BYTES
        if padding:
            pieces.append(_PADDING[padding])
        body_bytes += size_bytes + padding
    pieces[0] = _PREFIX.pack(_MAGIC, len(header), body_bytes) + header
    return pieces


def join_frame(header: dict[str, Any], buffers: Sequence[Buffer] = ()) -> bytes:
    """Encode one frame into one piece of bytes."""
    return b"".join(encode_frame(header, buffers))


class FrameDecoder:
    """Takes bytes as they come and gives whole frames.

    Large bodies are received without a second copy: `receive_buffer` hands out the place where
    the next bytes belong, and `received` says how many came. Buffers of a frame are read-only
    views of one private allocation that lives as long as any of them; a body's memory is taken
    as its bytes arrive.

    ``limits`` may be changed between frames: a peer that hasn't said yet who it is may be held
    to narrower ones. Not thread-safe; one per connection.
    """

    def __init__(self, limits: FrameLimits | None = None) -> None:
        self.limits = limits or _DEFAULT_LIMITS
        self._chunk = bytearray(64 * 1024)
        self._start = 0
        self._end = 0
        self._header: dict[str, Any] | None = None
        self._sizes: list[int] = []
        self._body = memoryview(b"")
        self._body_received = 0

    @property
    def idle(self) -> bool:
        """True where no byte of an unfinished frame is held."""
        return self._header is None and self._start == self._end

    def receive_buffer(self) -> memoryview:
        """Return where the next received bytes belong; call `received` right after."""
        if self._header is not None:
            return self._body[self._body_received :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._chunk):
            self._make_room()
        return memoryview(self._chunk)[self._end :]

    def received(self, size_bytes: int) -> None:
        """Say that so many bytes were written into the view of `receive_buffer`."""
        if self._header is not None:
            self._body_received += size_bytes
        else:
            self._end += size_bytes

    def feed(self, data: Buffer) -> Iterator[Frame]:
        """Take bytes and yield the frames that they complete."""
        view = memoryview(data).cast("B")
        while view.nbytes:
            target = self.receive_buffer()
            size_bytes = min(target.nbytes, view.nbytes)
            target[:size_bytes] = view[:size_bytes]
            del target  # a bytearray with a live view can't grow
            self.received(size_bytes)
            view = view[size_bytes:]
            yield from self.frames()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that are complete.

        Raises
        ------
        ProtocolViolation
            The bytes are no frames. The connection is of no further use.
        PayloadTooLarge
            A length is over its bound, and nothing was allocated for it; or the system has no
            room for a body.
        """
        while True:
            frame = self._next()
            if frame is None:
                return
            yield frame

    def _make_room(self) -> None:
        pending = self._chunk[self._start : self._end]
        if self._start == 0:
            self._chunk = pending + bytearray(len(pending))
        else:
            self._chunk[: len(pending)] = pending
        self._start, self._end = 0, len(pending)

    def _next(self) -> Frame | None:
        if self._header is None:
            return self._begin()
        if self._body_received < len(self._body):
            return None
        frame = Frame(self._header, _split(self._body.toreadonly(), self._sizes))
        self._header, self._sizes, self._body, self._body_received = None, [], memoryview(b""), 0
        return frame

    def _begin(self) -> Frame | None:
        """Take the header where it is here, and the body with it where that is here as well."""
        available = self._end - self._start
        if available < _PREFIX.size:
            return None
        magic, header_bytes, body_bytes = _PREFIX.unpack_from(self._chunk, self._start)
        _check_prefix(magic, header_bytes, body_bytes, self.limits)
        if available < _PREFIX.size + header_bytes:
            return None
        start = self._start + _PREFIX.size
        end = start + header_bytes
        header, sizes = _parse_header(self._chunk[start:end], body_bytes, self.limits)
        if available >= _PREFIX.size + header_bytes + body_bytes:
            self._start = end + body_bytes
            return Frame(header, _split(memoryview(bytes(self._chunk[end : self._start])), sizes))
        self._header, self._sizes, self._start = header, sizes, end
        self._take_body(body_bytes)
        return None

    def _take_body(self, body_bytes: int) -> None:
        early = min(self._end - self._start, body_bytes)
        self._body = _allocate(body_bytes)
        self._body[:early] = memoryview(self._chunk)[self._start : self._start + early]
        self._start += early
        self._body_received = early


def _allocate(size_bytes: int) -> memoryview:
    if size_bytes < _MAPPED_BYTES:
        return memoryview(bytearray(size_bytes))
    try:
        # Private pages, but where the platform has no such flag (Windows: they are private anyway).
        if not hasattr(mmap, "MAP_PRIVATE"):
            return memoryview(mmap.mmap(-1, size_bytes))
        body = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, MemoryError) as error:
        raise PayloadTooLarge(
            f"There is no memory for a body of {size_bytes} bytes.", size_bytes=size_bytes
        ) from error
    if hasattr(mmap, "MADV_HUGEPAGE"):  # measured: a third of the time for 16 MiB
        with contextlib.suppress(OSError):  # a kernel without them
            body.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(body)


def decode_frame(data: Buffer, limits: FrameLimits | None = None) -> Frame:
    """Decode bytes that are exactly one frame; the buffers are views of ``data``.

    Raises
    ------
    ProtocolViolation
        Not one whole frame, or more than one.
    PayloadTooLarge
        A length is over its bound.
    """
    limits = limits or _DEFAULT_LIMITS
    view = memoryview(data).cast("B").toreadonly()
    if view.nbytes < _PREFIX.size:
        raise ProtocolViolation("The frame ends inside its prefix.")
    magic, header_bytes, body_bytes = _PREFIX.unpack_from(view)
    _check_prefix(magic, header_bytes, body_bytes, limits)
    if view.nbytes != _PREFIX.size + header_bytes + body_bytes:
        raise ProtocolViolation("The frame is not as long as its prefix says.")
    end = _PREFIX.size + header_bytes
    header, sizes = _parse_header(view[_PREFIX.size : end], body_bytes, limits)
    return Frame(header, _split(view[end:], sizes))


def frame_bytes(prefix: Buffer, limits: FrameLimits | None = None) -> int:
    """Return the size of the whole frame that begins with these bytes, at least `PREFIX_BYTES`.

    For a file of frames, whose reader remembers how far it came.

    Raises
    ------
    ProtocolViolation
        No frame begins so.
    PayloadTooLarge
        A length is over its bound.

    Examples
    --------
    >>> frame_bytes(join_frame({"type": "hi"}, [b"12345"]))
    107
    """
    magic, header_bytes, body_bytes = _PREFIX.unpack_from(prefix)
    _check_prefix(magic, header_bytes, body_bytes, limits or FrameLimits())
    return _PREFIX.size + int(header_bytes) + int(body_bytes)


def _check_prefix(magic: bytes, header_bytes: int, body_bytes: int, limits: FrameLimits) -> None:
    if magic != _MAGIC:
        raise ProtocolViolation("These bytes are not a Norman frame.")
    if header_bytes > limits.header_bytes or body_bytes > limits.body_bytes:
        _check_size("header", header_bytes, limits.header_bytes)
        _check_size("body", body_bytes, limits.body_bytes)


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise PayloadTooLarge(
            f"The frame's {name} is {size}, more than the {limit} allowed.",
            size_bytes=size,
            limit_bytes=limit,
        )


def _parse_header(
    text: Buffer, body_bytes: int, limits: FrameLimits
) -> tuple[dict[str, Any], list[int]]:
    try:
        header = parse_json(text, unique_keys=False)
    except RequestInvalid as error:
        raise ProtocolViolation(f"The frame's header: {error.message}") from None
    if type(header) is not dict:
        raise ProtocolViolation("The frame's header is not an object.")
    sizes = header.pop("buffers", [])
    if type(sizes) is not list or len(sizes) > limits.buffers:
        raise ProtocolViolation("The frame's list of buffers is no list, or too long.")
    total = 0
    for size in sizes:
        if type(size) is not int or size < 0:
            raise ProtocolViolation("The size of a buffer is not a whole number of bytes.")
        total += _padded(size)
    if total != body_bytes:
        raise ProtocolViolation("The sizes of the buffers don't add up to the body.")
    return header, sizes


def _split(view: memoryview, sizes: list[int]) -> list[Buffer]:
    buffers: list[Buffer] = []
    offset = 0
    for size in sizes:
        buffers.append(view[offset : offset + size])
        offset += _padded(size)
    return buffers


def buffer_bytes(buffer: Buffer) -> int:
    """Return the size of a buffer in bytes.

    Examples
    --------
    >>> buffer_bytes(b"abc"), buffer_bytes(memoryview(b"abcd").cast("I"))
    (3, 4)
    """
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)


def drop_bytes(pieces: Sequence[Buffer], sent: int) -> Sequence[Buffer]:
    """Return what is left of the pieces after their first ``sent`` bytes; nothing is copied.

    Examples
    --------
    >>> [bytes(piece) for piece in drop_bytes([b"abc", b"de"], 4)]
    [b'e']
    """
    for index, piece in enumerate(pieces):
        size_bytes = buffer_bytes(piece)
        if sent < size_bytes:
            return [memoryview(piece).cast("B")[sent:], *pieces[index + 1 :]]
        sent -= size_bytes
    return []
