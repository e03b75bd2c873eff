"""The axes of a tensor in the order that a model wants, and in the one that media are worked on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from norman_codec.faults import MediaFault
from norman_protocol.media import Layout, Modality
from norman_protocol.signature import layout_shape

__all__ = ["as_canonical", "empty_tensor", "flatten", "unflatten"]

Array: TypeAlias = NDArray[Any]


def empty_tensor(axes: str, sizes: dict[str, int], dtype: str) -> Array:
    """Return a tensor, not filled yet, with an axis per letter.

    Examples
    --------
    >>> empty_tensor("NCHW", {"N": 1, "C": 3, "H": 4, "W": 5}, "float32").shape
    (1, 3, 4, 5)
    """
    return np.empty([sizes[axis] for axis in axes], dtype)


def as_canonical(tensor: Array, axes: str, order: str) -> Array:
    """Return a view with the axes in another order; axes that the tensor lacks have the size 1.

    Examples
    --------
    >>> as_canonical(np.zeros((3, 4, 5)), "CHW", "NHWC").shape
    (1, 4, 5, 3)
    """
    held = [axis for axis in order if axis in axes]
    view = tensor.transpose([axes.index(axis) for axis in held])
    return np.expand_dims(view, [place for place, axis in enumerate(order) if axis not in axes])


def flatten(tensor: Array, layout: Layout) -> Array:
    """Return a tensor as its layout wants it: with one axis after N, where it says so."""
    if not layout.flatten:
        return tensor
    return tensor.reshape((1, -1) if layout.axes.startswith("N") else (-1,))


def unflatten(tensor: Array, layout: Layout, modality: Modality) -> Array:
    """Return a tensor with the axes of its layout.

    Raises
    ------
    MediaFault
        Its shape is another one, or has nothing in it.
    """
    wanted = layout_shape(modality, layout)
    if not _fits(tensor.shape, wanted):
        sizes = ",".join("?" if size is None else str(size) for size in wanted)
        given = ",".join(map(str, tensor.shape))
        raise MediaFault(
            f"is to be [{sizes}] (axes {layout.axes}), and the model gave [{given}]. Declare the "
            "layout that it gives, or change what it gives.",
            received=f"{tensor.dtype}[{given}]",
        )
    if layout.flatten:
        tensor = tensor.reshape(_sizes(tensor.size, layout, modality))
    if not tensor.size:
        raise MediaFault(f"is empty: the model gave a tensor of the shape {list(tensor.shape)}.")
    return tensor


def _fits(given: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(given) == len(wanted) and all(
        size in (None, actual) for actual, size in zip(given, wanted, strict=True)
    )


def _sizes(count: int, layout: Layout, modality: Modality) -> list[int]:
    """Return the sizes of the axes that were made into one: all but one of them must be known."""
    sizes = list(layout_shape(modality, replace(layout, flatten=False)))
    known = math.prod(size for size in sizes if size is not None)
    open_axes = [axis for axis, size in zip(layout.axes, sizes, strict=True) if size is None]
    if len(open_axes) > 1 or count % known or (not open_axes and count != known):
        raise MediaFault(
            f"has {count} elements in one axis, and the sizes of {' and '.join(open_axes)} can't "
            "be told from that. Declare height and width (or mono=true) in its layout."
        )
    return [count // known if size is None else size for size in sizes]
