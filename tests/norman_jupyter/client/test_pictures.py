"""Pictures as inputs: what callers hold becomes a file that loses nothing."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from norman_jupyter import InputInvalid, Media
from norman_jupyter.client.inputs import encode_inputs, is_slow
from norman_jupyter.client.pictures import PictureInputs, is_picture_array
from norman_protocol.values import Value


def decoded(value: Value) -> Image.Image:
    assert (value.kind, value.encoding) == ("bytes", "png")
    return Image.open(io.BytesIO(bytes(value.buffer)))


def encoded(item: Any, *pictures: str) -> Value:
    return encode_inputs({"x": item}, pictures)["x"]


def random_image(mode: str) -> Image.Image:
    random = np.random.default_rng(0)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65_536, (5, 7), np.uint16))
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    if mode == "1":
        return Image.fromarray(random.integers(0, 2, shape).astype(bool))
    if mode == "P":
        return Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8)).quantize(16)
    return Image.fromarray(random.integers(0, 256, shape, np.uint8), mode=None)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_image_of_pillow_keeps_every_bit(mode) -> None:
    image = random_image(mode)
    assert image.mode == mode
    twin = decoded(encoded(image))
    assert np.array_equal(np.asarray(twin.convert(mode)), np.asarray(image))
    if mode == "P":
        assert np.array_equal(np.asarray(twin.convert("RGB")), np.asarray(image.convert("RGB")))


def test_transparent_colour_of_a_palette_is_kept() -> None:
    image = random_image("P")
    image.info["transparency"] = 3
    assert decoded(encoded(image)).info["transparency"] == 3


def test_image_is_sent_upright_as_its_file_would_be() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    target = io.BytesIO()
    Image.new("RGB", (40, 20)).save(target, format="JPEG", exif=exif)
    image = Image.open(io.BytesIO(target.getvalue()))
    assert image.size == (40, 20)
    assert decoded(encoded(image)).size == (20, 40)


@pytest.mark.parametrize(
    ("mode", "wanted"), [("CMYK", "RGB"), ("F", "RGB"), ("I", "RGB"), ("La", "RGBA")]
)
def test_image_that_png_does_not_hold_is_refused(mode, wanted) -> None:
    with pytest.raises(InputInvalid, match=rf"'x' is an image of mode {mode}.*convert\('{wanted}'"):
        encoded(Image.new(mode, (2, 2)))


def test_damaged_image_names_the_input() -> None:
    target = io.BytesIO()
    random_image("RGB").resize((500, 500)).save(target, format="PNG")
    image = Image.open(io.BytesIO(target.getvalue()[:300]))
    with pytest.raises(InputInvalid, match="'x' can't be encoded as PNG") as caught:
        encoded(image)
    assert caught.value.input == "x"


def test_media_given_back_keep_their_encoding() -> None:
    value = encoded(Media(b"RIFF", encoding="wav"))
    assert (value.kind, value.encoding, bytes(value.buffer)) == ("bytes", "wav", b"RIFF")


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9))
        | st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4])),
    )
)
def test_array_for_an_image_keeps_every_pixel(array) -> None:
    assert np.array_equal(np.asarray(decoded(encoded(array, "x"))), array)
    turned = array[::-1, ::-1]
    assert np.array_equal(np.asarray(decoded(encoded(turned, "x"))), turned)


def test_array_for_anything_else_is_a_tensor() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert encoded(pixels).kind == "tensor"
    assert encoded(pixels.astype(np.float32), "x").kind == "tensor"


@pytest.mark.parametrize(
    "item",
    [
        np.zeros((4, 4, 3), np.int8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        [[1, 2]],
        None,
    ],
    ids=range(7),
)
def test_what_is_no_picture(item) -> None:
    assert not is_picture_array(item)


def test_pictures_are_encoded_off_the_loop() -> None:
    assert is_slow({"x": Image.new("L", (1, 1))})
    assert is_slow({"x": np.zeros((2, 2), np.uint8)}, {"x"})
    assert not is_slow({"x": np.zeros((2, 2), np.uint8)})
    assert is_slow({"x": Path("absent")})


def refusal(name: str, modality: str) -> InputInvalid:
    return InputInvalid("no", input=name, modality=modality)


def test_refusals_teach_which_inputs_are_images() -> None:
    pictures, pixels = PictureInputs(), {"a": np.zeros((2, 2), np.uint8), "b": 1}
    assert pictures.of("m") == frozenset()
    assert pictures.learn("m", refusal("a", "image"), pixels)
    assert pictures.of("m") == {"a"}
    assert pictures.of("m@2") == frozenset()
    assert not pictures.learn("m", refusal("a", "image"), pixels)
    assert pictures.learn("m", refusal("a", "tensor"), pixels)
    assert pictures.of("m") == frozenset()
    assert not pictures.learn("m", refusal("a", "tensor"), pixels)


def test_other_refusals_teach_nothing() -> None:
    pictures, inputs = PictureInputs(), {"a": np.zeros(2), "b": 1}
    assert not pictures.learn("m", refusal("a", "image"), inputs)
    assert not pictures.learn("m", refusal("absent", "image"), inputs)
    assert not pictures.learn("m", InputInvalid("no"), inputs)


def test_nothing_of_pillow_is_loaded_for_other_inputs() -> None:
    script = (
        "import sys; from norman_jupyter.client.inputs import encode_inputs;"
        "encode_inputs({'x': 1, 'y': 'text', 'z': b'z'});"
        "print([m for m in ('PIL', 'numpy') if m in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.strip() == "[]"
