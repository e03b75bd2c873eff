"""Files of sound and video, opened with the formats and codecs that are meant (PyAV).

FFmpeg knows formats that name further files and addresses. So the content, not FFmpeg, decides
which of its formats reads a file, and nothing but that file's bytes can be opened.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from norman_codec.faults import MediaFault
from norman_codec.sniffing import identify
from norman_protocol.errors import RuntimeMissing
from norman_protocol.frames import Buffer, buffer_bytes
from norman_protocol.media import MediaLimits, Modality

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

__all__ = ["encoder", "find_stream", "open_media", "require", "writing"]

_FORMATS = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "aac": "aac",
    "ac3": "ac3",
    "ogg": "ogg",
    "mov": "mov",
    "avi": "avi",
    "matroska": "matroska",
}
_TEXT_CODECS = ("mov_text", "subrip", "ass", "ssa", "webvtt", "text")
_CODECS: dict[str, tuple[str, ...]] = {
    "audio": (
        *(f"pcm_{kind}" for kind in ("alaw", "mulaw", "u8", "s8", "s16le", "s16be", "s24le")),
        *(f"pcm_{kind}" for kind in ("s24be", "s32le", "s32be", "f32le", "f32be", "f64le")),
        *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
        *("flac", "alac", "mp3", "mp3float", "mp2", "mp2float", "aac", "ac3", "eac3"),
        *("opus", "libopus", "vorbis", "libvorbis"),
    ),
    "video": (
        *("h264", "hevc", "mpeg4", "h263", "msmpeg4", "msmpeg4v2", "mpeg1video", "mpeg2video"),
        *("vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "theora"),
        *("mjpeg", "prores", "ffv1", "huffyuv", "ffvhuff", "rawvideo", "png"),
    ),
}
_OPENED = ",".join((*_CODECS["audio"], *_CODECS["video"], *_TEXT_CODECS))
_MOST_STREAMS = 64


def require(package: Literal["av", "soundfile"]) -> Any:
    """Return a package of the extra ``media``.

    Raises
    ------
    RuntimeMissing
        It isn't installed here.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RuntimeMissing(
            f"Sound other than WAV, and video, need the package {package} in {sys.executable}: "
            'pip install "norman-jupyter[media]"',
            package=package,
            interpreter=sys.executable,
        ) from error


@contextmanager
def open_media(content: Buffer, wanted: Modality, limits: MediaLimits) -> Iterator[InputContainer]:
    """Open a file of sound or video; what goes wrong while it is read is a fault of the file.

    Raises
    ------
    MediaFault
        The bytes are no such file, or broken.
    RuntimeMissing
        PyAV isn't installed.
    """
    found = identify(content)
    form = _FORMATS.get(found.name)
    if form is None:
        raise MediaFault(
            f"is {found.description}, not {_KNOWN[wanted]}. Convert it to one of them.",
            received=found.description,
        )
    av = require("av")
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": form if form != "matroska" else "matroska,webm",
        "codec_whitelist": _OPENED,
        "max_streams": str(_MOST_STREAMS),
        "max_pixels": str(limits.pixels),
    }
    with _translated(found.description):
        container = av.open(BytesIO(content), "r", format=form, options=options)
        with container:
            _check_complete(container, buffer_bytes(content))
            yield container


_KNOWN = {
    Modality.AUDIO: "a WAV, FLAC, MP3, AAC, AC-3, Ogg, MP4 or Matroska sound",
    Modality.VIDEO: "an MP4, MOV, AVI, Matroska, WebM or Ogg video",
}


@contextmanager
def _translated(description: str) -> Iterator[None]:
    """Say what FFmpeg raises of broken bytes as a fault of the file."""
    av = require("av")
    try:
        yield
    except av.error.MemoryError as error:
        raise MediaFault(
            f"is {description} that takes too much memory. Make it smaller."
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise MediaFault(
            f"begins like {description}, and is cut off or damaged ({reason}). "
            "Save or fetch it again.",
            received=f"{description} that is damaged",
        ) from error


def _check_complete(container: InputContainer, size_bytes: int) -> None:
    """Refuse a file whose index tells of bytes that aren't there."""
    for stream in container.streams:
        index = stream.index_entries
        # The last entries lie furthest back, in all but contrived files.
        for entry in (index[place] for place in range(max(0, len(index) - 4), len(index))):
            if entry.size > 0 and entry.pos + entry.size > size_bytes:
                raise MediaFault(
                    f"is cut off: its index tells of {entry.pos + entry.size:,} bytes, and "
                    f"{size_bytes:,} are there. Save or fetch it again.",
                    received="a file that is cut off",
                )


def find_stream(container: InputContainer, kind: Literal["audio", "video"]) -> Any:
    """Return the first stream of a kind (its class in PyAV); a cover picture is no video.

    Raises
    ------
    MediaFault
        There is none, or its codec is none that is decoded here.
    """
    for stream in container.streams:
        if stream.type != kind or _is_cover(stream):
            continue
        codec = getattr(stream.codec_context, "name", None)
        if codec not in _CODECS[kind]:
            raise MediaFault(
                f"is coded as {codec or 'something unknown'}, which isn't decoded here. Convert "
                f"it to {'h264' if kind == 'video' else 'wav'}.",
                received=f"{kind} coded as {codec}",
            )
        return stream
    what = "no sound" if kind == "audio" else "no pictures"
    raise MediaFault(
        f"has {what}: in it {_describe_streams(container)}.",
        received=f"a file with {what}",
    )


def _is_cover(stream: Stream) -> bool:
    return require("av").stream.Disposition.attached_pic in stream.disposition


def _describe_streams(container: InputContainer) -> str:
    """Say what a container holds."""
    held = [
        "a cover picture" if _is_cover(stream) else f"{stream.type} ({_codec_name(stream)})"
        for stream in container.streams
    ]
    if not held:
        return "is nothing at all"
    return f"{'is' if len(held) == 1 else 'are'} {' and '.join(held[:4])} only"


def _codec_name(stream: Stream) -> str:
    codec = getattr(stream.codec_context, "codec", None)
    return "unknown" if codec is None else str(codec.canonical_name)


def encoder(names: Sequence[str]) -> str:
    """Return the first codec of several that this build of FFmpeg writes.

    Raises
    ------
    RuntimeMissing
        PyAV isn't installed, or has none of them.
    """
    av = require("av")
    for name in names:
        try:
            return str(av.codec.Codec(name, "w").name)
        except av.codec.codec.UnknownCodecError:
            continue
    raise RuntimeMissing(
        f"The package av in {sys.executable} was built without {' and '.join(names)}. Install the "
        "one from PyPI: pip install --force-reinstall --only-binary av av",
        package="av",
        interpreter=sys.executable,
    )


@contextmanager
def writing(encoding: str) -> Iterator[None]:
    """Say what FFmpeg raises while it writes as a fault of what is written.

    Raises
    ------
    MediaFault
        It refused the sizes, the rate or the channels.
    """
    av = require("av")
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaFault(
            f"can't be written as {encoding} in this size, rate and number of channels "
            f"({error.strerror}). Declare another encoding."
        ) from error
