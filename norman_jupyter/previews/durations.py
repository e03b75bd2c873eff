"""How long a sound or video lasts, by the numbers in its header: nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from norman_jupyter.previews.text import format_count

__all__ = ["Track", "describe_track", "read_track"]

_BOXES = 200
"""More boxes or chunks than this are not looked at: a header has a few."""
_OPUS_RATE_HZ = 48_000
_LAST_PAGE_BYTES = 1 << 16
_LONGEST_S = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What a header tells; None where it doesn't."""

    duration_s: float | None = None
    rate_hz: int | None = None
    channels: int | None = None
    bits: int | None = None


def read_track(data: bytes, encoding: str) -> Track:
    """Read the header of a sound or video, whatever its bytes are.

    Parameters
    ----------
    encoding
        A name of `norman_protocol.media.ENCODINGS`. Of mp3, aac, ac3, avi, matroska and webm
        nothing is told: their length isn't in one place.
    """
    read = _READERS.get(encoding)
    if read is None:
        return Track()
    try:
        track = read(data)
    except (struct.error, ZeroDivisionError, IndexError):
        return Track()
    is_odd = track.duration_s is not None and not 0 <= track.duration_s < _LONGEST_S
    return Track() if is_odd else track


def describe_track(track: Track) -> list[str]:
    """Return the known facts, each in a few words.

    Examples
    --------
    >>> describe_track(Track(duration_s=75.5, rate_hz=44100, channels=2, bits=16))
    ['1:15.5', '44,100 Hz', 'stereo', '16-bit']
    """
    facts = []
    if track.duration_s is not None:
        facts.append(_clock(track.duration_s))
    if track.rate_hz:
        facts.append(f"{track.rate_hz:,} Hz")
    if track.channels:
        names = {1: "mono", 2: "stereo"}
        facts.append(names.get(track.channels) or format_count(track.channels, "channel"))
    if track.bits:
        facts.append(f"{track.bits}-bit")
    return facts


def _clock(duration_s: float) -> str:
    if duration_s < 60:
        return f"{duration_s:.3g} s"
    minutes, seconds = divmod(round(duration_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02}:{int(seconds):02}"
    return f"{minutes}:{seconds:04.1f}"


def _wav(data: bytes) -> Track:
    """Read the chunks of RIFF/WAVE: fmt says what a second takes, data how much there is."""
    track, rate_bytes = Track(), 0
    at = 12
    for _ in range(_BOXES):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            channels, rate_hz, rate_bytes, _, bits = struct.unpack_from("<HIIHH", data, at + 10)
            track = Track(rate_hz=rate_hz, channels=channels, bits=bits)
        elif name == b"data":
            # A stream that was written without seeking back says more than there is.
            size = min(size, len(data) - at - 8)
            return Track(
                duration_s=size / rate_bytes,
                rate_hz=track.rate_hz,
                channels=track.channels,
                bits=track.bits,
            )
        at += 8 + size + size % 2
    return track


def _flac(data: bytes) -> Track:
    """Read STREAMINFO (RFC 9639, section 8.2), which comes first."""
    if not data.startswith(b"fLaC"):
        return Track()
    packed = struct.unpack_from(">Q", data, 18)[0]
    rate_hz, samples = packed >> 44, packed & (1 << 36) - 1
    return Track(
        duration_s=samples / rate_hz if samples else None,
        rate_hz=rate_hz,
        channels=(packed >> 41 & 7) + 1,
        bits=(packed >> 36 & 31) + 1,
    )


def _ogg(data: bytes) -> Track:
    """Read the stream's head, and the position that its last page says (RFC 3533, section 6)."""
    last = data.rfind(b"OggS", -_LAST_PAGE_BYTES)
    if last < 0:
        return Track()
    position = struct.unpack_from("<q", data, last + 6)[0]
    opus, vorbis = data.find(b"OpusHead", 0, 200), data.find(b"\x01vorbis", 0, 200)
    if opus >= 0:
        channels, skipped = struct.unpack_from("<BH", data, opus + 9)
        duration_s = max(0, position - skipped) / _OPUS_RATE_HZ
        return Track(duration_s=duration_s, rate_hz=_OPUS_RATE_HZ, channels=channels)
    if vorbis >= 0:
        channels, rate_hz = struct.unpack_from("<BI", data, vorbis + 11)
        return Track(duration_s=position / rate_hz, rate_hz=rate_hz, channels=channels)
    return Track()


def _mp4(data: bytes) -> Track:
    """Read the movie header box: moov.mvhd (ISO/IEC 14496-12, section 8.2.2)."""
    for name, start, end in _boxes(data, 0, len(data)):
        if name != b"moov":
            continue
        for inner, at, _ in _boxes(data, start, end):
            if inner == b"mvhd":
                form = ">IQ" if data[at] == 1 else ">II"
                scale, length = struct.unpack_from(form, data, at + (20 if data[at] == 1 else 12))
                return Track(duration_s=length / scale)
    return Track()


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_BOXES):
        if at + 8 > end:
            return
        size, head = struct.unpack_from(">I", data, at)[0], 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        stop = end if size == 0 else at + size
        if size and size < head:
            return
        yield data[at + 4 : at + 8], at + head, min(stop, end)
        at = stop


_READERS: dict[str, Callable[[bytes], Track]] = {
    "wav": _wav,
    "flac": _flac,
    "opus": _ogg,
    "vorbis": _ogg,
    "ogg": _ogg,
    "mp4": _mp4,
    "mov": _mp4,
}
