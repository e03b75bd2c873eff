"""Properties of every layout that the protocol allows, on images, video and sound."""

from __future__ import annotations

import io
from itertools import permutations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from media_files import image_file
from PIL import Image

from norman_codec.images import decode_image, encode_image
from norman_codec.pixels import PixelReader, PixelWriter
from norman_codec.samples import float_type, samples_to_tensor, tensor_to_samples
from norman_protocol.errors import ConfigurationInvalid
from norman_protocol.media import Layout, MediaLimits, Modality, check_layout
from norman_protocol.signature import layout_shape

FLOATS = ("float16", "float32", "float64")
WHOLE = {"uint8": (0, 255), "uint16": (0, 65_535), "int8": (-128, 127), "int16": (-32_768, 32_767)}
WHOLE["int32"] = (-(2**31), 2**31 - 1)


def axes_of(*sets: str) -> list[str]:
    return ["".join(order) for letters in sets for order in permutations(letters)]


@st.composite
def layouts(draw, modality: Modality, *sets: str) -> Layout:
    dtype = draw(st.sampled_from([*FLOATS, *WHOLE]))
    axes = draw(st.sampled_from(axes_of(*sets)))
    sound = modality is Modality.AUDIO
    channels = draw(st.sampled_from(["RGB", "BGR", "RGBA", "BGRA", "L"] if "C" in axes else ["L"]))
    low, high = WHOLE.get(dtype, (-1.0, 1.0) if sound else draw(st.sampled_from([(0, 1), (-1, 1)])))
    normalised = not sound and dtype in ("float32", "float64") and draw(st.booleans())
    layout = Layout(
        dtype=dtype,
        axes=axes,
        channels="RGB" if sound else channels,
        low=low,
        high=high,
        mean=(0.45,) if normalised else (),
        std=(0.225,) if normalised else (),
        mono=sound and "C" not in axes,
        flatten=draw(st.booleans()) and not sound,
        height=None if sound else 3,
        width=None if sound else 4,
    )
    try:
        check_layout(modality, layout, "x")
    except ConfigurationInvalid:
        assume(False)
    return layout


@given(layouts(Modality.IMAGE, "HW", "CHW", "NHW", "NCHW"), st.integers(0, 2**32 - 1))
def test_image_that_goes_in_and_out_is_the_same(layout, seed):
    count = len(layout.channels)
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, count), dtype=np.uint8)
    content = image_file(pixels if count > 1 else pixels[..., 0])
    tensor = decode_image(content, layout, MediaLimits())
    assert tensor.dtype == layout.dtype
    assert tensor.shape == layout_shape(Modality.IMAGE, layout)
    picture = Image.open(io.BytesIO(encode_image(tensor, layout, "png")))
    again = np.asarray(picture).reshape(3, 4, count)
    deep = picture.mode == "I;16"
    assert np.array_equal(again // 257 if deep else again, pixels)


@given(layouts(Modality.VIDEO, "THW", "CTHW", "NCTHW"), st.integers(0, 2**32 - 1))
def test_frames_that_go_in_and_out_are_the_same(layout, seed):
    count = len(layout.channels)
    frames = np.random.default_rng(seed).integers(0, 256, (2, 3, 4, count), dtype=np.uint8)
    writer = PixelWriter(layout, frames=2, height=3, width=4)
    for place, pixels in enumerate(frames):
        writer.write(pixels, peak=255, frame=place)
    reader = PixelReader(writer.finish(), layout, Modality.VIDEO)
    again = np.stack([reader.read(place).reshape(3, 4, count) for place in range(reader.frames)])
    assert np.array_equal(again, frames)


@given(layouts(Modality.AUDIO, "T", "CT", "NT", "NCT"), st.integers(1, 3), st.data())
def test_sound_that_goes_in_and_out_is_the_same(layout, channels, data):
    channels = 1 if layout.mono else channels
    bits = {"uint8": 8, "int8": 8, "float16": 11}.get(layout.dtype, 16)
    most = 1 << (bits - 1)
    levels = data.draw(
        st.lists(
            st.lists(st.integers(-most, most - 1), min_size=5, max_size=5),
            min_size=channels,
            max_size=channels,
        )
    )
    samples = np.array(levels, float_type(layout)) / most
    tensor = samples_to_tensor(samples.copy(), layout)
    assert tensor.dtype == layout.dtype
    assert np.array_equal(tensor_to_samples(tensor, layout), samples)


@given(st.sampled_from([*FLOATS, *WHOLE]), st.integers(0, 2**32 - 1))
def test_any_numbers_become_light_within_black_and_white(dtype, seed):
    low, high = WHOLE.get(dtype, (0, 1))
    layout = Layout(dtype=dtype, axes="HW", channels="L", low=low, high=high)
    size = np.dtype(dtype).itemsize
    raw = np.random.default_rng(seed).integers(0, 256, 64 * size, dtype=np.uint8)
    tensor = np.nan_to_num(raw.view(dtype), nan=0.5 if dtype in FLOATS else 0).reshape(8, 8)
    levels = PixelReader(tensor, layout, Modality.IMAGE).read()
    middle = tensor.astype(np.float64).clip(low, high)
    expected = (middle - low) / (high - low) * 255
    assert np.abs(levels - expected).max() <= 0.5 + 1e-3


def test_loudest_numbers_become_the_loudest_sound():
    layout = Layout(axes="T", mono=True, low=-0.001, high=0.001)
    tensor = np.array([3e38, -3e38, np.inf], np.float32)
    assert tensor_to_samples(tensor, layout).tolist() == [[1, -1, 1]]
