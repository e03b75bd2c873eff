"""Encodings that people use for text, images, sound and video, and how a model takes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from norman_protocol.errors import ConfigurationInvalid

__all__ = [
    "ENCODINGS",
    "FILES",
    "MEDIA",
    "Encoding",
    "Layout",
    "MediaLimits",
    "Modality",
    "Resize",
    "check_layout",
    "default_layout",
    "encoding_named",
    "media_type_of",
]


class Modality(enum.Enum):
    """What a parameter is to a person."""

    TENSOR = "tensor"
    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    JSON = "json"
    FILE = "file"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


MEDIA = frozenset({Modality.IMAGE, Modality.AUDIO, Modality.VIDEO})
"""Modalities that a codec turns from a file into a tensor, and back."""

FILES = MEDIA | {Modality.FILE}
"""Modalities whose values are files to those who have them."""

Resize: TypeAlias = Literal["stretch", "fit", "cover"]
"""How another size becomes the one that is taken: distorted; whole, with bars; cut to fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A file format or text encoding that a value may travel in.

    Attributes
    ----------
    name
        As users write it, in small letters.
    media_type
        For browsers and HTTP.
    suffix
        What names of such files end in.
    """

    name: str
    modality: Modality
    media_type: str
    suffix: str


def _encodings(modality: Modality, *rows: tuple[str, str, str]) -> dict[str, Encoding]:
    return {
        name: Encoding(name=name, modality=modality, media_type=media_type, suffix=suffix)
        for name, media_type, suffix in rows
    }


ENCODINGS: dict[str, Encoding] = {
    **_encodings(
        Modality.IMAGE,
        ("png", "image/png", ".png"),
        ("jpeg", "image/jpeg", ".jpg"),
        ("webp", "image/webp", ".webp"),
    ),
    **_encodings(
        Modality.AUDIO,
        ("wav", "audio/wav", ".wav"),
        ("flac", "audio/flac", ".flac"),
        ("mp3", "audio/mpeg", ".mp3"),
        ("aac", "audio/aac", ".aac"),
        ("ac3", "audio/ac3", ".ac3"),
        ("opus", "audio/ogg", ".opus"),
        ("vorbis", "audio/ogg", ".ogg"),
    ),
    **_encodings(
        Modality.VIDEO,
        ("mp4", "video/mp4", ".mp4"),
        ("mov", "video/quicktime", ".mov"),
        ("avi", "video/x-msvideo", ".avi"),
        ("matroska", "video/x-matroska", ".mkv"),
        ("webm", "video/webm", ".webm"),
        ("ogg", "video/ogg", ".ogv"),
    ),
    **_encodings(
        Modality.TEXT,
        ("txt", "text/plain", ".txt"),
        ("utf8", "text/plain", ".txt"),
        ("utf16", "text/plain", ".txt"),
        ("srt", "application/x-subrip", ".srt"),
        ("vtt", "text/vtt", ".vtt"),
        ("ass", "text/x-ssa", ".ass"),
    ),
    **_encodings(Modality.INTEGER, ("integer", "application/json", ".json")),
    **_encodings(Modality.FLOAT, ("float", "application/json", ".json")),
    **_encodings(Modality.BOOLEAN, ("boolean", "application/json", ".json")),
    **_encodings(Modality.JSON, ("json", "application/json", ".json")),
    **_encodings(Modality.TENSOR, ("tensor", "application/octet-stream", ".npy")),
    **_encodings(Modality.FILE, ("file", "application/octet-stream", "")),
}
"""Every encoding by its name."""

_ALIASES = {
    "jpg": "jpeg",
    "utf-8": "utf8",
    "utf-16": "utf16",
    "text": "utf8",
    "mkv": "matroska",
    "ogv": "ogg",
    "int": "integer",
    "number": "float",
    "bool": "boolean",
    "wave": "wav",
    "binary": "file",
}


def encoding_named(name: str, modality: Modality | None = None) -> Encoding:
    """Return the encoding of a name, in whatever letters and with its common other spellings.

    Parameters
    ----------
    modality
        What it must be an encoding of; None takes any.

    Raises
    ------
    ConfigurationInvalid
        There is none of that name for that modality; the message names the nearest.

    Examples
    --------
    >>> encoding_named("JPG").name, encoding_named("utf-8").modality
    ('jpeg', <Modality.TEXT: 'text'>)
    """
    known = name.strip().lower()
    found = ENCODINGS.get(_ALIASES.get(known, known))
    if found is not None and modality in (None, found.modality):
        return found
    names = [one.name for one in ENCODINGS.values() if modality in (None, one.modality)]
    of = "" if modality is None else f" of {modality.value}"
    nearest = get_close_matches(known, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"There are {', '.join(names)}."
    raise ConfigurationInvalid(
        f"There is no encoding {name[:60]!r}{of}. {hint}", field="data_encoding", nearest=nearest
    )


def media_type_of(encoding: str | None) -> str:
    """Return the media type that browsers know an encoding by.

    Examples
    --------
    >>> media_type_of("png"), media_type_of(None)
    ('image/png', 'application/octet-stream')
    """
    known = ENCODINGS.get(encoding or "")
    return known.media_type if known is not None else "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tensor that an image, a sound or a video is to the model.

    Attributes
    ----------
    dtype
        A name of `norman_protocol.tensors.DTYPES`: a float, or an integer type up to 32 bits.
    axes
        One letter per axis, in their order. N: a batch of one; H, W: rows and columns; C: channels
        of an image or of a sound; T: samples of a sound, frames of a video.
    channels
        For images and video: RGB, BGR, RGBA, BGRA or L (grey).
    low, high
        What black and white are (silence is the middle: sounds reach from low to high).
    height, width
        The only size that the model takes; None takes any.
    resize
        How another size becomes that one; None refuses it.
    flatten
        Whether the axes after N (all, without it) become one.
    mean, std
        Taken away from, and divided by, after low and high apply: one number per channel.
    sample_rate, mono
        For sounds: the only rate, in Hz, resampled to (None: any), and whether channels are mixed
        into one. None keeps them.
    frame_rate
        For video: the only rate, in frames per second; None keeps every frame.
    """

    dtype: str = "float32"
    axes: str = "NCHW"
    channels: str = "RGB"
    low: float = 0.0
    high: float = 1.0
    height: int | None = None
    width: int | None = None
    resize: Resize | None = None
    flatten: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    sample_rate: int | None = None
    mono: bool = False
    frame_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What a file may become at most, checked before memory is taken.

    Attributes
    ----------
    pixels
        Of an image, or of one frame.
    seconds
        Of a sound or a video.
    decoded_bytes
        Of the tensor, and of what the decoder holds.
    """

    pixels: int = 64_000_000
    seconds: float = 600.0
    decoded_bytes: int = 1 << 30


_DEFAULTS = {
    Modality.IMAGE: Layout(),
    Modality.AUDIO: Layout(axes="CT", low=-1.0, high=1.0),
    Modality.VIDEO: Layout(axes="TCHW"),
}

_AXES = {
    Modality.IMAGE: ({"H", "W"}, {"N", "C"}),
    Modality.AUDIO: ({"T"}, {"N", "C"}),
    Modality.VIDEO: ({"T", "H", "W"}, {"N", "C"}),
}
_CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "L": 1}
_DTYPES = {
    "float16": None,
    "float32": None,
    "float64": None,
    "uint8": 8,
    "int8": 8,
    "uint16": 16,
    "int16": 16,
    "int32": 32,
}


def default_layout(modality: Modality) -> Layout:
    """Return how a medium comes to a model where nothing is declared.

    Examples
    --------
    >>> default_layout(Modality.IMAGE).axes, default_layout(Modality.AUDIO).axes
    ('NCHW', 'CT')
    """
    return _DEFAULTS[modality]


def check_layout(modality: Modality, layout: Layout, name: str) -> None:
    """Refuse a layout that no codec can follow.

    Parameters
    ----------
    name
        The parameter's, for the message.

    Raises
    ------
    ConfigurationInvalid
        It contradicts itself, or holds what this modality doesn't have.
    """
    for fault in (
        _axes_fault(modality, layout),
        _range_fault(layout),
        _channels_fault(modality, layout),
        _size_fault(modality, layout),
    ):
        if fault is not None:
            raise ConfigurationInvalid(f"The layout of {name!r}: {fault}.", field=name)


def _axes_fault(modality: Modality, layout: Layout) -> str | None:
    needed, allowed = _AXES[modality]
    letters = set(layout.axes)
    if len(letters) != len(layout.axes) or not needed <= letters <= needed | allowed:
        return (
            f"the axes of {modality.value} are {', '.join(sorted(needed))}, and maybe "
            f"{' and '.join(sorted(allowed))}, each once, such as {_DEFAULTS[modality].axes}; "
            f"not {layout.axes!r:.40}"
        )
    if layout.flatten and "N" in layout.axes[1:]:
        return f"to flatten, N must come first, not as in {layout.axes}"
    if "C" not in letters and (layout.channels != "L" and modality is not Modality.AUDIO):
        return f"without the axis C there is one channel: say channels='L', not {layout.channels!r}"
    if "C" not in letters and modality is Modality.AUDIO and not layout.mono:
        return "without the axis C there is one channel: say mono=true"
    return None


def _range_fault(layout: Layout) -> str | None:
    if layout.dtype not in _DTYPES:
        return f"dtype {layout.dtype!r:.40} is none of {', '.join(_DTYPES)}"
    if not layout.low < layout.high:
        return f"low ({layout.low:g}) must be below high ({layout.high:g})"
    if any(part == 0 for part in layout.std):
        return "std must not hold a 0"
    bits = _DTYPES[layout.dtype]
    if bits is None:
        return None
    lowest, highest = (
        (0, 2**bits - 1)
        if layout.dtype.startswith("u")
        else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    if layout.mean or layout.std:
        return f"mean and std need a float dtype, not {layout.dtype}"
    if layout.low < lowest or layout.high > highest:
        return f"{layout.dtype} holds {lowest} to {highest}, not {layout.low:g} to {layout.high:g}"
    return None


def _channels_fault(modality: Modality, layout: Layout) -> str | None:
    if modality is Modality.AUDIO:
        return "mean and std are for images and video" if layout.mean or layout.std else None
    count = _CHANNELS.get(layout.channels)
    if count is None:
        return f"channels {layout.channels!r:.40} are none of {', '.join(_CHANNELS)}"
    for what, numbers in (("mean", layout.mean), ("std", layout.std)):
        if numbers and len(numbers) not in (1, count):
            return f"{what} has {len(numbers)} numbers for {count} channels"
    return None


_SIZES = ("height", "width", "sample_rate", "frame_rate")
_MOST_OF_A_SIZE: Final = 1 << 20


def _size_fault(modality: Modality, layout: Layout) -> str | None:
    for size in _SIZES:
        given = getattr(layout, size)
        if given is not None and not 0 < given <= _MOST_OF_A_SIZE:
            return f"{size} must be above 0 and at most {_MOST_OF_A_SIZE}, not {given}"
    default = _DEFAULTS[modality]
    foreign = (
        ("height", "width", "resize", "frame_rate")
        if modality is Modality.AUDIO
        else ("sample_rate", "mono", *(("frame_rate",) if modality is Modality.IMAGE else ()))
    )
    for field in fields(layout):
        if field.name in foreign and getattr(layout, field.name) != getattr(default, field.name):
            return f"{modality.value} has no {field.name}"
    if layout.resize is not None and (layout.height is None or layout.width is None):
        return "resize needs both height and width"
    return None
