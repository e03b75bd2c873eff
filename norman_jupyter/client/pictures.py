"""Pictures as callers hold them, Pillow's images and arrays, as the files that models take."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

from norman_protocol.errors import InputInvalid
from norman_protocol.media import Modality
from norman_protocol.values import Value

__all__ = ["PictureInputs", "array_to_picture", "image_to_picture", "is_image", "is_picture_array"]

_LOSSLESS_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_CHANNELS = (3, 4)
# Any level loses nothing; higher ones take many times as long and save a tenth.
_COMPRESSION = 1
_ORIENTATION = 0x0112


class PictureInputs:
    """Which inputs are known to be images, so that arrays for them travel as files.

    What a call refers to may change, and its inputs with it: each refusal is learnt from.
    """

    def __init__(self) -> None:
        self._names: set[tuple[str, str]] = set()

    def of(self, reference: str) -> frozenset[str]:
        """Return the names of the known ones."""
        return frozenset(name for known, name in tuple(self._names) if known == reference)

    def learn(self, reference: str, error: InputInvalid, inputs: Mapping[str, Any]) -> bool:
        """Say whether the call is worth another try, with what its refusal tells."""
        if not is_picture_array(inputs.get(error.input)):
            return False
        key = (reference, error.input)
        takes_images = error.modality == Modality.IMAGE.value
        if takes_images == (key in self._names):
            return False
        if takes_images:
            self._names.add(key)
        else:
            self._names.discard(key)
        return True


def is_image(item: object) -> bool:
    """Whether an object is an image of Pillow, which isn't loaded to find out."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(item, module.Image)


def is_picture_array(item: object) -> bool:
    """Whether an object is an array of bytes that may be a picture: [H, W], or with 3 or 4 behind.

    Examples
    --------
    >>> import numpy as np
    >>> is_picture_array(np.zeros((8, 8, 3), np.uint8)), is_picture_array(np.zeros((8, 8)))
    (True, False)
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(item, numpy.ndarray) or item.dtype != numpy.uint8:
        return False
    is_coloured = item.ndim == 3 and item.shape[2] in _CHANNELS
    return bool(item.size) and (item.ndim == 2 or is_coloured)


def image_to_picture(image: Any, name: str) -> Value:
    """Encode an image of Pillow as PNG, upright, without loss.

    Raises
    ------
    InputInvalid
        Its mode is none that PNG holds as it is, or its file can't be decoded.
    """
    from PIL import ImageOps

    if image.mode not in _LOSSLESS_MODES:
        wanted = "RGBA" if "A" in image.getbands() or "a" in image.getbands() else "RGB"
        raise InputInvalid(
            f"Input {name!r} is an image of mode {image.mode}, which PNG doesn't hold as it is. "
            f"Convert it first, for example with .convert({wanted!r}).",
            input=name,
            received=f"image of mode {image.mode}",
        )
    try:
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        return _encode(image)
    except (OSError, ValueError, SyntaxError, EOFError, LookupError) as error:
        raise InputInvalid(
            f"Input {name!r} can't be encoded as PNG: {error}", input=name
        ) from error


def array_to_picture(array: Any, name: str) -> Value:
    """Encode an array for which `is_picture_array` holds as PNG: grey, RGB or RGBA.

    Raises
    ------
    InputInvalid
        Pillow isn't installed here.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputInvalid(
            f"Input {name!r} is an image: an array for it needs Pillow in {sys.executable}: "
            "pip install pillow",
            input=name,
        ) from error
    import numpy as np

    return _encode(Image.fromarray(np.ascontiguousarray(array)))


def _encode(image: Any) -> Value:
    target = io.BytesIO()
    options = {"transparency": image.info["transparency"]} if _is_keyed(image) else {}
    image.save(target, format="PNG", compress_level=_COMPRESSION, **options)
    return Value(kind="bytes", encoding="png", buffer=target.getvalue())


def _is_keyed(image: Any) -> bool:
    return "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
