"""Hostile bytes: every file cut off and changed at every place is decoded or refused, no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import image_file, sine, video_file, wave_file

from norman_codec.faults import MediaFault
from norman_codec.images import decode_image
from norman_codec.sounds import decode_sound, encode_sound
from norman_codec.videos import decode_video, encode_video
from norman_protocol.media import Layout, MediaLimits, Modality, default_layout

LIMITS = MediaLimits(pixels=1_000_000, seconds=60, decoded_bytes=64 << 20)
SOUND = default_layout(Modality.AUDIO)
VIDEO = Layout(dtype="uint8", axes="THWC", low=0, high=255)


def decode(content: bytes, modality: Modality) -> None:
    if modality is Modality.IMAGE:
        decode_image(content, Layout(), LIMITS)
    elif modality is Modality.AUDIO:
        decode_sound(content, SOUND, LIMITS)
    else:
        decode_video(content, VIDEO, LIMITS)


def _image(form: str, **options: object) -> Callable[[], bytes]:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    return lambda: image_file(pixels[..., : 3 if form == "JPEG" else 4], form, **options)


def _sound(encoding: str) -> Callable[[], bytes]:
    return lambda: encode_sound(sine(440, 0.02)[np.newaxis], 44_100, SOUND, encoding)


def _video(encoding: str) -> Callable[[], bytes]:
    frames = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    return lambda: encode_video(frames, 25, VIDEO, encoding)


FILES: dict[str, tuple[Modality, Callable[[], bytes]]] = {
    "png": (Modality.IMAGE, _image("PNG")),
    "jpeg": (Modality.IMAGE, _image("JPEG")),
    "webp": (Modality.IMAGE, _image("WEBP")),
    "webp-lossless": (Modality.IMAGE, _image("WEBP", lossless=True)),
    "wav": (Modality.AUDIO, lambda: wave_file(np.arange(20), 8_000)),
    **{
        name: (Modality.AUDIO, _sound(name))
        for name in ("flac", "mp3", "aac", "ac3", "opus", "vorbis")
    },
    **{name: (Modality.VIDEO, _video(name)) for name in ("mp4", "avi", "matroska", "webm", "ogg")},
}
STEP = {"vorbis": 7, "mp4": 3, "avi": 31, "matroska": 5, "webm": 5, "ogg": 7, "ac3": 3}


@pytest.fixture(scope="module", params=FILES)
def medium(request) -> tuple[str, Modality, bytes]:
    modality, make = FILES[request.param]
    return request.param, modality, make()


def test_whole_files_are_decoded(medium):
    _, modality, content = medium
    decode(content, modality)


def test_files_cut_off_anywhere_are_decoded_or_refused(medium):
    name, modality, content = medium
    for end in range(0, len(content), STEP.get(name, 1)):
        with contextlib.suppress(MediaFault):
            decode(content[:end], modality)


def test_files_changed_anywhere_are_decoded_or_refused(medium):
    name, modality, content = medium
    for place in range(0, len(content), STEP.get(name, 1)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        with contextlib.suppress(MediaFault):
            decode(bytes(changed), modality)


def test_files_read_as_something_else_are_decoded_or_refused(medium):
    _, modality, content = medium
    for other in {Modality.IMAGE, Modality.AUDIO, Modality.VIDEO} - {modality}:
        with contextlib.suppress(MediaFault):
            decode(content, other)


MP4 = video_file(np.zeros((3, 16, 16, 3), np.uint8), sound=sine(440, 0.05))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([Modality.AUDIO, Modality.VIDEO]),
    st.lists(st.tuples(st.integers(0, len(MP4) - 1), st.integers(0, 255)), max_size=8),
)
def test_mp4_changed_in_several_places_is_decoded_or_refused(modality, changes):
    changed = bytearray(MP4)
    for place, byte in changes:
        changed[place] = byte
    with contextlib.suppress(MediaFault):
        decode(bytes(changed), modality)


BEGINNINGS = [make()[:16] for _, make in FILES.values()]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200), st.sampled_from(sorted(FILES)))
def test_right_beginnings_with_anything_behind_are_decoded_or_refused(beginning, rest, name):
    with contextlib.suppress(MediaFault):
        decode(beginning + rest, FILES[name][0])
