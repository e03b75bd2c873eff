"""Pictures, still or of a video, made what a model takes: alpha, channels, size (Pillow)."""

from __future__ import annotations

from PIL import Image, ImageOps

from norman_codec.faults import MediaFault
from norman_protocol.media import Layout

__all__ = ["ALPHA_CHANNELS", "flatten_alpha", "resize"]

ALPHA_CHANNELS = frozenset({"RGBA", "BGRA"})
"""Layouts that keep transparency."""


def flatten_alpha(picture: Image.Image, channels: str) -> Image.Image:
    """Return a picture in the mode for channels: RGBA, RGB or L; what is clear lies on white.

    Examples
    --------
    >>> flatten_alpha(Image.new("RGBA", (1, 1), (255, 0, 0, 0)), "RGB").getpixel((0, 0))
    (255, 255, 255)
    """
    if channels in ALPHA_CHANNELS:
        return _converted(picture, "RGBA")
    if picture.has_transparency_data:
        clear = _converted(picture, "RGBA")
        picture = Image.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear)
    return _converted(picture, "L" if channels == "L" else "RGB")


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


def resize(picture: Image.Image, layout: Layout) -> Image.Image:
    """Return a picture of the size that a layout takes, with antialiasing.

    ``stretch`` distorts, ``fit`` keeps all of it between black bars, ``cover`` cuts what stands out
    on both sides.

    Raises
    ------
    MediaFault
        It is of another size, and the layout says nothing of resizing.
    """
    width, height = layout.width or picture.width, layout.height or picture.height
    if picture.size == (width, height):
        return picture
    if layout.resize is None:
        raise MediaFault(
            f"is {picture.width:,} by {picture.height:,} pixels, and the model takes {width:,} by "
            f"{height:,}. Resize it, or declare resize as stretch, fit or cover.",
            received=f"{picture.width} by {picture.height} pixels",
        )
    bilinear = Image.Resampling.BILINEAR
    if layout.resize == "fit":
        return ImageOps.pad(picture, (width, height), bilinear, color=0)
    if layout.resize == "cover":
        return ImageOps.fit(picture, (width, height), bilinear)
    return picture.resize((width, height), bilinear)
