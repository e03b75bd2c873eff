"""Sounds into tensors with their rate, and back: WAV by itself, all else through PyAV.

What an encoder adds before and after a sound is taken away where the file tells of it (MP3, AAC in
MP4, Opus, Vorbis); raw AAC and AC-3 have no place for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from norman_codec.bounds import check_decoded, check_seconds
from norman_codec.containers import find_stream, open_media, require, writing
from norman_codec.faults import MediaFault
from norman_codec.samples import float_type, samples_to_tensor, tensor_to_samples
from norman_codec.sniffing import identify
from norman_codec.waves import exact_bits, quantise, read_samples, read_wave, write_wave
from norman_protocol.frames import Buffer
from norman_protocol.media import Layout, MediaLimits, Modality

__all__ = ["decode_sound", "encode_sound"]

Array: TypeAlias = NDArray[Any]

_MOST_CHANNELS = 64
_MOST_CODED_CHANNELS = 8
_FIRST_MISCOUNTED = 8
_MOST_HZ = 768_000
_BLOCK_SAMPLES = 1 << 16
_PCM_FULL = {"u": 128.0, "i2": 2.0**15, "i4": 2.0**31}


def decode_sound(content: Buffer, layout: Layout, limits: MediaLimits) -> tuple[Array, int]:
    """Return the tensor of a sound file (or of a video's sound), and its rate in Hz.

    Raises
    ------
    MediaFault
        The bytes are no such file, are cut off or broken, hold no sound, or become more than the
        limits allow.
    RuntimeMissing
        It takes PyAV, which isn't installed.
    """
    dtype = float_type(layout)
    sound = read_wave(content) if identify(content).name == "wav" else None
    if sound is not None:
        samples, rate = read_samples(sound, dtype, limits), sound.rate
    else:
        samples, rate = _read_stream(content, dtype, limits)
    if not samples.size:
        raise MediaFault("holds no samples: it lasts 0 s. Send a sound.", received="0 samples")
    if layout.mono and len(samples) > 1:
        samples = samples.mean(axis=0, keepdims=True, dtype=dtype)
    if layout.sample_rate is not None and layout.sample_rate != rate:
        _check_rate(rate)
        count = -(-samples.shape[1] * layout.sample_rate // rate)
        check_decoded(2 * count * len(samples) * samples.itemsize, limits)
        samples, rate = _resample(samples, rate, layout.sample_rate), layout.sample_rate
    return samples_to_tensor(samples, layout), rate


def _read_stream(
    content: Buffer, dtype: type[np.floating[Any]], limits: MediaLimits
) -> tuple[Array, int]:
    with open_media(content, Modality.AUDIO, limits) as container:
        stream = find_stream(container, "audio")
        if stream.duration is not None and stream.time_base is not None:
            check_seconds(float(stream.duration * stream.time_base), limits)
        chunks: list[Array] = []
        rate = held_bytes = count = 0
        for frame in container.decode(stream):
            rate = rate or _check_rate(frame.sample_rate)
            chunk = _frame_samples(frame, dtype)
            _check_same(chunk, frame.sample_rate, chunks, rate)
            chunks.append(chunk)
            held_bytes += chunk.nbytes
            count += chunk.shape[1]
            check_seconds(count / rate, limits)
            check_decoded(2 * held_bytes, limits)
    if not chunks:
        return np.empty((1, 0), dtype), rate
    return np.concatenate(chunks, axis=1), rate


def _check_rate(rate: int) -> int:
    if 0 < rate <= _MOST_HZ:
        return rate
    raise MediaFault(f"says that it has {rate:,} samples per second, which no sound has.")


def _check_same(chunk: Array, rate: int, chunks: list[Array], first_rate: int) -> None:
    if rate != first_rate or (chunks and len(chunk) != len(chunks[0])):
        raise MediaFault(
            "changes its rate or its number of channels midway. Convert it to a WAV first."
        )


def _frame_samples(frame: Any, dtype: type[np.floating[Any]]) -> Array:
    """Return a decoded frame's samples by channel and time, from -1 to 1."""
    channels = frame.layout.nb_channels
    if not 0 < channels <= _MOST_CODED_CHANNELS:
        raise MediaFault(f"has {channels} channels; 1 to {_MOST_CODED_CHANNELS} are taken.")
    levels = _frame_levels(frame, channels)
    samples: Array = levels.astype(dtype, order="C")
    if levels.dtype.kind == "u":
        samples -= 128
    full = _PCM_FULL.get(levels.dtype.kind) or _PCM_FULL.get(levels.dtype.str[1:])
    if full is not None:
        samples /= full
    elif not np.isfinite(samples).all():
        raise MediaFault("holds samples that are no numbers (NaN or infinite).")
    return samples


def _frame_levels(frame: Any, channels: int) -> Array:
    """Return a decoded frame's samples by channel and time, as their codec gives them."""
    pieces = [frame]
    if frame.format.is_planar and channels >= _FIRST_MISCOUNTED:
        # PyAV counts planes up to a null pointer, which FFmpeg puts only behind fewer than 8 of
        # them, and reads beyond (18.1). Side by side in one plane all is well.
        form = frame.format.packed.name
        resampler = require("av").AudioResampler(form, frame.layout, frame.sample_rate)
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
    if pieces[0].format.is_planar:
        levels: Array = frame.to_ndarray()
        return levels
    return np.concatenate([piece.to_ndarray().reshape(-1, channels) for piece in pieces]).T


def _resample(samples: Array, rate: int, target: int) -> Array:
    """Return samples at another rate, channel by channel, and as long as before."""
    count = -(-samples.shape[1] * target // rate)
    resampled = np.zeros((len(samples), count), samples.dtype)
    for channel, line in enumerate(samples):
        place = 0
        for piece in _resampled(line, rate, target):
            taken = piece[: count - place]
            resampled[channel, place : place + len(taken)] = taken
            place += len(taken)
    return resampled


def _resampled(line: Array, rate: int, target: int) -> Iterator[Array]:
    av = require("av")
    form = "dblp" if line.dtype == np.float64 else "fltp"
    resampler = av.AudioResampler(format=form, layout="mono", rate=target)
    for start in range(0, len(line), _BLOCK_SAMPLES):
        block = np.ascontiguousarray(line[np.newaxis, start : start + _BLOCK_SAMPLES])
        frame = av.AudioFrame.from_ndarray(block, format=form, layout="mono")
        frame.sample_rate, frame.pts = rate, start
        for piece in resampler.resample(frame):
            yield piece.to_ndarray()[0]
    for piece in resampler.resample(None):
        yield piece.to_ndarray()[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """How PyAV writes an encoding; ``channels`` are the numbers of them that it can hold."""

    container: str
    codec: str
    form: str
    channels: tuple[int, ...]
    bit_rate: int | None = None


_WRITERS = {
    "flac": _Writer(container="flac", codec="flac", form="s16", channels=tuple(range(1, 9))),
    "mp3": _Writer(
        container="mp3", codec="libmp3lame", form="fltp", channels=(1, 2), bit_rate=192_000
    ),
    "aac": _Writer(
        container="adts", codec="aac", form="fltp", channels=(1, 2, 3, 4, 5, 6), bit_rate=192_000
    ),
    "ac3": _Writer(
        container="ac3", codec="ac3", form="fltp", channels=(1, 2, 3, 4, 5, 6), bit_rate=384_000
    ),
    "opus": _Writer(
        container="ogg", codec="libopus", form="flt", channels=(1, 2, 3, 4, 5, 6, 7, 8)
    ),
}
_VORBIS_CHANNELS = (1, 2)
_VORBIS_BLOCK_SAMPLES = 1 << 12
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")


def encode_sound(tensor: Array, rate: int, layout: Layout, encoding: str) -> bytes:
    """Return the file of a sound that a model gave, clamped to its range.

    WAV and FLAC are exact: of 16 bits where these hold every sample, else of 24 (a WAV of a layout
    of int32: of 32). A rate that an encoding doesn't know becomes the next higher that it does.

    Raises
    ------
    MediaFault
        The tensor isn't of its layout, is empty, holds NaN, or has more channels than the encoding.
    RuntimeMissing
        The encoding takes PyAV, which isn't installed.
    """
    if not 0 < rate <= _MOST_HZ:
        raise MediaFault(f"is to have {rate:,} samples per second; 1 to {_MOST_HZ:,} can be.")
    samples = tensor_to_samples(tensor, layout)
    if len(samples) > _MOST_CHANNELS:
        raise MediaFault(
            f"has {len(samples):,} channels; {_MOST_CHANNELS} are allowed. The layout's axes are "
            f"{layout.axes}: are C and T the other way round?"
        )
    if encoding == "wav":
        bits = 32 if layout.dtype == "int32" else exact_bits(samples)
        return write_wave(samples, rate, bits)
    writer = _WRITERS.get(encoding)
    held = _VORBIS_CHANNELS if writer is None else writer.channels
    if len(samples) not in held:
        raise MediaFault(
            f"has {len(samples)} channels, and {encoding} holds {max(held)}. Use wav, or declare "
            "mono=true."
        )
    if writer is None:
        return _write_vorbis(samples, rate)
    with writing(encoding):
        return _write(samples, rate, writer)


def _write(samples: Array, rate: int, writer: _Writer) -> bytes:
    av = require("av")
    form, levels = writer.form, samples.astype(np.float32, copy=False)
    if writer.codec == "flac":
        form, levels = _flac_levels(samples)
    known = av.codec.Codec(writer.codec, "w").audio_rates
    if known and rate not in known:
        target = min((one for one in known if one >= rate), default=max(known))
        levels, rate = _resample(levels, rate, target), target
    name = _LAYOUTS[len(samples) - 1]
    target_file = BytesIO()
    with av.open(target_file, "w", format=writer.container) as container:
        stream = container.add_stream(writer.codec, rate=rate, layout=name)
        stream.format = form
        if writer.bit_rate is not None:
            stream.bit_rate = writer.bit_rate
        for start in range(0, levels.shape[1], _BLOCK_SAMPLES):
            block = levels[:, start : start + _BLOCK_SAMPLES]
            if not form.endswith("p"):
                block = block.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block), format=form, layout=name
            )
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target_file.getvalue()


def _flac_levels(samples: Array) -> tuple[str, Array]:
    """Return samples as FLAC takes them: of 16 bits, or of 24 in the upper ones of 32."""
    if exact_bits(samples) == 16:
        return "s16", quantise(samples, 16).astype(np.int16)
    return "s32", quantise(samples, 24) << 8


def _write_vorbis(samples: Array, rate: int) -> bytes:
    """Write Ogg Vorbis with libsndfile: FFmpeg's own encoder spoils the second channel."""
    soundfile = require("soundfile")
    target = BytesIO()
    try:
        with soundfile.SoundFile(
            target, "w", samplerate=rate, channels=len(samples), format="OGG", subtype="VORBIS"
        ) as file:
            # libvorbis keeps a whole block on its stack.
            for start in range(0, samples.shape[1], _VORBIS_BLOCK_SAMPLES):
                file.write(samples[:, start : start + _VORBIS_BLOCK_SAMPLES].T)
    except soundfile.SoundFileError as error:
        raise MediaFault(
            f"can't be written as vorbis at {rate:,} Hz ({error}). Declare another encoding."
        ) from error
    return target.getvalue()
