"""Pictures, as bytes or as arrays, into thumbnails, and what kind of file bytes are."""

from __future__ import annotations

import base64
import importlib.util
import io
import struct
import warnings
from dataclasses import dataclass
from typing import Any

__all__ = ["Thumbnail", "array_thumbnail", "sniff_media_type", "thumbnail"]

_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"BM", "image/bmp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\x93NUMPY", "application/x-npy"),
)
_PILLOW_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
}
_SIDE_PIXELS = 160
_ARRAY_SIDES = range(8, 8193)
_ARRAY_CHANNELS = (3, 4)
_TINY_PIXELS = 80
"""Arrays below half of it are shown enlarged, each element a square."""
_MAX_PIXELS = 64_000_000
"""Larger pictures are described, not decoded: decoding takes 4 bytes of memory per pixel."""
_ORIENTATION = 0x0112
_LYING = range(5, 9)
"""Orientations of EXIF in which rows are columns."""
_MAX_EMBEDDED_BYTES = 32 * 1024
_MAX_PNG_BYTES = 12 * 1024
"""A thumbnail that needs more as PNG is a photograph, and smaller as JPEG."""
# What Pillow's decoders raise at malformed files; it has no one class for it.
_MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture, and the size of the one that it stands for where that is known."""

    media_type: str
    base64_data: str
    size_pixels: tuple[int, int] | None
    side_pixels: int = _SIDE_PIXELS
    """Neither side of the small picture is longer."""


def sniff_media_type(head: bytes) -> str | None:
    """Return the media type that the first bytes of a file show, or None.

    Examples
    --------
    >>> sniff_media_type(b"%PDF-1.7"), sniff_media_type(b"hello")
    ('application/pdf', None)
    """
    for offset, signature, media_type in _SIGNATURES:
        if head.startswith(signature, offset):
            return media_type
    return None


def thumbnail(data: bytes, media_type: str, *, side_pixels: int | None = None) -> Thumbnail | None:
    """Return a small version of a picture; None where it is none, is broken or is too large.

    Without Pillow a PNG or JPEG below 32 KiB stands for itself.

    Parameters
    ----------
    side_pixels
        The longest side of the small version; None: 160.
    """
    name = _PILLOW_FORMATS.get(media_type)
    if name is None:
        return None
    if importlib.util.find_spec("PIL") is not None:
        return _with_pillow(data, name, side_pixels or _SIDE_PIXELS)
    if media_type in ("image/png", "image/jpeg") and len(data) < _MAX_EMBEDDED_BYTES:
        return Thumbnail(
            media_type=media_type, base64_data=base64.b64encode(data).decode(), size_pixels=None
        )
    return None


def array_thumbnail(array: Any) -> Thumbnail | None:
    """Return a small picture of an array that looks like one; None where it doesn't.

    A picture is uint8[height, width] (grey), with 3 channels behind (RGB) or 4 (RGBA), and has
    between 8 and 8192 pixels a side. Only as many of its pixels are read as are shown, or a few
    times that. Pillow is needed.
    """
    is_grey, is_coloured = array.ndim == 2, array.ndim == 3 and array.shape[2] in _ARRAY_CHANNELS
    if array.dtype.name != "uint8" or not (is_grey or is_coloured):
        return None
    height, width = array.shape[:2]
    if height not in _ARRAY_SIDES or width not in _ARRAY_SIDES:
        return None
    if importlib.util.find_spec("PIL") is None:
        return None
    import numpy as np
    from PIL import Image

    step = max(1, max(height, width) // (2 * _SIDE_PIXELS))
    picture = Image.fromarray(np.ascontiguousarray(array[::step, ::step]))
    picture.thumbnail((_SIDE_PIXELS, _SIDE_PIXELS))
    scale = _TINY_PIXELS // max(picture.size)
    if scale > 1:
        picture = picture.resize(
            (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
        )
    return _encode(picture, (width, height), _SIDE_PIXELS)


def _with_pillow(data: bytes, name: str, side_pixels: int) -> Thumbnail | None:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes that are bounded here already
        try:
            with Image.open(io.BytesIO(data), formats=[name]) as picture:
                size = picture.size
                if size[0] * size[1] > _MAX_PIXELS:
                    return None
                picture.draft("RGB", (side_pixels, side_pixels))
                picture.thumbnail((side_pixels, side_pixels))
                small = ImageOps.exif_transpose(picture)
                if picture.getexif().get(_ORIENTATION, 1) in _LYING:
                    size = size[::-1]
                return _encode(_eight_bit(small), size, side_pixels)
        except (*_MALFORMED, Image.DecompressionBombError):
            return None


def _eight_bit(picture: Any) -> Any:
    """Return a picture of 16 bits per pixel with 8: conversion would cut off what is bright."""
    if not picture.mode.startswith("I"):
        return picture
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(picture).clip(0, 65535) >> 8).astype(np.uint8))


def _encode(picture: Any, size: tuple[int, int], side_pixels: int) -> Thumbnail:
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    small = picture.convert("RGBA" if transparent else "RGB")
    media_type, encoded = "image/png", _saved(small, format="PNG", optimize=True)
    if len(encoded) > _MAX_PNG_BYTES:
        if transparent:  # JPEG has no transparency: the picture goes onto a neutral ground
            ground = small.copy()
            ground.paste((128, 128, 128, 255), (0, 0, *small.size))
            ground.alpha_composite(small)
            small = ground.convert("RGB")
        media_type, encoded = "image/jpeg", _saved(small, format="JPEG", quality=80)
        if len(encoded) > _MAX_EMBEDDED_BYTES:  # noise, which nobody needs in detail
            encoded = _saved(small, format="JPEG", quality=30)
    return Thumbnail(
        media_type=media_type,
        base64_data=base64.b64encode(encoded).decode(),
        size_pixels=size,
        side_pixels=side_pixels,
    )


def _saved(picture: Any, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, **options)
    return target.getvalue()
