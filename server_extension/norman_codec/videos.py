"""Videos into tensors of frames with their rate, and back (PyAV). Their sound is left out.

Frames have 8 bits per channel. They are turned as the camera was held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from norman_codec.bounds import check_decoded, check_pixels, check_seconds, tensor_bytes
from norman_codec.containers import encoder, find_stream, open_media, require, writing
from norman_codec.faults import MediaFault
from norman_codec.pictures import ALPHA_CHANNELS, flatten_alpha, resize
from norman_codec.pixels import PixelReader, PixelWriter
from norman_protocol.frames import Buffer
from norman_protocol.media import Layout, MediaLimits, Modality

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["decode_video", "encode_video"]

Array: TypeAlias = NDArray[Any]

_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
_MOST_FRAMES_PER_S = 1000.0


def decode_video(content: Buffer, layout: Layout, limits: MediaLimits) -> tuple[Array, float]:
    """Return the tensor of a video file's frames, and their number per second.

    With a frame rate in the layout, each moment of it shows the frame that is to be seen then; else
    every frame of the file comes, and the rate is their mean.

    Raises
    ------
    MediaFault
        The bytes are no such file, are cut off or broken, hold no pictures, or become more than the
        limits allow; or the pictures are of another size than the layout takes.
    RuntimeMissing
        PyAV isn't installed.
    """
    with open_media(content, Modality.VIDEO, limits) as container:
        stream: VideoStream = find_stream(container, "video")
        stream.thread_type = "AUTO"
        rate = _rate(stream)
        _check_header(stream, rate, layout, limits)
        pictures = _collect(_shown(container.decode(stream), rate, layout, limits), layout, limits)
    if not pictures:
        raise MediaFault("has a video stream without any frame.", received="0 frames")
    height, width = pictures[0].shape[:2]
    writer = PixelWriter(layout, frames=len(pictures), height=height, width=width)
    pictures.reverse()
    for place in range(len(pictures)):
        writer.write(pictures.pop(), peak=255, frame=place)
    return writer.finish(), layout.frame_rate or rate


def _rate(stream: VideoStream) -> float:
    for told in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if told and 0 < told <= _MOST_FRAMES_PER_S:
            return float(told)
    raise MediaFault("doesn't say how many frames it has per second. Convert it to an MP4.")


def _check_header(stream: VideoStream, rate: float, layout: Layout, limits: MediaLimits) -> None:
    """Refuse, by what the header says, what would be refused later anyhow."""
    height, width = stream.codec_context.height, stream.codec_context.width
    check_pixels(width, height, limits)
    frames = stream.frames
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
        check_seconds(seconds, limits)
        if layout.frame_rate is not None or not frames:
            frames = math.floor(seconds * (layout.frame_rate or rate))
    check_decoded(tensor_bytes(layout, height, width, max(1, frames)), limits)


def _shown(
    frames: Iterator[VideoFrame], rate: float, layout: Layout, limits: MediaLimits
) -> Iterator[VideoFrame]:
    """Yield the frames to take, some of them several times or never where a rate is asked for."""
    shown: VideoFrame | None = None
    start, taken, last = 0.0, 0, 0.0
    for count, frame in enumerate(frames):
        time = frame.time if frame.time is not None else start + count / rate
        if shown is None:
            start = time
        last = time - start
        check_seconds(last, limits)
        check_pixels(frame.width, frame.height, limits)
        if layout.frame_rate is None:
            yield frame
        else:
            while shown is not None and taken / layout.frame_rate < last:
                yield shown
                taken += 1
        shown = frame
    if shown is not None and layout.frame_rate is not None:
        # The last one is to be seen for as long as a frame of this video mostly is.
        while taken / layout.frame_rate < last + 1 / rate - 1e-9:
            yield shown
            taken += 1


def _collect(frames: Iterator[VideoFrame], layout: Layout, limits: MediaLimits) -> list[Array]:
    """Return the pixels of frames in the size that the model takes, within the limits."""
    pictures: list[Array] = []
    pixel_bytes = np.dtype(layout.dtype).itemsize + 1
    for frame in frames:
        pixels = np.asarray(_picture(frame, layout))
        if pictures and pixels.shape != pictures[0].shape:
            raise MediaFault(
                "changes its size midway. Declare height, width and resize in the layout."
            )
        pictures.append(pixels)
        check_decoded(len(pictures) * pixels.size * pixel_bytes, limits)
    return pictures


def _picture(frame: VideoFrame, layout: Layout) -> Image.Image:
    clear = any(component.is_alpha for component in frame.format.components)
    picture = Image.fromarray(frame.to_ndarray(format="rgba" if clear else "rgb24"))
    turn = _TURNS.get(round(frame.rotation) % 360)
    upright = picture if turn is None else picture.transpose(turn)
    return resize(flatten_alpha(upright, layout.channels), layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """How PyAV writes an encoding: the first of the codecs that it was built with."""

    container: str
    codecs: tuple[str, ...]


_H264 = ("libx264", "libopenh264", "mpeg4")
_WRITERS = {
    "mp4": _Writer(container="mp4", codecs=_H264),
    "mov": _Writer(container="mov", codecs=_H264),
    "avi": _Writer(container="avi", codecs=("mpeg4",)),
    "matroska": _Writer(container="matroska", codecs=_H264),
    "webm": _Writer(container="webm", codecs=("libvpx-vp9", "libvpx")),
    # No build of FFmpeg that comes with PyAV writes Theora; players of Ogg know VP8 as well.
    "ogg": _Writer(container="ogg", codecs=("libtheora", "libvpx")),
}
# H.264 and VP9 say by which standard colours became brightness and difference, and players then
# don't guess it from the size. Of the others everyone assumes BT.601.
_BT709, _BT601, _STUDIO_RANGE = 1, 5, 1
_TELLING_CODECS = frozenset({"libx264", "libopenh264", "libvpx-vp9"})
_CODEC_OPTIONS = {
    "libx264": {"crf": "18", "preset": "veryfast"},
    "libopenh264": {"rc_mode": "quality"},
    "mpeg4": {"qscale": "2", "flags": "+qscale", "global_quality": str(2 * 118)},
    "libvpx-vp9": {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
    "libvpx": {"crf": "8", "b": "8M", "deadline": "good", "cpu-used": "4"},
}


def encode_video(tensor: Array, rate: float, layout: Layout, encoding: str) -> bytes:
    """Return the file of frames that a model gave, clamped to black and white.

    Written as every browser plays it: H.264 (MPEG-4 in AVI, VP9 in WebM, VP8 in Ogg) with half the
    resolution of colour. Sizes are made even by repeating the last row and column.

    Raises
    ------
    MediaFault
        The tensor isn't of its layout, is empty, or holds NaN.
    RuntimeMissing
        PyAV isn't installed.
    """
    if not 0 < rate <= _MOST_FRAMES_PER_S:
        raise MediaFault(
            f"is to have {rate:g} frames per second; above 0 and up to {_MOST_FRAMES_PER_S:g} can "
            "be."
        )
    av = require("av")
    reader = PixelReader(tensor, layout, Modality.VIDEO)
    writer = _WRITERS[encoding]
    codec = encoder(writer.codecs)
    target = BytesIO()
    with (
        writing(encoding),
        av.open(target, "w", format=writer.container) as container,
    ):
        # MPEG-4 counts time in 16 bits.
        exact_rate = Fraction(rate).limit_denominator(1001)
        stream = container.add_stream(codec, rate=exact_rate, options=_CODEC_OPTIONS[codec])
        stream.width = reader.width + reader.width % 2
        stream.height = reader.height + reader.height % 2
        stream.pix_fmt = "yuv420p"
        standard = _BT709 if codec in _TELLING_CODECS else _BT601
        if standard == _BT709:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _STUDIO_RANGE
        for place in range(reader.frames):
            pixels = _even(_colours(reader.read(place), layout))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=standard, dst_color_range=_STUDIO_RANGE
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def _colours(pixels: Array, layout: Layout) -> Array:
    if layout.channels in ALPHA_CHANNELS:
        return np.asarray(flatten_alpha(Image.fromarray(pixels), "RGB"))
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)


def _even(pixels: Array) -> Array:
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)
