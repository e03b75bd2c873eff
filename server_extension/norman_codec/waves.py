"""WAV: the samples of PCM and float files, exactly, and back; it needs no library for that.

The format: Multimedia Programming Interface and Data Specifications 1.0 (RIFF), and Multiple
Channel Audio Data and WAVE Files (the extensible header).
"""

from __future__ import annotations

import struct
import wave
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from norman_codec.bounds import check_decoded, check_seconds
from norman_codec.faults import MediaFault
from norman_protocol.frames import Buffer
from norman_protocol.media import MediaLimits

__all__ = ["Wave", "exact_bits", "quantise", "read_samples", "read_wave", "write_wave"]

Array: TypeAlias = NDArray[Any]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_FORMAT_BYTES = 16
_EXTENSIBLE_BYTES = 40
_RIFF_HEADER_BYTES = 12
_OPEN_SIZES = (0, 0xFFFFFFFF)
"""What programs that can't go back write for a length that they don't know yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A WAV file's description, and its samples as they lie in it."""

    coding: int
    channels: int
    rate: int
    bits: int
    data: memoryview

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return len(self.data) // (self.channels * self.bits // 8)


def read_wave(content: Buffer) -> Wave | None:
    """Return what is in a WAV file; None for one of another coding than PCM and float.

    Raises
    ------
    MediaFault
        It is cut off, or contradicts itself.
    """
    view = memoryview(content).cast("B")
    if bytes(view[:4]) != b"RIFF":
        return None  # RF64 and its like, for files beyond 4 GiB
    described: tuple[int, int, int, int] | None = None
    offset = _RIFF_HEADER_BYTES
    while offset + 8 <= len(view):
        name, size_bytes = struct.unpack_from("<4sI", view, offset)
        chunk = view[offset + 8 : offset + 8 + size_bytes]
        if name == b"fmt ":
            described = _description(chunk)
        elif name == b"data":
            if described is None:
                raise MediaFault("is a damaged WAV: its samples come before their description.")
            if size_bytes in _OPEN_SIZES:
                chunk = view[offset + 8 :]
            elif len(chunk) < size_bytes:
                raise MediaFault(
                    f"is cut off: its samples take {size_bytes:,} bytes, and {len(chunk):,} are "
                    "there. Save or fetch it again.",
                    received="WAV data that is cut off",
                )
            return _wave(described, chunk)
        offset += 8 + size_bytes + size_bytes % 2
    raise MediaFault("is a WAV that has no samples, or is cut off before them.")


def _description(chunk: memoryview) -> tuple[int, int, int, int]:
    """Return coding, channels, rate and bits."""
    if len(chunk) < _FORMAT_BYTES:
        raise MediaFault("is a damaged WAV: the description of its samples is cut off.")
    coding, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", chunk)
    if coding == _EXTENSIBLE and len(chunk) >= _EXTENSIBLE_BYTES:
        (coding,) = struct.unpack_from("<H", chunk, 24)
    if bits in _BITS.get(coding, ()) and (
        not channels or not rate or align != channels * bits // 8
    ):
        raise MediaFault(
            f"is a damaged WAV: it says that it has {channels} channels of {bits} bits at {rate} "
            f"Hz, in steps of {align} bytes."
        )
    return coding, channels, rate, bits


def _wave(described: tuple[int, int, int, int], data: memoryview) -> Wave | None:
    coding, channels, rate, bits = described
    if bits not in _BITS.get(coding, ()):
        return None
    return Wave(coding=coding, channels=channels, rate=rate, bits=bits, data=data)


def read_samples(sound: Wave, dtype: type[np.floating[Any]], limits: MediaLimits) -> Array:
    """Return the samples by channel and time, from -1 to 1.

    Raises
    ------
    MediaFault
        There are more than the limits allow, or some are no numbers.
    """
    check_seconds(sound.frames / sound.rate, limits)
    count = sound.frames * sound.channels
    check_decoded(2 * count * np.dtype(dtype).itemsize, limits)
    data = sound.data[: count * sound.bits // 8]
    if sound.coding == _FLOAT:
        samples = np.frombuffer(data, f"<f{sound.bits // 8}").astype(dtype)
        if not np.isfinite(samples).all():
            raise MediaFault("holds samples that are no numbers (NaN or infinite).")
    else:
        samples = _levels(data, sound.bits).astype(dtype)
        if sound.bits == 8:
            samples -= 128
        # Full scale is a power of two: nothing is rounded.
        samples *= 2.0 ** (-31 if sound.bits == 24 else 1 - sound.bits)
    return np.ascontiguousarray(samples.reshape(-1, sound.channels).T)


def _levels(data: memoryview, bits: int) -> Array:
    """Return PCM as integers; those of 24 bits fill the upper ones of 32."""
    if bits != 24:
        return np.frombuffer(data, {8: "<u1", 16: "<i2", 32: "<i4"}[bits])
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4").reshape(-1)


def exact_bits(samples: Array) -> int:
    """Return 16 where 16 bits hold every sample exactly, else 24.

    Examples
    --------
    >>> exact_bits(np.array([[0.5, 1.0]])), exact_bits(np.array([[2.0**-16]]))
    (16, 24)
    """
    scaled = _scaled(samples, 16)
    return 16 if np.array_equal(scaled, np.rint(scaled)) else 24


def _scaled(samples: Array, bits: int) -> Array:
    full = 2.0 ** (bits - 1)
    scaled: Array = (samples * samples.dtype.type(full)).clip(-full, full - 1)
    return scaled


def quantise(samples: Array, bits: int) -> NDArray[np.int32]:
    """Return samples as the nearest integers of a number of bits."""
    return np.rint(_scaled(samples, bits)).astype(np.int32)


def write_wave(samples: Array, rate: int, bits: int) -> bytes:
    """Return a WAV file of PCM with 16, 24 or 32 bits.

    Examples
    --------
    >>> sound = read_wave(write_wave(np.array([[0.5, -0.5]]), 8_000, 16))
    >>> sound.rate, sound.frames
    (8000, 2)
    """
    levels = np.ascontiguousarray(quantise(samples, bits).T).astype("<i4", copy=False)
    data = levels.reshape(-1, 1).view(np.uint8)[:, : bits // 8]
    target = BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(data).data)
    return target.getvalue()
