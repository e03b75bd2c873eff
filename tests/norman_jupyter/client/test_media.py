"""Media: bytes that know what they are."""

from __future__ import annotations

import copy
import io
import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from norman_jupyter import Media, OutputInvalid
from norman_jupyter.client.media import read_media
from norman_jupyter.client.results import read_result
from norman_protocol.media import Modality
from norman_protocol.messages import Result, Timings
from norman_protocol.values import Value


def picture(mode: str = "RGB", size: tuple[int, int] = (3, 2), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, 1).save(target, format=kind)
    return target.getvalue()


def test_media_is_bytes_and_knows_its_encoding() -> None:
    media = Media(b"abc", encoding="jpeg", display_title="Photo")
    assert media == b"abc"
    assert hash(media) == hash(b"abc")
    assert (media.modality, media.media_type) == (Modality.IMAGE, "image/jpeg")
    assert repr(media) == str(media) == "<Media jpeg, 3 bytes, title='Photo'>"


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_media_survives_copies(again) -> None:
    twin = again(Media(b"abc", encoding="png", display_title="Photo"))
    assert type(twin) is Media
    assert (twin, twin.encoding, twin.display_title) == (b"abc", "png", "Photo")


def test_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="'pgn'"):
        Media(b"", encoding="pgn")


@pytest.mark.parametrize(
    ("encoding", "name", "saved"),
    [
        ("png", "mirrored", "mirrored.png"),
        ("png", "mirrored.PNG", "mirrored.PNG"),
        ("png", "frame.1", "frame.1.png"),
        ("jpeg", "photo.jpeg", "photo.jpeg"),
        ("jpeg", "photo", "photo.jpg"),
        ("matroska", "film", "film.mkv"),
        ("file", "weights.bin", "weights.bin"),
        ("file", "weights", "weights"),
    ],
)
def test_saved_file_has_the_suffix_of_its_encoding(tmp_path, encoding, name, saved) -> None:
    path = Media(b"data", encoding=encoding).save(tmp_path / name)
    assert path == tmp_path / saved
    assert path.read_bytes() == b"data"


def test_suffix_of_another_encoding_is_refused_and_nothing_written(tmp_path) -> None:
    media = Media(b"data", encoding="png", display_title="Mirrored")
    with pytest.raises(OutputInvalid, match=r"save it as 'mirrored\.png'") as caught:
        media.save(tmp_path / "mirrored.jpg")
    assert caught.value.output == "Mirrored"
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_the_systems_error(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        Media(b"", encoding="png").save(Path(tmp_path, "absent", "x.png"))


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("L", (2, 3)), ("1", (2, 3)), ("P", (2, 3, 3)), ("RGB", (2, 3, 3)), ("RGBA", (2, 3, 4)),
     ("LA", (2, 3, 4))],
)  # fmt: skip
def test_picture_becomes_an_array(mode, shape) -> None:
    array = Media(picture(mode), encoding="png").array()
    assert array.shape == shape
    assert array.dtype == np.uint8


def test_sixteen_bit_picture_keeps_its_bits() -> None:
    target = io.BytesIO()
    Image.fromarray(np.full((2, 3), 40_000, np.uint16)).save(target, format="PNG")
    array = Media(target.getvalue(), encoding="png").array()
    assert array.tolist() == [[40_000] * 3] * 2


def test_picture_becomes_a_pillow_image() -> None:
    image = Media(picture(kind="WEBP"), encoding="webp").image()
    assert (image.size, image.format) == ((3, 2), "WEBP")


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", picture()[:-30], picture(kind="JPEG")])
def test_damaged_picture_is_told(data) -> None:
    with pytest.raises(OutputInvalid, match="can't be decoded as png") as caught:
        Media(data, encoding="png", display_title="Mirrored").image()
    assert caught.value.output == "Mirrored"


def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    header = bytearray(picture(size=(1, 1)))
    import zlib

    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    with pytest.raises(OutputInvalid, match="too many pixels"):
        Media(bytes(header), encoding="png").image()


def test_sound_becomes_samples_and_their_rate() -> None:
    samples = (np.arange(-400, 400, dtype=np.int16) * 80).reshape(-1, 2)
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    media = Media(target.getvalue(), encoding="wav", display_title="Gain")
    array = media.array()
    assert (array.dtype, array.shape, media.rate()) == (np.float32, (2, 400), 8000)
    np.testing.assert_array_equal(np.round(array * 32_768).astype(np.int16), samples.T)


def test_video_becomes_frames_and_their_rate() -> None:
    av = pytest.importorskip("av")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for grey in (0, 120, 240):
            frame = np.full((16, 32, 3), grey, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    media = Media(target.getvalue(), encoding="mp4")
    array = media.array()
    assert (array.dtype, array.shape, media.rate()) == (np.uint8, (3, 16, 32, 3), 5)
    assert [round(float(frame.mean()), -1) for frame in array] == [0, 120, 240]


@pytest.mark.parametrize("encoding", ["wav", "flac", "mp4"])
def test_damaged_sound_and_video_are_told(encoding) -> None:
    with pytest.raises(OutputInvalid, match=f"can't be decoded as {encoding}") as caught:
        Media(b"RIFF nothing", encoding=encoding, display_title="Gain").array()
    assert caught.value.output == "Gain"


def test_other_modalities_have_no_pixels_no_rate_and_no_characters() -> None:
    with pytest.raises(OutputInvalid, match=r"'Gain' is audio \(wav\).*no pixels.*save"):
        Media(b"", encoding="wav", display_title="Gain").image()
    with pytest.raises(OutputInvalid, match="no rate"):
        Media(b"", encoding="png").rate()
    with pytest.raises(OutputInvalid, match="no pixels"):
        Media(b"", encoding="srt").array()
    with pytest.raises(OutputInvalid, match="no characters"):
        Media(b"", encoding="wav").text()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("utf8", "ä".encode()), ("srt", b"\xef\xbb\xbf\xc3\xa4"), ("utf16", "ä".encode("utf-16"))],
)
def test_text_is_read_in_its_encoding(encoding, data) -> None:
    assert Media(data, encoding=encoding).text() == "ä"


def test_text_that_is_none_is_told() -> None:
    with pytest.raises(OutputInvalid, match="no utf8"):
        Media(b"\xff", encoding="utf8").text()


@pytest.mark.parametrize(
    "value",
    [
        Value(kind="bytes", buffer=b"x"),
        Value(kind="bytes", encoding="of-a-newer-server", buffer=b"x"),
        Value(kind="text", encoding="srt", buffer=b"x"),
    ],
)
def test_other_values_are_no_media(value) -> None:
    assert read_media(value, "y") is None


def test_results_hold_media_and_their_time_in_the_codec() -> None:
    message = Result(
        id="1",
        invocation_id="i",
        reference="mirror@1",
        timings=Timings(queue_s=0.1, codec_s=0.3, model_s=0.2, total_s=0.6),
        values={"Mirrored": Value(kind="bytes", encoding="png", buffer=memoryview(b"abc"))},
    )
    result = read_result(message, 1.0)
    assert isinstance(result.value, Media)
    assert (result.value, result.value.display_title) == (b"abc", "Mirrored")
    assert result.timings == pytest.approx(
        {"queue": 100, "codec": 300, "model": 200, "transfer": 400}
    )
    assert "codec 300 ms" in repr(result)
