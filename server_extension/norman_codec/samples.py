"""Samples of sound into the numbers that a model takes, and back: range, channels, axes.

Samples are floats from -1 to 1 with the axes channel and time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from norman_codec.axes import as_canonical, empty_tensor, flatten, unflatten
from norman_codec.faults import MediaFault
from norman_codec.pixels import check_numbers
from norman_protocol.media import Layout, Modality

__all__ = ["float_type", "samples_to_tensor", "tensor_to_samples"]

Array: TypeAlias = NDArray[Any]

_ORDER = "NCT"


def float_type(layout: Layout) -> type[np.floating[Any]]:
    """Return the type to work in: float32 holds 24 bits exactly, and a sound seldom more."""
    return np.float64 if layout.dtype in ("float64", "int32") else np.float32


def samples_to_tensor(samples: Array, layout: Layout) -> Array:
    """Return the tensor of a layout. The samples may be written into.

    Examples
    --------
    >>> layout = Layout(axes="T", mono=True, dtype="int16", low=-32768, high=32767)
    >>> samples_to_tensor(np.array([[0.5, -1.0]], np.float32), layout).tolist()
    [16384, -32768]
    """
    if layout.mono and len(samples) > 1:
        samples = samples.mean(axis=0, keepdims=True, dtype=samples.dtype)
    middle, half = _scale(layout)
    if half != 1.0:
        samples *= half
    if middle != 0.0:
        samples += middle
    if layout.dtype.startswith(("int", "uint")):
        np.rint(samples, out=samples)
        # float32 has no number between 2**31 - 128 and 2**31: int32 comes as float64 here.
        samples.clip(layout.low, layout.high, out=samples)
    channels, count = samples.shape
    tensor = empty_tensor(layout.axes, {"N": 1, "C": channels, "T": count}, layout.dtype)
    as_canonical(tensor, layout.axes, _ORDER)[0] = samples
    return flatten(tensor, layout)


def tensor_to_samples(tensor: Array, layout: Layout) -> Array:
    """Return the samples of a tensor that a model gave: channel and time, within -1 and 1.

    Raises
    ------
    MediaFault
        The tensor isn't of the shape or of the kind of number that the layout says, has no
        samples, or holds NaN.
    """
    check_numbers(tensor, layout)
    shaped = unflatten(tensor, layout, Modality.AUDIO)
    view = as_canonical(shaped, layout.axes, _ORDER)[0]
    wide = view.dtype.itemsize > 4 or view.dtype == np.int32
    samples: Array = view.astype(np.float64 if wide else np.float32, order="C")
    if np.isnan(samples).any():
        raise MediaFault("holds NaN, which is no sound. Look for a division by zero in the model.")
    middle, half = _scale(layout)
    with np.errstate(over="ignore"):  # what is beyond all numbers is clamped as well
        if middle != 0.0:
            samples -= middle
        if half != 1.0:
            samples /= half
    return np.clip(samples, -1.0, 1.0, out=samples)


def _scale(layout: Layout) -> tuple[float, float]:
    """Return silence, and how far the loudest is from it.

    A range of whole numbers with one more below than above, as 16 bits have it, is that of PCM: its
    silence is a whole number, and its highest is one step below full.
    """
    low, high = layout.low, layout.high
    if layout.dtype.startswith(("int", "uint")) and (low + high) % 2 == 1:
        high += 1
    return (low + high) / 2, (high - low) / 2
