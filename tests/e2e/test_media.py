"""Images, sound and video through a real server: files in, files out, exact where they can be."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps
from serving import serve

from norman_jupyter import BlockingNorman, InputInvalid, LoadFailed
from norman_jupyter.client.media import Media

av = pytest.importorskip("av")

MIRROR = """
import numpy as np
from numpy.typing import NDArray

def predict(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image[..., ::-1]
"""
GAIN = """
import numpy as np
from numpy.typing import NDArray

def predict(samples: NDArray[np.float64], rate: int, gain: float = 0.5) -> "Sound":
    return {"samples": samples * gain, "rate": rate}

from typing import TypedDict

class Sound(TypedDict):
    samples: NDArray[np.float64]
    rate: int

predict.__annotations__["return"] = Sound
"""
INVERT = """
from typing import TypedDict
import numpy as np
from numpy.typing import NDArray

class Film(TypedDict):
    frames: NDArray[np.uint8]
    rate: float

def predict(frames: NDArray[np.uint8], rate: float) -> Film:
    return {"frames": 255 - frames, "rate": rate}
"""
DIGITS = """
import numpy as np
from numpy.typing import NDArray

def predict(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image.sum(axis=1)
"""
COUNT = """
from pathlib import Path

def predict(photo: Path) -> str:
    return f"{photo.suffix} {len(photo.read_bytes())}"
"""
SIDE = {"inputs": "in", "outputs": "out"}


@pytest.fixture(scope="module")
def norman(tmp_path_factory) -> Iterator[BlockingNorman]:
    root = tmp_path_factory.mktemp("media")
    with serve(root) as server, BlockingNorman(server.url, server.token) as client:
        yield client


@pytest.fixture(scope="module")
def publish(norman, tmp_path_factory):
    def run(name, source, inputs, outputs=None):
        folder = tmp_path_factory.mktemp(name)
        (folder / "model.py").write_text(source)
        said = {"inputs": inputs} | ({} if outputs is None else {"outputs": outputs})
        version = norman.upload(folder, name=name, trust=True, **said)
        assert version.state == "ready", version.error
        return version

    return run


@pytest.fixture(scope="module")
def mirror(publish):
    publish(
        "mirror",
        MIRROR,
        [{"display_title": "Photo", "data_encoding": "png",
          "parameters": [{"parameter_name": "image"}]}],
        [{"display_title": "Mirrored", "data_encoding": "png",
          "parameters": [{"parameter_name": "output"}]}],
    )  # fmt: skip


def picture(height, width, channels=3):
    rng = np.random.default_rng(height * width)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def written(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


# --- images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (480, 640)])
def test_a_png_comes_back_mirrored_pixel_for_pixel(norman, mirror, size):
    image = picture(*size)
    result = norman.invoke("mirror", {"Photo": written(image)})
    assert isinstance(result.value, Media)
    assert (result.value.encoding, result.value.media_type) == ("png", "image/png")
    assert np.array_equal(pixels(result.value), np.asarray(ImageOps.mirror(image)))
    assert result.timings["codec"] > 0


def test_48_megapixels_are_mirrored(norman, mirror):
    rows = np.arange(6000, dtype=np.uint32)[:, None] * 7 + np.arange(8000, dtype=np.uint32) * 3
    image = Image.fromarray((rows // 64 % 256).astype(np.uint8)).convert("RGB")
    result = norman.invoke("mirror", {"Photo": written(image, compress_level=1)}, timeout_s=300)
    assert np.array_equal(pixels(result.value), np.asarray(ImageOps.mirror(image)))


def test_a_jpeg_is_turned_as_its_exif_says(norman, mirror):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(picture(16, 24), "JPEG", quality=95, exif=exif)
    found = pixels(norman.invoke("mirror", {"Photo": data}).value)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        assert np.array_equal(found, np.asarray(ImageOps.mirror(upright.convert("RGB"))))


@pytest.mark.parametrize("kind", ["RGBA", "L", "P", "1", "I;16"])
def test_other_modes_are_taken(norman, mirror, kind):
    if kind == "I;16":
        image = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    elif kind == "RGBA":
        image = picture(8, 8, 4)
    else:
        image = picture(8, 8).convert(kind)
    found = pixels(norman.invoke("mirror", {"Photo": written(image)}).value)
    assert found.shape == (8, 8, 3)
    if kind in ("L", "P", "1"):
        assert np.array_equal(found, np.asarray(ImageOps.mirror(image.convert("RGB"))))


def test_a_tensor_passes_undecoded_and_pillow_and_arrays_are_inputs(norman, mirror):
    image = picture(5, 7)
    expected = np.asarray(ImageOps.mirror(image))
    array = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255
    for given in (array, array.tolist(), image, np.asarray(image)):
        assert np.array_equal(pixels(norman.invoke("mirror", {"Photo": given}).value), expected)


def test_what_a_model_gave_is_an_input_again(norman, mirror):
    image = picture(9, 4)
    once = norman.invoke("mirror", {"Photo": written(image)}).value
    twice = norman.invoke("mirror", {"Photo": once}).value
    assert np.array_equal(pixels(twice), np.asarray(image))


def test_the_record_of_a_call_holds_the_files(norman, mirror):
    data = written(picture(6, 6))
    result = norman.invoke("mirror", {"Photo": data})
    found = norman.invocation(result.id)
    assert found.inputs["Photo"]["base64"]
    replayed = norman.replay(result.id)
    assert bytes(replayed["Mirrored"]) == bytes(result["Mirrored"])


def test_the_version_runs_in_this_process_alike(norman, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = written(picture(6, 11))
    model = norman.load("mirror")
    assert bytes(model(Photo=data)["Mirrored"]) == bytes(
        norman.invoke("mirror", {"Photo": data})["Mirrored"]
    )


def test_digits_from_a_png(norman, publish):
    publish(
        "ink",
        DIGITS,
        [{"display_title": "image", "data_encoding": "png", "layout": {
            "height": 8, "width": 8, "channels": "L", "flatten": True, "high": 16,
            "resize": "stretch"}}],
    )  # fmt: skip
    white = Image.new("L", (28, 28), 255)
    assert norman.invoke("ink", image=written(white)).value.tolist() == [64 * 16]


def test_a_model_that_takes_the_file_gets_the_file(norman, publish):
    publish("count", COUNT, [{"display_title": "photo", "data_encoding": "jpeg"}])
    data = written(picture(4, 4), "JPEG")
    assert norman.invoke("count", photo=data).value.endswith(f" {len(data)}")


# --- sound ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gain(publish):
    sound = [{"parameter_name": "samples"}, {"parameter_name": "rate"}]
    publish(
        "gain",
        GAIN,
        [{"display_title": "Sound", "data_encoding": "wav", "parameters": sound,
          "layout": {"dtype": "float64"}}],
        [{"display_title": "Louder", "data_encoding": "wav", "parameters": sound,
          "layout": {"dtype": "float64"}}],
    )  # fmt: skip


def wav(samples, rate, sample_bytes):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(sample_bytes)
        file.setframerate(rate)
        raw = samples.astype("<i4").tobytes()
        whole = np.frombuffer(raw, np.uint8).reshape(-1, 4)[:, :sample_bytes]
        file.writeframes(whole.tobytes())
    return buffer.getvalue()


def decoded(data):
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        packed = [frame.to_ndarray() for frame in frames]
        kind = frames[0].format
        joined = np.concatenate(packed, axis=1)
        if not kind.is_planar:
            joined = joined.reshape(-1, len(frames[0].layout.channels)).T
        scale = {"s16": 2**15, "s32": 2**31}.get(kind.name.removesuffix("p"), 1)
        return joined.astype(np.float64) / scale, rate


@pytest.mark.parametrize(
    ("rate", "channels", "sample_bytes"), [(8_000, 1, 2), (44_100, 2, 2), (48_000, 2, 3)]
)
def test_a_gain_is_exact_for_each_sample(norman, gain, rate, channels, sample_bytes):
    peak = 2 ** (8 * sample_bytes - 1)
    rng = np.random.default_rng(rate)
    samples = rng.integers(-peak // 2, peak // 2, (rate // 4, channels)) * 2  # halves are whole
    found, found_rate = decoded(norman.invoke("gain", Sound=wav(samples, rate, sample_bytes)).value)
    assert found_rate == rate
    assert found.shape == (channels, rate // 4)
    assert np.array_equal(found.T, samples / peak / 2)


def test_an_mp3_comes_out_as_a_wav(norman, gain):
    rate = 44_100
    tone = np.sin(np.arange(rate) / rate * 2 * np.pi * 440).astype(np.float32) * 0.5
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=rate)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    found, found_rate = decoded(norman.invoke("gain", Sound=buffer.getvalue(), gain=1.0).value)
    assert found_rate == rate
    assert np.allclose(found, decoded(buffer.getvalue())[0], atol=2**-15)
    spectrum = np.abs(np.fft.rfft(found[0][:rate]))
    assert abs(int(spectrum.argmax()) - 440) <= 2


def test_silence_of_no_samples_is_told(norman, gain):
    with pytest.raises(InputInvalid, match=r"'Sound'.*no samples") as error:
        norman.invoke("gain", Sound=wav(np.zeros((0, 1)), 8_000, 2))
    assert error.value.input == "Sound"


# --- video ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def invert(publish):
    film = [{"parameter_name": "frames"}, {"parameter_name": "rate"}]
    layout = {"dtype": "uint8", "axes": "THWC"}
    publish(
        "invert",
        INVERT,
        [{"display_title": "Film", "data_encoding": "mp4", "parameters": film, "layout": layout}],
        [{"display_title": "Negative", "data_encoding": "mp4", "parameters": film,
          "layout": layout}],
    )  # fmt: skip


def film(frames, rate=25, kind="mp4", codec="mpeg4"):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for rows in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(rows, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return buffer.getvalue()


def test_the_frames_of_a_film_are_inverted(norman, invert):
    frames = np.zeros((12, 48, 64, 3), np.uint8)
    frames[..., 0] = 200
    frames[6:] = 30
    result = norman.invoke("invert", Film=film(frames))
    assert (result.value.encoding, result.value.media_type) == ("mp4", "video/mp4")
    with av.open(io.BytesIO(result.value)) as container:
        found = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert container.streams.video[0].average_rate == 25
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - (255 - frames.astype(int))).mean() < 6


def test_an_mp4_of_sound_alone_is_told(norman, invert):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100)
        silence = np.zeros((1, 44_100), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(InputInvalid, match=r"'Film'.*no pictures: in it is audio"):
        norman.invoke("invert", Film=buffer.getvalue())


# --- what is no medium ----------------------------------------------------------------------


def bomb():
    """A PNG of 100 megapixels in 100 kB."""
    return written(Image.new("1", (10_000, 10_000)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (written(picture(40, 40))[:900], "cut off"),
        (bomb(), r"100.*million|100,000,000|pixels"),
        (b"hello, I am a text", "text, not a"),
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a"),
    ],
    ids=["truncated", "bomb", "text", "empty", "svg"],
)
def test_what_is_no_image_is_told_by_its_title(norman, mirror, data, said):
    with pytest.raises(InputInvalid, match=said) as error:
        norman.invoke("mirror", {"Photo": data})
    assert error.value.input == "Photo"
    assert "'Photo'" in error.value.message


def test_a_text_file_named_png_is_told(norman, mirror, tmp_path):
    path = tmp_path / "seven.png"
    path.write_text("not an image")
    with pytest.raises(InputInvalid, match=r"text, not a PNG"):
        norman.invoke("mirror", {"Photo": path})


def test_a_wrong_title_names_the_nearest(norman, mirror):
    with pytest.raises(InputInvalid, match=r"no input 'Foto'.*'Photo'"):
        norman.invoke("mirror", {"Foto": b"x"})


def test_many_at_once_are_each_answered_with_their_own(norman, mirror):
    rows = [{"Photo": written(picture(3, width))} for width in range(1, 40)]
    rows[20] = {"Photo": rows[20]["Photo"][:40]}
    found = norman.map("mirror", rows, in_flight=16)
    for place, row in enumerate(found.to_dict("records")):
        if place == 20:
            assert row["error"].startswith("InputInvalid: Input 'Photo': the value is")
        else:
            assert pixels(row["Mirrored"]).shape == (3, place + 1, 3)


def test_a_declaration_that_contradicts_the_model_fails_to_load(norman, tmp_path):
    (tmp_path / "model.py").write_text("def predict(x: str) -> str:\n    return x\n")
    with pytest.raises(LoadFailed, match="'Photo' is declared as image"):
        norman.upload(
            tmp_path,
            name="contrary",
            trust=True,
            inputs=[{"display_title": "Photo", "data_encoding": "png",
                     "parameters": [{"parameter_name": "x"}]}],
        )  # fmt: skip
