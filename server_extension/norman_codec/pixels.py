"""Pixels into the numbers that a model takes, and back: range, normalisation, channels, axes.

Pixels are unsigned integers with the channels last, in the order red, green, blue, alpha; `peak` is
what full light is among them, 255 or 65,535.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from norman_codec.axes import as_canonical, empty_tensor, flatten, unflatten
from norman_codec.faults import MediaFault
from norman_protocol.media import Layout, Modality

__all__ = ["ORDER", "PixelReader", "PixelWriter", "check_numbers"]

Array: TypeAlias = NDArray[Any]

ORDER = "NTHWC"
"""How tensors of images and video are looked at here."""

_BLOCK_ELEMENTS = 1 << 18
"""What is converted at a time: large enough for NumPy, small enough for the processor's cache."""

_PLACES = {"RGB": (0, 1, 2), "BGR": (2, 1, 0), "RGBA": (0, 1, 2, 3), "BGRA": (2, 1, 0, 3)}


def _places(channels: str) -> tuple[int, ...]:
    """Return where each channel of a layout stands among red, green, blue and alpha."""
    return _PLACES.get(channels, (0,))


class PixelWriter:
    """A tensor in the layout that a model takes, filled with pixels row by row.

    Parameters
    ----------
    frames, height, width
        Its size; an image is one frame.
    """

    def __init__(self, layout: Layout, *, frames: int = 1, height: int, width: int) -> None:
        self._layout = layout
        sizes = {"N": 1, "T": frames, "H": height, "W": width, "C": len(_places(layout.channels))}
        self._tensor = empty_tensor(layout.axes, sizes, layout.dtype)
        self._view = as_canonical(self._tensor, layout.axes, ORDER)[0]

    def write(self, pixels: Array, *, peak: int, frame: int = 0, row: int = 0) -> None:
        """Put rows of pixels (H, W, C, or H, W for grey) into a frame, from a row on."""
        if pixels.ndim == 2:
            pixels = pixels[..., np.newaxis]
        height, width = pixels.shape[:2]
        target = self._view[frame, row : row + height]
        tables = _tables(self._layout, peak)
        step = max(1, _BLOCK_ELEMENTS // max(1, width))
        for channel, place in enumerate(_places(self._layout.channels)):
            # One channel of grey stands for all the colours.
            plane = pixels[..., min(place, pixels.shape[2] - 1)]
            for start in range(0, height, step):
                block = plane[start : start + step]
                out = target[start : start + step, :, channel]
                out[...] = block if tables is None else tables[channel].take(block)

    def finish(self) -> Array:
        """Return the tensor."""
        return flatten(self._tensor, self._layout)


@lru_cache(maxsize=32)
def _tables(layout: Layout, peak: int) -> Array | None:
    """Return what each level of light is to the model, a row per channel; None: itself.

    A look-up is as fast as the arithmetic, and rounds once only.
    """
    if layout.dtype.startswith(("int", "uint")) and layout.low == 0 and layout.high == peak:
        return None
    levels = layout.low + np.arange(peak + 1) / peak * (layout.high - layout.low)
    mean, std = _normalisation(layout)
    table = (levels - mean[:, np.newaxis]) / std[:, np.newaxis]
    if layout.dtype.startswith(("int", "uint")):
        table = np.rint(table)
    return table.astype(layout.dtype)


def _normalisation(layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = len(_places(layout.channels))
    mean, std = np.array(layout.mean or (0.0,)), np.array(layout.std or (1.0,))
    return np.broadcast_to(mean, count), np.broadcast_to(std, count)


class PixelReader:
    """Pixels out of a tensor that a model gave: the inverse of `PixelWriter`, clamped.

    Attributes
    ----------
    frames, height, width
        Its size; an image is one frame.

    Raises
    ------
    MediaFault
        The tensor isn't of the shape or of the kind of number that the layout says.
    """

    def __init__(self, tensor: Array, layout: Layout, modality: Modality) -> None:
        check_numbers(tensor, layout)
        self._layout = layout
        shaped = unflatten(tensor, layout, modality)
        self._view = as_canonical(shaped, layout.axes, ORDER)[0]
        self.frames, self.height, self.width = self._view.shape[:3]

    def read(self, frame: int = 0, *, peak: int = 255) -> Array:
        """Return the pixels of a frame: (H, W, C), or (H, W) where there is one channel.

        Raises
        ------
        MediaFault
            Some are no numbers (NaN).
        """
        source = self._view[frame]
        places = _places(self._layout.channels)
        dtype = np.uint8 if peak == 255 else np.uint16
        pixels = np.empty((self.height, self.width, len(places)), dtype)
        step = max(1, _BLOCK_ELEMENTS // self.width)
        for channel, place in enumerate(places):
            for start in range(0, self.height, step):
                rows = slice(start, start + step)
                pixels[rows, :, place] = self._levels(source[rows, :, channel], channel, peak)
        return pixels if len(places) > 1 else pixels[..., 0]

    def _levels(self, block: Array, channel: int, peak: int) -> Array:
        layout = self._layout
        if block.dtype.kind == "u" and layout.low == 0 and layout.high == peak:
            return np.minimum(block, peak)
        mean, std = _normalisation(layout)
        wide = block.dtype.itemsize > 4
        levels: Array = block.astype(np.float64 if wide else np.float32)
        with np.errstate(over="ignore"):  # what is beyond all numbers is clamped as well
            levels *= std[channel]
            levels += mean[channel] - layout.low
            levels *= peak / (layout.high - layout.low)
        if np.isnan(levels).any():
            raise MediaFault(
                "holds NaN, which is no light. Look for a division by zero in the model."
            )
        np.rint(levels, out=levels)
        return levels.clip(0, peak, out=levels)


def check_numbers(tensor: Array, layout: Layout) -> None:
    """Refuse numbers of another kind than a layout says: its range would mean something else.

    Raises
    ------
    MediaFault
        Whole numbers came where others were said, or the reverse, or no numbers at all.
    """
    whole = layout.dtype.startswith(("int", "uint"))
    if tensor.dtype.kind in ("iu" if whole else "f"):
        return
    raise MediaFault(
        f"is to be of {layout.dtype}, and the model gave {tensor.dtype}. Convert it in the model, "
        "or declare dtype, low and high as it gives them.",
        received=str(tensor.dtype),
    )
