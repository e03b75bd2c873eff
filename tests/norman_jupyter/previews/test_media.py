"""Media as results show them: thumbnails, players, notes; whatever their bytes are."""

from __future__ import annotations

import base64
import io
import math
import re
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from norman_jupyter import InvokeResult, Media
from norman_jupyter.previews import render_result
from norman_jupyter.previews.durations import Track, describe_track, read_track
from norman_protocol.media import ENCODINGS

LINK = "/user/ann/norman/api/v1/invocations/018f"


def shown(outputs, **facts) -> tuple[str, str]:
    result = InvokeResult(outputs=outputs, id="018f", version="m@1", latency_ms=1.0, **facts)
    bundle = render_result(result)
    assert set(bundle) == {"text/plain", "text/html"}
    return bundle["text/plain"], bundle["text/html"]


def picture(size=(640, 480), mode="RGB", kind="PNG", **options) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, 200).save(target, format=kind, **options)
    return target.getvalue()


def sound(seconds=0.5, rate=8000, channels=2, width=2) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(round(seconds * rate) * channels * width))
    return target.getvalue()


def thumbnails(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_image_is_a_thumbnail_and_is_not_embedded_itself():
    data = picture((3000, 2000))
    text, html = shown({"Mirrored": Media(data, encoding="png", display_title="Mirrored")})
    assert re.match(r"Mirrored \(image/png, [\d.]+ kB, 3000 x 2000 pixels\)\n", text)
    (small,) = thumbnails(html)
    assert small.size == (320, 213)
    assert re.search(r'alt="image/png, [\d.]+ kB, 3000 x 2000 pixels"', html)
    assert base64.b64encode(data).decode()[:200] not in html
    assert "full size" not in html


def test_full_size_comes_from_the_record_when_it_is_asked_for():
    outputs = {"Mirrored image/ä": Media(picture((3000, 2000)), encoding="png")}
    _, html = shown(outputs, record_link=LINK)
    source = f"{LINK}/output?name=Mirrored%20image%2F%C3%A4"
    link = f'<a href="{source}" target="_blank" rel="noopener noreferrer">open in full size</a>'
    assert link in html
    assert html.count("<img") == 1


def test_image_that_is_whole_already_has_no_full_size():
    _, html = shown({"y": Media(picture((320, 100)), encoding="png")}, record_link=LINK)
    assert "full size" not in html


def test_orientation_and_sixteen_bits_are_respected():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture((640, 320), kind="JPEG", exif=exif)
    bright = io.BytesIO()
    Image.fromarray(np.full((8, 8), 51_400, np.uint16)).save(bright, format="PNG")
    text, html = shown(
        {
            "a": Media(turned, encoding="jpeg"),
            "b": Media(bright.getvalue(), encoding="png"),
        }
    )
    assert "320 x 640 pixels" in text
    small, grey = thumbnails(html)
    assert small.size == (160, 320)
    assert grey.convert("L").getpixel((0, 0)) == 200


@pytest.mark.parametrize("data", [b"", b"no image", picture()[:50], picture(kind="JPEG")])
def test_broken_image_is_a_note(data):
    text, html = shown({"y": Media(data, encoding="png")}, record_link=LINK)
    assert "can't be shown here: broken, or too large" in text
    assert "can&#x27;t be shown here" in html
    assert "<img" not in html


@pytest.mark.parametrize("encoding", ["wav", "flac", "mp3", "aac", "opus", "vorbis"])
def test_sound_gets_a_player(encoding):
    data = b"\x01" * 1000
    _, html = shown({"y": Media(data, encoding=encoding)})
    source = f"data:{ENCODINGS[encoding].media_type};base64,{base64.b64encode(data).decode()}"
    assert f'<audio controls preload="metadata" src="{source}" aria-label="' in html


@pytest.mark.parametrize("encoding", ["mp4", "mov", "webm", "ogg"])
def test_video_gets_a_player(encoding):
    _, html = shown({"y": Media(b"\x01" * 1000, encoding=encoding)})
    assert f'<video controls preload="metadata" src="data:{ENCODINGS[encoding].media_type};' in html


@pytest.mark.parametrize("encoding", ["ac3", "avi", "matroska"])
def test_what_no_browser_plays_is_said(encoding):
    text, html = shown({"y": Media(b"\x01" * 1000, encoding=encoding)}, record_link=LINK)
    assert f"Browsers don&#x27;t play {encoding}; .save(path) writes it to a file." in html
    assert "<audio" not in html
    assert "<video" not in html
    assert "1.0 kB" in text


def test_bytes_that_are_a_sound_get_a_player_too():
    assert "<audio controls" in shown({"y": sound()})[1]


def test_large_sound_stays_out_of_the_notebook():
    _, html = shown({"y": Media(sound(60), encoding="wav")}, record_link=LINK)
    assert len(html) < 4000
    assert "Too large to be saved in the notebook" in html
    assert f'<audio controls preload="none" src="{LINK}/output?name=y"' in html
    _, html = shown({"y": Media(sound(60), encoding="wav")})
    assert "<audio" not in html


def test_many_sounds_share_what_may_be_embedded():
    sounds = {f"y{i}": Media(sound(28), encoding="wav") for i in range(5)}
    _, html = shown(sounds)
    assert html.count("<audio") == 2
    assert html.count("Too large to be saved") == 3
    assert len(html) < 3_000_000


def test_empty_sound_is_no_player():
    text, html = shown({"y": Media(b"", encoding="wav")})
    assert "audio/wav, 0 B" in text
    assert "<audio" not in html


def test_terminal_tells_size_and_duration():
    text, _ = shown({"Gain": Media(sound(75.5), encoding="wav", display_title="Gain")})
    assert text.startswith("Gain (audio/wav, 2.4 MB, 1:15.5, 8,000 Hz, stereo, 16-bit)\n")


@pytest.mark.parametrize("encoding", ["srt", "vtt", "txt", "utf8"])
def test_encoded_text_is_shown_as_text(encoding):
    text, html = shown({"y": Media("\ufeff<b>Grüße</b>".encode(), encoding=encoding)})
    assert "<b>Grüße</b>" in text
    assert "&lt;b&gt;Grüße&lt;/b&gt;" in html
    assert "<b>Grüße" not in html


def test_text_in_another_encoding_than_it_says_is_bytes():
    text, _ = shown({"y": Media(b"\xff\xfe\xff", encoding="utf8")})
    assert "y (not utf8, 3 B): ff fe ff" in text
    assert "Grüße" in shown({"y": Media("Grüße".encode("utf-16"), encoding="utf16")})[0]


SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'


@pytest.mark.parametrize(
    "value",
    [
        SVG,
        SVG.encode(),
        f"<?xml version='1.0'?>\n<!-- mine -->{SVG}",
        Media(SVG.encode(), encoding="file"),
    ],
)
def test_svg_is_a_picture_and_never_part_of_the_page(value):
    text, html = shown({"y": value})
    assert "<svg" not in html
    assert "<script" not in html
    (encoded,) = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert b"alert(2)" in base64.b64decode(encoded)
    assert "image/svg+xml" in text


@pytest.mark.parametrize(
    "value",
    [
        "<!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG,
        SVG.replace("<script", "<!ENTITY x><script"),
        SVG + " " * 30_000,
    ],
)
def test_svg_that_could_grow_is_text(value):
    _, html = shown({"y": value})
    assert "<img" not in html
    assert "<svg" not in html


HOSTILE = "\"><script>alert(1)</script><a href='javascript:alert(1)'>"


@given(st.sampled_from(sorted(ENCODINGS)), st.binary(max_size=300))
def test_any_bytes_of_any_encoding_are_shown(encoding, data):
    _, html = shown(
        {HOSTILE: Media(data, encoding=encoding, display_title=HOSTILE)},
        record_link=LINK,
        labels={HOSTILE: (HOSTILE, HOSTILE)},
    )
    assert "<script" not in html
    assert not re.search(r"<a (?!href=\"/user/ann/)", html)
    assert "'javascript" not in html


def test_media_shows_itself():
    media = Media(picture(), encoding="png", display_title="<i>")
    bundle = media._repr_mimebundle_()
    assert bundle["text/plain"].startswith("<i> (image/png")
    assert "<b>&lt;i&gt;</b>" in bundle["text/html"]


# --- headers --------------------------------------------------------------------------------------


def ogg(head: bytes, position: int) -> bytes:
    page = b"OggS" + bytes([0, 2]) + struct.pack("<q", 0) + bytes(12) + b"\x01\x13" + head
    return page + b"OggS" + bytes([0, 4]) + struct.pack("<q", position) + bytes(20)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


FLAC = b"fLaC\x80\x00\x00\x22" + bytes(10) + struct.pack(
    ">Q", 44_100 << 44 | 1 << 41 | 23 << 36 | 88_200
)  # fmt: skip
OPUS = b"OpusHead\x01\x02" + struct.pack("<H", 312)
VORBIS = b"\x01vorbis" + bytes(4) + b"\x06" + struct.pack("<I", 8000)
MVHD = box(b"mvhd", bytes(12) + struct.pack(">II", 600, 1500) + bytes(80))
MVHD_64 = box(b"mvhd", b"\x01" + bytes(19) + struct.pack(">IQ", 600, 1500) + bytes(80))


@pytest.mark.parametrize(
    ("encoding", "data", "facts"),
    [
        ("wav", sound(0.5, 44_100, 1, 3), ["0.5 s", "44,100 Hz", "mono", "24-bit"]),
        ("flac", FLAC, ["2 s", "44,100 Hz", "stereo", "24-bit"]),
        ("opus", ogg(OPUS, 48_312), ["1 s", "48,000 Hz", "stereo"]),
        ("vorbis", ogg(VORBIS, 16_000), ["2 s", "8,000 Hz", "6 channels"]),
        ("mp4", box(b"ftyp", b"isom") + box(b"moov", MVHD), ["2.5 s"]),
        ("mov", box(b"moov", box(b"skip", b"") + MVHD_64), ["2.5 s"]),
        ("mp3", b"ID3", []),
    ],
)  # fmt: skip
def test_headers_tell_the_duration(encoding, data, facts):
    assert describe_track(read_track(data, encoding)) == facts


@given(st.sampled_from(["wav", "flac", "opus", "vorbis", "ogg", "mp4", "mov"]), st.binary())
def test_any_header_is_read(encoding, data):
    heads = {
        "wav": b"RIFF\0\0\0\0WAVE",
        "flac": b"fLaC",
        "opus": b"OggS",
        "mp4": b"\0\0\1\0moov\0\0\0\x70mvhd",
    }
    for head in (b"", heads.get(encoding, b"OggS\x01vorbis")):
        track = read_track(head + data, encoding)
        assert track.duration_s is None or math.isfinite(track.duration_s)
        describe_track(track)


def test_endless_boxes_end():
    assert read_track(b"\0\0\0\x08skip" * 100_000, "mp4") == Track()
    assert read_track(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 100_000, "wav") == Track()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0125, "0.0125 s"), (59.96, "60 s"), (60, "1:00.0"), (3725.5, "1:02:05")],
)
def test_durations_read_as_on_a_clock(seconds, text):
    assert describe_track(Track(duration_s=seconds)) == [text]
