"""Images: PNG, JPEG and WebP into tensors, and back (Pillow).

What is transparent is put on white where the model takes no alpha channel. Of animations the first
picture is taken. Colour profiles are not applied, as no common training pipeline does.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from norman_codec.bounds import check_decoded, check_pixels, tensor_bytes
from norman_codec.faults import MediaFault
from norman_codec.pictures import ALPHA_CHANNELS, flatten_alpha, resize
from norman_codec.pixels import PixelReader, PixelWriter
from norman_codec.sniffing import identify
from norman_protocol.frames import Buffer
from norman_protocol.media import Layout, MediaLimits, Modality

__all__ = ["decode_image", "encode_image"]

Array: TypeAlias = NDArray[Any]

# Not Image.open: it would look for other formats too, and opens WebP before its size is known.
_READERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
}
# What Pillow raises of bytes that are broken, by its readers' own account and by Hypothesis.
_READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP_MODES = ("I;16", "I;16B", "I")
_DEEP_PEAK = 65_535
_PILLOW_PIXEL_BYTES = 4
_STRIP_ELEMENTS = 1 << 22


def decode_image(content: Buffer, layout: Layout, limits: MediaLimits) -> Array:
    """Return the tensor of an image file.

    Its EXIF orientation is applied. Grey of 16 bits keeps its full depth; colours of 16 bits per
    channel come as 8, which is what Pillow reads of them.

    Raises
    ------
    MediaFault
        The bytes are no such file, are cut off or broken, or become more than the limits allow; or
        the image is of another size than the layout takes.
    """
    picture = _open(content, limits)
    width, height = picture.size
    held_bytes = width * height * _PILLOW_PIXEL_BYTES
    check_decoded(held_bytes + tensor_bytes(layout, height, width), limits)
    try:
        picture.load()
    except _READ_ERRORS as error:
        raise _broken(picture.format or "image", error) from error
    upright = _upright(picture)
    deep = upright.mode in _DEEP_MODES
    plain = upright if deep else flatten_alpha(upright, layout.channels)
    return _read_rows(resize(plain, layout), layout, deep=deep)


def _open(content: Buffer, limits: MediaLimits) -> ImageFile.ImageFile:
    """Read a file's header, and no more."""
    found = identify(content)
    reader = _READERS.get(found.name)
    if reader is None:
        raise MediaFault(
            f"is {found.description}, not a PNG, JPEG or WebP image. Convert it to one of them.",
            received=found.description,
        )
    head = bytes(memoryview(content).cast("B")[:30])
    if found.name == "webp":
        check_pixels(*_webp_size(head), limits)
    try:
        picture = reader(BytesIO(content))
    except _READ_ERRORS as error:
        raise _broken(found.description.split()[1], error) from error
    check_pixels(*picture.size, limits)
    return picture


def _broken(name: str, error: Exception) -> MediaFault:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    cut = "truncated" in reason or isinstance(error, EOFError)
    what = "is cut off" if cut else "is damaged"
    return MediaFault(
        f"{what}: {name.upper()} data ends or breaks where more is due ({reason}). "
        "Save or fetch it again.",
        received=f"{name.upper()} data that {what}",
    )


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height from the first 30 bytes, since Pillow takes memory when it opens.

    The format is described in RFC 9649; a lossy frame's header in RFC 6386, section 9.1.
    """
    kind = head[12:16]
    if kind == b"VP8X" and len(head) == 30:
        return (
            int.from_bytes(head[24:27], "little") + 1,
            int.from_bytes(head[27:30], "little") + 1,
        )
    if kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(head) == 30:
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise MediaFault("is a WebP image whose header is cut off or damaged. Save or fetch it again.")


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as the camera was held. EXIF that can't be read says nothing of that."""
    orientation = 1
    with contextlib.suppress(*_READ_ERRORS):
        orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _read_rows(picture: Image.Image, layout: Layout, *, deep: bool) -> Array:
    """Put a picture into a tensor strip by strip: never a second copy of the whole."""
    width, height = picture.size
    writer = PixelWriter(layout, height=height, width=width)
    rows = max(1, _STRIP_ELEMENTS // width)
    for row in range(0, height, rows):
        strip = np.asarray(picture.crop((0, row, width, min(row + rows, height))))
        if deep and layout.channels in ALPHA_CHANNELS:
            grey = strip.clip(0, _DEEP_PEAK).astype(np.uint16)
            strip = np.dstack([grey, grey, grey, np.full_like(grey, _DEEP_PEAK)])
        elif deep:
            strip = strip.clip(0, _DEEP_PEAK)
        writer.write(strip, peak=_DEEP_PEAK if deep else 255, row=row)
    return writer.finish()


_WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    # Level 3 writes photographs in half the time of Pillow's 6, and an eighth larger.
    "png": {"format": "PNG", "compress_level": 3},
    "jpeg": {"format": "JPEG", "quality": 95},
    "webp": {"format": "WEBP", "quality": 90},
}


def encode_image(tensor: Array, layout: Layout, encoding: str) -> bytes:
    """Return the file of an image that a model gave, clamped to black and white.

    A layout of uint16 and one channel becomes a PNG of 16 bits; all else has 8. JPEG, which has no
    transparency, is put on white.

    Raises
    ------
    MediaFault
        The tensor isn't of its layout, is empty, holds NaN, or is too large for the format.
    """
    reader = PixelReader(tensor, layout, Modality.IMAGE)
    deep = encoding == "png" and layout.channels == "L" and layout.dtype == "uint16"
    pixels = reader.read(peak=_DEEP_PEAK if deep else 255)
    picture = Image.fromarray(pixels)
    if encoding == "jpeg":
        picture = flatten_alpha(picture, "RGB" if layout.channels != "L" else "L")
    target = BytesIO()
    try:
        picture.save(target, **_WRITE_OPTIONS[encoding])
    except (OSError, ValueError) as error:
        raise MediaFault(
            f"of {reader.width:,} by {reader.height:,} pixels can't be written as {encoding}: "
            f"{error}. Use png, which takes every size."
        ) from error
    return target.getvalue()
