"""What a file may become, checked before memory is taken."""

from __future__ import annotations

from math import prod

import numpy as np

from norman_codec.faults import MediaFault
from norman_protocol.media import Layout, MediaLimits

__all__ = ["check_decoded", "check_pixels", "check_seconds", "tensor_bytes"]


def check_pixels(width: int, height: int, limits: MediaLimits) -> None:
    """Refuse a picture of too many pixels, or of none.

    Raises
    ------
    MediaFault
        It has more than the limit.

    Examples
    --------
    >>> check_pixels(8_000, 6_000, MediaLimits())
    """
    if width < 1 or height < 1:
        raise MediaFault(f"has no pixels: it says that it is {width} by {height}.")
    if width * height > limits.pixels:
        raise MediaFault(
            f"has {width:,} by {height:,} pixels, which are {width * height / 1e6:,.0f} million; "
            f"{limits.pixels / 1e6:,.0f} million are allowed. Make it smaller.",
            received=f"{width} by {height} pixels",
        )


def tensor_bytes(layout: Layout, height: int, width: int, frames: int = 1) -> int:
    """Return the bytes of the tensor that pictures of a size become.

    Examples
    --------
    >>> tensor_bytes(Layout(), 2, 2)
    48
    """
    sizes = (frames, layout.height or height, layout.width or width, len(layout.channels))
    return prod(sizes) * np.dtype(layout.dtype).itemsize


def check_decoded(size_bytes: int, limits: MediaLimits) -> None:
    """Refuse what would take too much memory.

    Raises
    ------
    MediaFault
        It is more than the limit.
    """
    if size_bytes > limits.decoded_bytes:
        raise MediaFault(
            f"takes {size_bytes / 2**20:,.0f} MiB when it is decoded; "
            f"{limits.decoded_bytes / 2**20:,.0f} MiB are allowed. Send less of it, or make it "
            "smaller.",
            received=f"{size_bytes} bytes decoded",
        )


def check_seconds(seconds: float, limits: MediaLimits) -> None:
    """Refuse what lasts too long.

    Raises
    ------
    MediaFault
        It lasts longer than the limit.
    """
    if seconds > limits.seconds:
        raise MediaFault(
            f"lasts {seconds:,.1f} s; {limits.seconds:,.0f} s are allowed. Send a shorter part.",
            received=f"{seconds:.1f} s",
        )
