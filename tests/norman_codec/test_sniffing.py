from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import image_file, sine, video_file

from norman_codec.sniffing import identify
from norman_codec.sounds import encode_sound
from norman_codec.videos import encode_video
from norman_protocol.media import Layout, Modality, default_layout


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_images_are_known(form):
    assert identify(image_file(np.zeros((2, 2), np.uint8), form)).name == form.lower()


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        *((name, name) for name in ("wav", "flac", "mp3", "aac", "ac3")),
        ("opus", "ogg"),
        ("vorbis", "ogg"),
    ],
)
def test_sounds_are_known(encoding, name):
    layout = default_layout(Modality.AUDIO)
    content = encode_sound(sine(440, 0.1)[np.newaxis], 44_100, layout, encoding)
    assert identify(content).name == name
    assert identify(content).modality is Modality.AUDIO


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("mp4", "mov"), ("mov", "mov"), ("avi", "avi"), ("matroska", "matroska"),
        ("webm", "matroska"), ("ogg", "ogg"),
    ],
)  # fmt: skip
def test_videos_are_known(encoding, name):
    layout = Layout(dtype="uint8", axes="THWC", low=0, high=255)
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    assert identify(encode_video(frames, 25, layout, encoding)).name == name


def test_flac_behind_a_tag_is_flac():
    tag = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
    assert identify(tag + b"fLaC").name == "flac"
    assert identify(tag + b"\xff\xf1\x50\x80").name == "aac"
    assert identify(tag + b"\xff\xfb\x90\x00").name == "mp3"


@pytest.mark.parametrize(
    ("content", "description"),
    [
        ("Grüße".encode("utf-16"), "UTF-16 text"),
        (b"\xef\xbb\xbfhello", "text"),
        ("ü".encode() * 4000, "text"),
        (b"a" + "ü".encode() * 4000, "text"),
        (b"\0\0\0\x1cftypheic", "a HEIC image"),
        (b"\0\0\0\x1cftypavif", "an AVIF image"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"RIFF1234ACON", "a RIFF file of an unknown kind"),
        (b"\x00\x01\x02", "a file of an unknown kind"),
        (b"a\xffb" + bytes(8), "a file of an unknown kind"),
    ],
)
def test_other_files_are_described(content, description):
    found = identify(content)
    assert (found.name, found.description) == ("", description)


def test_video_file_is_no_image():
    assert identify(video_file(np.zeros((2, 16, 16, 3), np.uint8))).modality is Modality.VIDEO


@given(st.binary(max_size=64))
def test_any_bytes_are_something(content):
    assert identify(content).description
