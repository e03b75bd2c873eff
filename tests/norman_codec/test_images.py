from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from media_files import image_file, png_chunks, png_header
from PIL import Image, ImageOps

from norman_codec.faults import MediaFault
from norman_codec.images import decode_image, encode_image
from norman_protocol.media import Layout, MediaLimits

LIMITS = MediaLimits()
BYTES = Layout(dtype="uint8", axes="HWC", low=0, high=255)
GREY = Layout(dtype="uint8", axes="HW", channels="L", low=0, high=255)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def decoded(content: bytes, layout: Layout = BYTES, limits: MediaLimits = LIMITS) -> np.ndarray:
    return decode_image(content, layout, limits)


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 48)])
def test_mirrored_png_equals_pillows_mirror_pixel_for_pixel(size):
    picture = Image.fromarray(noise(size[1], size[0], 3))
    tensor = decode_image(image_file(picture), Layout(), LIMITS)
    assert (tensor.dtype, tensor.shape) == (np.float32, (1, 3, size[1], size[0]))
    mirrored = opened(encode_image(tensor[..., ::-1], Layout(), "png"))
    assert mirrored.mode == "RGB"
    assert np.array_equal(np.asarray(mirrored), np.asarray(ImageOps.mirror(picture)))


def test_default_layout_is_what_torchvision_makes_of_an_image():
    pixels = noise(4, 6, 3)
    tensor = decoded(image_file(pixels), Layout())
    expected = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / np.float32(255)
    assert np.array_equal(tensor, expected)


def test_every_level_of_light_comes_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for layout in (
        Layout(axes="HW", channels="L"),
        Layout(axes="HW", channels="L", low=-1, high=1),
        Layout(axes="HW", channels="L", mean=(0.4,), std=(0.2,)),
        Layout(axes="HW", channels="L", dtype="float16", low=-1, high=1),
        Layout(axes="HW", channels="L", dtype="int8", low=-128, high=127),
        Layout(axes="HW", channels="L", dtype="uint16", low=0, high=65_535),
    ):
        tensor = decoded(image_file(levels), layout)
        assert tensor.dtype == layout.dtype
        written = np.asarray(opened(encode_image(tensor, layout, "png")))
        assert np.array_equal(written // (257 if written.dtype != np.uint8 else 1), levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    picture = Image.fromarray(np.kron(noise(3, 4, 3), np.ones((16, 16, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = image_file(picture, "JPEG", exif=exif, quality=95)
    expected = ImageOps.exif_transpose(opened(content))
    assert np.array_equal(decoded(content), np.asarray(expected))


def test_orientation_that_means_nothing_leaves_the_image():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert decoded(image_file(noise(2, 3, 3), exif=exif)).shape == (2, 3, 3)


def test_transparency_is_kept_where_the_model_takes_it():
    pixels = noise(5, 4, 4)
    layout = Layout(dtype="uint8", axes="CHW", channels="RGBA", low=0, high=255)
    tensor = decoded(image_file(pixels), layout)
    assert np.array_equal(tensor, pixels.transpose(2, 0, 1))
    again = opened(encode_image(tensor, layout, "png"))
    assert again.mode == "RGBA"
    assert np.array_equal(np.asarray(again), pixels)


def test_what_is_clear_lies_on_white():
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    assert decoded(image_file(pixels)).tolist() == [
        [[10, 20, 30], [255, 255, 255], [127, 127, 127]]
    ]


def test_opaque_image_has_full_alpha_where_the_model_takes_it():
    layout = Layout(dtype="uint8", axes="HWC", channels="BGRA", low=0, high=255)
    tensor = decoded(image_file(np.array([[[1, 2, 3]]], np.uint8)), layout)
    assert tensor.tolist() == [[[3, 2, 1, 255]]]


def test_jpeg_has_no_transparency_and_is_written_on_white():
    layout = Layout(dtype="uint8", axes="HWC", channels="RGBA", low=0, high=255)
    content = encode_image(np.zeros((8, 8, 4), np.uint8), layout, "jpeg")
    assert opened(content).getpixel((4, 4)) == (255, 255, 255)


def test_palette_with_a_clear_colour():
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    assert decoded(image_file(picture)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert decoded(image_file(picture, transparency=1)).tolist() == [[[255, 0, 0], [255] * 3]]


def test_grey_with_alpha_and_one_bit():
    clear = Image.merge("LA", (Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 0)))
    assert decoded(image_file(clear)).tolist() == [[[255, 255, 255]]]
    assert decoded(image_file(Image.new("1", (1, 1), 1)), GREY).tolist() == [[255]]


def test_grey_stands_for_all_colours_and_colours_become_grey():
    assert decoded(image_file(np.array([[7]], np.uint8))).tolist() == [[[7, 7, 7]]]
    red = np.array([[[255, 0, 0]]], np.uint8)
    expected = Image.fromarray(red).convert("L").getpixel((0, 0))
    assert decoded(image_file(red), GREY).tolist() == [[expected]]


def test_sixteen_bits_of_grey_keep_their_range_and_depth():
    levels = np.array([[0, 1, 256, 40_000, 65_535]], np.uint16)
    content = image_file(levels)
    deep = Layout(dtype="uint16", axes="HW", channels="L", low=0, high=65_535)
    assert np.array_equal(decoded(content, deep), levels)
    assert np.array_equal(
        decoded(content, Layout(axes="HW", channels="L")), (levels / 65_535).astype(np.float32)
    )
    assert decoded(content, GREY).tolist() == [[0, 0, 1, 156, 255]]
    assert decoded(content).tolist() == [[[v] * 3 for v in (0, 0, 1, 156, 255)]]
    rgba = decoded(content, Layout(dtype="uint8", axes="HWC", channels="RGBA", low=0, high=255))
    assert rgba.tolist() == [[[v, v, v, 255] for v in (0, 0, 1, 156, 255)]]
    again = opened(encode_image(levels, deep, "png"))
    assert np.array_equal(np.asarray(again), levels)


def test_sixteen_bits_of_grey_are_resized_in_their_depth():
    levels = np.full((8, 8), 40_001, np.uint16)
    for how in ("stretch", "cover"):
        layout = Layout(
            dtype="uint16", axes="HW", channels="L", low=0, high=65_535, height=4, width=2,
            resize=how,
        )  # fmt: skip
        assert np.array_equal(decoded(image_file(levels), layout), np.full((4, 2), 40_001))


def test_sixteen_bits_of_grey_are_turned_and_fitted():
    levels = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
    deep = Layout(dtype="uint16", axes="HW", channels="L", low=0, high=65_535)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decoded(image_file(levels, exif=exif), deep)
    assert np.array_equal(turned, np.rot90(levels, -1))
    between = replace(deep, height=4, width=3, resize="fit")
    assert np.array_equal(decoded(image_file(levels), between)[1:3], levels)


def test_cmyk_jpeg():
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    content = image_file(picture, "JPEG", quality=100)
    assert np.array_equal(decoded(content), np.asarray(opened(content).convert("RGB")))
    assert decoded(content)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=4)


def test_channel_order_and_axes():
    content = image_file(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    layout = Layout(dtype="uint8", axes="WCH", channels="BGR", low=0, high=255)
    tensor = decoded(content, layout)
    assert tensor.tolist() == [[[3], [2], [1]], [[6], [5], [4]]]
    assert encode_image(tensor, layout, "png") == encode_image(decoded(content), BYTES, "png")


def test_range_and_normalisation():
    content = image_file(np.array([[[0, 128, 255]]], np.uint8))
    layout = Layout(low=-1, high=1, mean=(0.5, 0.0, -0.5), std=(0.5, 1.0, 2.0))
    levels = np.array([0, 128, 255]) / 255 * 2 - 1
    expected = (levels - [0.5, 0.0, -0.5]) / [0.5, 1.0, 2.0]
    assert decoded(content, layout).ravel() == pytest.approx(expected, rel=1e-6)


def test_one_number_of_mean_and_std_is_for_all_channels():
    content = image_file(np.array([[[255, 255, 255]]], np.uint8))
    layout = Layout(mean=(0.5,), std=(0.25,))
    assert decoded(content, layout).ravel().tolist() == [2.0, 2.0, 2.0]


def test_flattened_digits():
    pixels = noise(8, 8)
    layout = Layout(channels="L", height=8, width=8, flatten=True, high=16)
    tensor = decoded(image_file(pixels), layout)
    assert tensor.shape == (1, 64)
    assert tensor[0] == pytest.approx(pixels.ravel() / 255 * 16, rel=1e-6)
    assert np.array_equal(np.asarray(opened(encode_image(tensor, layout, "png"))), pixels)


def test_flattened_without_a_size_cannot_be_an_output():
    layout = Layout(axes="HW", channels="L", flatten=True)
    with pytest.raises(MediaFault, match="H and W can't be told"):
        encode_image(np.zeros(64, np.float32), layout, "png")


def test_other_size_is_refused_where_nothing_is_said():
    with pytest.raises(MediaFault, match=r"6 by 4 pixels, and the model takes 8 by 8.*declare"):
        decoded(image_file(noise(4, 6)), Layout(height=8, width=8))


def striped() -> Image.Image:
    """Red, green, blue from left to right, twice as wide as high."""
    pixels = np.zeros((30, 60, 3), np.uint8)
    for place in range(3):
        pixels[:, place * 20 : place * 20 + 20, place] = 255
    return Image.fromarray(pixels)


def test_resized_by_stretching():
    layout = Layout(dtype="uint8", axes="HWC", low=0, high=255, height=6, width=6, resize="stretch")
    tensor = decoded(image_file(striped()), layout)
    assert tensor[3, 0].tolist() == [255, 0, 0]
    assert tensor[3, 5].tolist() == [0, 0, 255]


def test_resized_to_fit_between_bars():
    layout = Layout(dtype="uint8", axes="HWC", low=0, high=255, height=12, width=12, resize="fit")
    tensor = decoded(image_file(striped()), layout)
    assert not tensor[:3].any()
    assert not tensor[9:].any()
    assert tensor[6, 0].tolist() == [255, 0, 0]
    assert tensor[6, 11].tolist() == [0, 0, 255]


def test_resized_to_cover():
    layout = Layout(dtype="uint8", axes="HWC", low=0, high=255, height=6, width=6, resize="cover")
    tensor = decoded(image_file(striped()), layout)
    assert (tensor[:, 2:4, 1] == 255).all()
    assert tensor[..., 1].sum() > tensor[..., 0].sum()


def test_resizing_averages_what_it_takes_together():
    board = np.indices((64, 64)).sum(axis=0).astype(np.uint8) % 2 * 255
    layout = Layout(
        dtype="uint8", axes="HW", channels="L", low=0, high=255, height=8, width=8, resize="stretch"
    )
    assert np.abs(decoded(image_file(board), layout).astype(int) - 128).max() < 10


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_formats_are_close(form):
    smooth = np.stack([np.indices((32, 32))[0] * 7, np.indices((32, 32))[1] * 7] * 2)[:3]
    pixels = smooth.transpose(1, 2, 0).astype(np.uint8)
    content = image_file(pixels, form, quality=95)
    assert np.array_equal(decoded(content), np.asarray(opened(content).convert("RGB")))
    written = encode_image(pixels, BYTES, form.lower())
    assert opened(written).format == form
    assert np.abs(np.asarray(opened(written)).astype(int) - pixels).max() < 16


def test_animation_gives_its_first_picture():
    first, second = Image.new("RGB", (2, 2), "red"), Image.new("RGB", (2, 2), "blue")
    for form in ("PNG", "WEBP"):
        content = image_file(first, form, save_all=True, append_images=[second], lossless=True)
        assert decoded(content)[0, 0].tolist() == [255, 0, 0]


def test_output_is_clamped():
    layout = Layout(axes="HW", channels="L")
    values = np.array([[-5.0, 0.5, 7.0, np.inf, -np.inf]], np.float32)
    written = np.asarray(opened(encode_image(values, layout, "png")))
    assert written.tolist() == [[0, 128, 255, 255, 0]]


@pytest.mark.parametrize(
    ("tensor", "layout", "message"),
    [
        (np.full((2, 2), np.nan, np.float32), Layout(axes="HW", channels="L"), "holds NaN"),
        (np.zeros((2, 2), np.uint8), Layout(axes="HW", channels="L"), "gave uint8"),
        (np.zeros((2, 2), np.float32), GREY, "gave float32"),
        (np.zeros((2, 2), bool), GREY, "gave bool"),
        (np.zeros((1, 4, 2, 2), np.float32), Layout(), r"\[1,3,\?,\?\] .*gave \[1,4,2,2\]"),
        (np.zeros((2, 3, 2, 2), np.float32), Layout(), r"gave \[2,3,2,2\]"),
        (np.zeros((1, 3, 0, 2), np.float32), Layout(), "is empty"),
        (np.zeros((3, 2, 2), np.float32), Layout(), r"gave \[3,2,2\]"),
    ],
)
def test_output_that_is_no_image_is_refused(tensor, layout, message):
    with pytest.raises(MediaFault, match=message):
        encode_image(tensor, layout, "png")


def test_float64_is_written_where_float32_was_said():
    layout = Layout(axes="HW", channels="L")
    assert opened(encode_image(np.ones((1, 1)), layout, "png")).getpixel((0, 0)) == 255


def test_image_too_large_for_its_format_is_refused():
    with pytest.raises(MediaFault, match=r"16,384 by 1 pixels can't be written as webp.*png"):
        encode_image(np.zeros((1, 16_384), np.uint8), GREY, "webp")


# Wrong input


def test_truncated_png_is_refused():
    content = image_file(noise(40, 40, 3))
    with pytest.raises(MediaFault, match=r"is cut off.*again"):
        decoded(content[: len(content) // 2])


def test_truncated_jpeg_and_webp_are_refused():
    for form in ("JPEG", "WEBP"):
        content = image_file(noise(40, 40, 3), form)
        with pytest.raises(MediaFault, match=r"is (cut off|damaged)"):
            decoded(content[: len(content) // 2])


def measured(content: bytes, match: str, layout: Layout = BYTES) -> int:
    """Return the most memory that was taken while a file was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(MediaFault, match=match):
            decoded(content, layout)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_png_of_100_megapixels_in_100_kilobytes_is_refused_before_memory_is_taken():
    rows = zlib.compress(bytes(10_000 * 10_001), 9)
    content = png_chunks(png_header(10_000, 10_000), (b"IDAT", rows), (b"IEND", b""))
    assert len(content) < 100_000
    taken = measured(content, r"10,000 by 10,000 pixels, which are 100 million; 64 million")
    assert taken < 1 << 20


def test_png_that_says_to_be_beyond_any_memory_is_refused():
    content = png_chunks(png_header(2**31 - 1, 2**31 - 1), (b"IDAT", b""), (b"IEND", b""))
    with pytest.raises(MediaFault, match="2,147,483,647 by"):
        decoded(content)


def test_webp_size_is_checked_before_its_decoder_takes_memory():
    canvas = struct.pack("<I", 0x10) + (16_000).to_bytes(3, "little") * 2
    content = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    with pytest.raises(MediaFault, match="16,001 by 16,001"):
        decoded(content)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_size_is_read_from_the_header_of_each_kind(lossless):
    content = image_file(noise(20, 30, 3), "WEBP", lossless=lossless)
    with pytest.raises(MediaFault, match="30 by 20 pixels"):
        decoded(content, limits=MediaLimits(pixels=599))
    assert decoded(content, limits=MediaLimits(pixels=600)).shape == (20, 30, 3)


def test_decoded_bytes_are_limited_before_they_are_taken():
    content = image_file(np.zeros((1000, 1000), np.uint8))
    limits = MediaLimits(decoded_bytes=12_000_000)
    with pytest.raises(MediaFault, match=r"takes 15 MiB .*11 MiB are allowed"):
        decode_image(content, Layout(), limits)
    assert decode_image(content, Layout(dtype="uint8", high=255), limits).size == 3_000_000


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_text_and_profiles_that_inflate_beyond_measure_are_refused(name):
    bomb = zlib.compress(bytes(200 << 20), 9)
    data = b"name\0\0" + (b"\0\0" if name == b"iTXt" else b"") + bomb
    if name == b"iTXt":
        data = b"name\0\x01\0\0\0" + bomb
    pixels = (b"IDAT", zlib.compress(b"\0\0"))
    content = png_chunks(png_header(1, 1), (name, data), pixels, (b"IEND", b""))
    assert measured(content, "is damaged") < 16 << 20


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"Dear Sir or Madam,\n", "is text, not a PNG, JPEG or WebP image"),
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"", "is an empty file"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"GIF89a" + bytes(20), "is a GIF image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "is a WAV sound"),
        (b"\0\0\0\x1cftypisom", "is an MP4"),
        (bytes(100), "is a file of an unknown kind"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(content, what):
    with pytest.raises(MediaFault, match=what):
        decoded(content)


def test_postscript_and_other_decoders_of_pillow_are_never_reached():
    with pytest.raises(MediaFault, match="is text"):
        decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def test_48_megapixels_pass_within_the_limits_and_in_bounded_memory():
    picture = Image.new("L", (8_000, 6_000), 200)
    content = image_file(picture, compress_level=1)
    tracemalloc.start()
    try:
        tensor = decode_image(content, Layout(channels="L", dtype="float16"), LIMITS)
        assert tensor.shape == (1, 1, 6_000, 8_000)
        # NumPy tells of its memory; the tensor and one strip at a time is all that it holds.
        assert tracemalloc.get_traced_memory()[1] < tensor.nbytes + (32 << 20)
    finally:
        tracemalloc.stop()
    again = opened(encode_image(tensor[..., ::-1], Layout(channels="L"), "png"))
    assert again.size == (8_000, 6_000)
    assert again.getextrema() == (200, 200)
