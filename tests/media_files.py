"""Small files of media for tests, made where they are needed."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image


def image_file(picture: Any, form: str = "PNG", **options: Any) -> bytes:
    """Write an image (a Pillow image or an array)."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG from its chunks, however little they belong together."""
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def png_header(width: int, height: int, colours: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)


def wave_file(levels: np.ndarray, rate: int, bits: int = 16) -> bytes:
    """Write a WAV with the standard library; ``levels`` are integers by time and channel."""
    levels = levels if levels.ndim == 2 else levels[:, np.newaxis]
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(levels.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        raw = np.ascontiguousarray(levels.astype("<i4")).view(np.uint8).reshape(-1, 4)
        file.writeframes(raw[:, : bits // 8].tobytes())
    return target.getvalue()


def wave_levels(content: bytes) -> tuple[np.ndarray, int, int]:
    """Read a WAV with the standard library: levels by time and channel, rate, bits."""
    with wave.open(io.BytesIO(content)) as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, width)
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 4 - width :] = raw
    levels = wide.view("<i4").reshape(-1, channels) >> (32 - 8 * width)
    return levels, rate, 8 * width


def video_file(
    frames: np.ndarray | None,
    *,
    form: str = "mp4",
    codec: str = "libx264",
    rate: Fraction | int = 25,
    sound: np.ndarray | None = None,
    times: list[int] | None = None,
) -> bytes:
    """Write frames (T, H, W, C) of uint8 and a mono sound of 44.1 kHz, either or both."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        streams = []
        if frames is not None:
            video = container.add_stream(codec, rate=rate, options={"crf": "10"})
            video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
            streams.append((video, list(_frames(frames, times))))
        if sound is not None:
            audio = container.add_stream("aac", rate=44_100, layout="mono")
            frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, 0
            streams.append((audio, [frame]))
        for stream, held in streams:
            for frame in [*held, None]:
                container.mux(stream.encode(frame))
    return target.getvalue()


def _frames(frames: np.ndarray, times: list[int] | None) -> Any:
    for place, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = times[place] if times else place
        yield frame


def sine(frequency: float, seconds: float, rate: int = 44_100) -> np.ndarray:
    """Return a float32 sine of half the full height."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
