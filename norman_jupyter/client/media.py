"""A picture, sound, video or encoded text that a model gave: its bytes, and what they are."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from norman_protocol.errors import InputInvalid, OutputInvalid
from norman_protocol.media import ENCODINGS, Layout, MediaLimits, Modality, media_type_of
from norman_protocol.signature import Parameter
from norman_protocol.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["Media", "read_media"]

_CODECS = {"utf16": "utf-16"}
_PILLOW_FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
_SAMPLED = {
    Modality.AUDIO: Layout(axes="CT", low=-1.0, high=1.0),
    Modality.VIDEO: Layout(axes="THWC", dtype="uint8", low=0, high=255),
}
_OTHER_SUFFIXES = {".jpeg": "jpeg", ".m4v": "mp4", ".oga": "vorbis", ".tif": "", ".tiff": ""}


class Media(bytes):
    r"""The bytes of a file, as the model's version wrote it; shows itself in a notebook.

    It is `bytes` in every respect: what takes bytes takes it, and it may be the input of another
    call.

    Parameters
    ----------
    data
        The file.
    encoding
        A name of `norman_protocol.media.ENCODINGS`.
    display_title
        Of the output that it is.

    Attributes
    ----------
    encoding, display_title
        As given.

    Examples
    --------
    >>> subtitles = Media(b"1\n00:00:00,000 --> 00:00:01,000\nHi\n", encoding="srt")
    >>> subtitles.modality.value, subtitles.media_type, len(subtitles)
    ('text', 'application/x-subrip', 35)
    """

    encoding: str
    display_title: str

    def __new__(cls, data: bytes, *, encoding: str, display_title: str = "") -> Self:
        """Raise ValueError where there is no such encoding."""
        if encoding not in ENCODINGS:
            raise ValueError(f"there is no encoding {encoding!r:.60}")
        media = super().__new__(cls, data)
        media.encoding, media.display_title = encoding, display_title
        return media

    def __getnewargs_ex__(self) -> tuple[tuple[bytes], dict[str, str]]:
        return (bytes(self),), {"encoding": self.encoding, "display_title": self.display_title}

    @property
    def modality(self) -> Modality:
        """What it is to a person."""
        return ENCODINGS[self.encoding].modality

    @property
    def media_type(self) -> str:
        """The type by which browsers and HTTP know it, such as ``image/png``."""
        return media_type_of(self.encoding)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file, in the place of one that is there, and return where it is.

        Parameters
        ----------
        path
            Without a suffix it gets that of the encoding.

        Raises
        ------
        OutputInvalid
            The suffix is that of another encoding: nothing is converted here.
        OSError
            It can't be written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Media(b"RIFF", encoding="wav").save(Path(folder, "louder")).name
        'louder.wav'
        """
        target = Path(path).expanduser()
        own = ENCODINGS[self.encoding].suffix
        suffix = target.suffix.lower()
        if own and suffix != own and _OTHER_SUFFIXES.get(suffix) != self.encoding:
            if suffix in _FOREIGN_SUFFIXES:
                raise OutputInvalid(
                    f"This is {self.encoding}, which {target.name!r} doesn't say: save it as "
                    f"{target.stem + own!r}. To convert an image, write .image().save(…).",
                    output=self.display_title,
                )
            target = target.with_name(target.name + own)
        target.write_bytes(self)
        return target

    def text(self) -> str:
        """Return the text that these bytes spell.

        Raises
        ------
        OutputInvalid
            They are no text, or not of the encoding.

        Examples
        --------
        >>> Media("ä".encode("utf-16"), encoding="utf16").text()
        'ä'
        """
        self._check(Modality.TEXT, "text", "characters")
        try:
            return self.decode(_CODECS.get(self.encoding, "utf-8-sig"))
        except UnicodeDecodeError as error:
            raise self._broken(f"is no {self.encoding}: {error}") from error

    def image(self) -> Image.Image:
        """Return the picture, decoded by Pillow.

        Raises
        ------
        OutputInvalid
            It is no image, is damaged, or so large that Pillow takes it for an attack.
        """
        self._check(Modality.IMAGE, "an image", "pixels")
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(io.BytesIO(self), formats=[_PILLOW_FORMATS[self.encoding]])
                picture.load()
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise self._broken(
                f"has too many pixels: {error} PIL.Image.MAX_IMAGE_PIXELS sets the limit."
            ) from error
        except (OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError) as error:
            raise self._broken(f"can't be decoded as {self.encoding}: {error}") from error
        return picture

    def array(self) -> NDArray[Any]:
        """Return the pixels or the samples.

        Returns
        -------
        ndarray
            Of an image uint8[height, width], with 3 or 4 channels behind; grey ones have no axis
            of channels (those of 16 bits keep them); those with a palette come as RGB or RGBA.
            Of a sound float32[channels, samples] from -1 to 1, of a video
            uint8[frames, height, width, 3]; `rate` tells how many a second.

        Raises
        ------
        OutputInvalid
            It is neither, is damaged, or so large that it looks like an attack.
        RuntimeMissing
            The encoding needs PyAV: ``pip install "norman-jupyter[media]"``.
        """
        if self.modality in _SAMPLED:
            return self._sampled()[0]
        import numpy as np

        picture = self.image()
        if picture.mode.startswith("I"):  # 16 bits per pixel, which uint8 can't hold
            return np.asarray(picture)
        if picture.mode not in ("L", "RGB", "RGBA"):
            picture = picture.convert(_plain_mode(picture))
        return np.asarray(picture)

    def rate(self) -> float:
        """Return samples per second of a sound, frames per second of a video.

        Raises
        ------
        OutputInvalid, RuntimeMissing
            As `array`.
        """
        if self.modality not in _SAMPLED:
            self._check(Modality.AUDIO, "a sound or a video", "rate")
        return self._sampled()[1]

    def _sampled(self) -> tuple[NDArray[Any], float]:
        from norman_codec.conversion import decode
        from norman_protocol.arrays import value_to_array, value_to_object

        layout = _SAMPLED[self.modality]
        parameter = Parameter(
            name=self.display_title,
            parameter="samples",
            rate_parameter="rate",
            modality=self.modality,
            encoding=self.encoding,
            layout=layout,
        )
        value = Value(kind="bytes", encoding=self.encoding, buffer=self)
        try:
            decoded = decode([parameter], {self.display_title: value}, MediaLimits())
        except InputInvalid as error:
            raise self._broken(f"can't be decoded as {self.encoding}: {error.message}") from error
        return value_to_array(decoded["samples"]), float(value_to_object(decoded["rate"]))

    def _check(self, modality: Modality, what: str, wanted: str) -> None:
        if self.modality is not modality:
            raise OutputInvalid(
                f"{self.display_title or 'This'!r} is {self.modality.value} ({self.encoding}), "
                f"not {what}: it has no {wanted}. Write it to a file with .save(path).",
                output=self.display_title,
            )

    def _broken(self, fault: str) -> OutputInvalid:
        return OutputInvalid(
            f"{self.display_title or 'This file'!r} {fault}", output=self.display_title
        )

    def __repr__(self) -> str:
        title = f", title={self.display_title!r}" if self.display_title else ""
        return f"<Media {self.encoding}, {len(self):,} bytes{title}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's signature; it filters by itself
        from norman_jupyter.previews import render_value

        return render_value(self.display_title, self)


_FOREIGN_SUFFIXES = frozenset(
    {encoding.suffix for encoding in ENCODINGS.values() if encoding.suffix} | set(_OTHER_SUFFIXES)
)


def read_media(value: Value, title: str) -> Media | None:
    """Return a value of known encoding as media; None where it is something else.

    Examples
    --------
    >>> read_media(Value(kind="bytes", encoding="png", buffer=b"..."), "Mirrored")
    <Media png, 3 bytes, title='Mirrored'>
    >>> read_media(Value(kind="bytes", encoding="of-tomorrow"), "y") is None
    True
    """
    if value.kind != "bytes" or value.encoding not in ENCODINGS:
        return None
    return Media(bytes(value.buffer), encoding=value.encoding, display_title=title)


def _plain_mode(picture: Image.Image) -> str:
    if picture.mode in ("1", "L"):
        return "L"
    return "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
