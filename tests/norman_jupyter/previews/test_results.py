"""Results shown small, whatever a model answers."""

from __future__ import annotations

import base64
import io
import re
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from norman_jupyter.client.results import InvokeResult
from norman_jupyter.previews import render_result


def make(outputs, **changes):
    facts = {
        "id": "018f0000000000000000000000000000",
        "version": "digits@2",
        "latency_ms": 1.534,
        "timings": {"queue": 0.04, "model": 1.2, "transfer": 0.29},
    }
    return InvokeResult(outputs=outputs, **{**facts, **changes})


def shown(outputs, **changes):
    bundle = render_result(make(outputs, **changes))
    assert set(bundle) == {"text/plain", "text/html"}
    return bundle["text/plain"], bundle["text/html"]


def size(bundle) -> int:
    return sum(len(text.encode()) for text in bundle.values())


def picture(kind: str, side=(640, 480), mode="RGB", noise=False) -> bytes:
    target = io.BytesIO()
    if noise:
        channels = len(mode)
        data = np.random.default_rng(0).integers(0, 256, (side[1], side[0], channels), np.uint8)
        image = Image.fromarray(data, mode=None)
    else:
        image = Image.new(mode, side)
    image.save(target, format=kind)
    return target.getvalue()


def test_footer_tells_version_latency_split_and_id():
    text, html = shown({"label": 7})
    expected = (
        "digits@2 · 1.53 ms (queue 0.040 ms, model 1.2 ms, transfer 0.290 ms) · "
        "id 018f0000000000000000000000000000"
    )
    assert text == f"label: 7\n{expected}"
    assert expected in html
    assert re.sub("<[^>]+>", "", html) == f"label 7{expected}"


def test_every_duration_is_in_ms():
    text, html = shown({"y": 1}, latency_ms=12_345.6, timings={"queue": 2e-5, "model": 12_000.0})
    for footer in (text, html):
        assert "12,346 ms (queue 0.000 ms, model 12,000 ms)" in footer


def test_numbers_of_a_matrix_share_one_notation_and_stand_in_columns():
    probabilities = np.full((5, 10), 3.2e-9, np.float32)
    probabilities[:, 3] = 0.998
    probabilities[2, 4] = 0.00123
    text, _ = shown({"y": probabilities})
    rows = text.split("\n")[1:6]
    assert rows[0] == "  [" + ", ".join(["0.0000"] * 3 + ["0.9980"] + ["0.0000"] * 6) + "]"
    assert "0.0012" in rows[2]
    assert {len(row) for row in rows} == {len(rows[0])}


@pytest.mark.parametrize(
    ("array", "row"),
    [
        (np.array([0.5, 0.25]), "[0.50, 0.25]"),
        (np.array([1.0, 20.0, -300.0]), "[1, 20, -300]"),
        (np.array([1234.5678, 0.001]), "[1234.57, 0.00]"),
        (np.array([1e-9, 2.5e-8]), "[1.000e-09, 2.500e-08]"),
        (np.array([1e20, 1.0]), "[1.000e+20, 1.000e+00]"),
        (np.array([-1e-9, 0.25]), "[0.00, 0.25]"),
        (np.array([0.5 + 2j, -1j]), "[0.5+2.0j, 0.0-1.0j]"),
        (np.array([[1.5, -10.0], [np.nan, 0.25]]), "[  1.50, -10.00]\n  [   nan,   0.25]"),
        (np.array([[1, 100], [20, -3]]), "[  1, 100]\n  [ 20,  -3]"),
    ],
    ids=range(9),
)
def test_one_notation_for_each_array(array, row):
    assert row in shown({"y": array})[0]


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.complex64, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    )
)
def test_any_array_is_shown(array):
    bundle = render_result(make({"y": array}))
    assert size(bundle) < 10_000


@pytest.mark.parametrize(
    ("shape", "size_shown"),
    [
        ((28, 28), (56, 56)),
        ((480, 640, 3), (160, 120)),
        ((8192, 8192), (160, 160)),
        ((64, 32, 4), (32, 64)),
        ((8, 8192, 3), (160, 1)),
    ],
)
def test_array_that_looks_like_a_picture_gets_a_thumbnail_beside_its_numbers(shape, size_shown):
    array = np.broadcast_to(np.uint8(200), shape)
    text, html = shown({"image": array})
    assert "mean 200" in text
    assert "mean 200" in html
    (encoded,) = re.findall(r'src="data:image/\w+;base64,([^"]+)"', html)
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as small:
        assert small.size == size_shown
        assert small.convert("L").getpixel((0, 0)) == 200
    assert len(html) < 20_000


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((7, 64), np.uint8),
        np.zeros((8, 8193), np.uint8),
        np.zeros((64, 64, 2), np.uint8),
        np.zeros((64, 64), np.float32),
        np.zeros((64, 64), np.int8),
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((0, 64), np.uint8),
    ],
    ids=range(7),
)
def test_other_arrays_get_no_thumbnail(array):
    assert "<img" not in shown({"y": array})[1]


def test_noise_as_an_array_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 4), np.uint8)
    assert size(render_result(make({"image": noise}))) < 40_000


def test_array_gets_no_thumbnail_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "<img" not in shown({"image": np.zeros((64, 64), np.uint8)})[1]


def test_only_the_first_arrays_get_thumbnails():
    picture = np.zeros((16, 16, 3), np.uint8)
    assert shown({f"image {i}": picture for i in range(10)})[1].count("<img") == 3


def test_array_is_summarised():
    text, html = shown({"probabilities": np.arange(20, dtype=np.float32).reshape(2, 10)})
    assert "probabilities (float32[2, 10]):" in text
    assert "min 0 · mean 9.5 · max 19" in text
    assert "float32[2, 10]" in html


def test_long_array_shows_its_beginning():
    text, _ = shown({"y": np.arange(1000)})
    assert "[0, 1, 2, 3, 4, 5, 6, 7, …]" in text
    assert "min 0 · mean 499.5 · max 999" in text


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.float32(0.5), ["y (float32): 0.5"]),
        (np.array([], np.float32), ["float32[0]", "no elements"]),
        (np.zeros((0, 3)), ["float64[0, 3]", "no elements"]),
        (np.array([True, False, True]), ["bool[3]", "2 of 3 true"]),
        (np.array([1.0, np.nan, np.inf]), ["[1, nan, inf]", "mean 1", "2 not finite"]),
        (np.array([np.nan, np.nan]), ["2 not finite"]),
        (np.array([1 + 2j, 0j]), ["complex128[2]", "1+2j"]),
        (np.array([60000, 60000], np.float16), ["mean 6e+04"]),
        (np.array([2**64 - 1, 0], np.uint64), ["18446744073709551615"]),
        (np.array(["a", "b" * 100], object), ["string[2]", "'a'", "…"]),
        (np.array([1.5, 2.5], ml_dtypes.bfloat16), ["bfloat16[2]", "mean 2"]),
        (np.array([1, 2, 3], ml_dtypes.int4), ["int4[3]", "[1, 2, 3]"]),
        (np.array([[1, 2], [3, 4]]), ["[1, 2]", "[3, 4]"]),
        (np.ones((2,) * 20, np.int8), ["int8[2, 2"]),
        (np.arange(12).reshape(3, 4).T, ["int64[4, 3]"]),
    ],
)
def test_every_kind_of_array(array, parts):
    text, html = shown({"y": array})
    for part in parts:
        assert part in text
    assert len(text) < 2000
    assert len(html) < 4000


def test_text_stands_as_it_is():
    text, html = shown({"answer": "Hello,\nworld"})
    assert "Hello,\n  world" in text
    assert "Hello,\nworld" in html
    assert "characters" not in text


def test_long_text_is_cut_and_its_length_told():
    text, _ = shown({"answer": "word " * 100_000})
    assert "answer (text, 500,000 characters)" in text
    assert len(text) < 2500


@pytest.mark.parametrize(
    "value", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;"]
)
def test_markup_in_outputs_is_escaped(value):
    for outputs in ({"y": value}, {"y": [value]}, {value: 1}, {"y": {value: value}}):
        _, html = shown(outputs, logs=value, version=value, id=value)
        assert value not in html.replace("&amp;lt;", "")
        assert "<script" not in html
        assert not re.search(r"<img(?! src=\"data:image/)", html)
    _, html = shown({"y": np.array([value], object)})
    assert value not in html.replace("&amp;lt;", "")


def test_terminal_escapes_and_reordering_marks_are_gone():
    text, html = shown(
        {"y": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eabc\x00 \ud800"}, logs="\x1b[2J!"
    )
    for shown_text in (text, html):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown_text)
        assert "red" in shown_text
        shown_text.encode()


def test_long_words_may_be_broken():
    _, html = shown({"y": "x" * 10_000})
    assert "overflow-wrap:anywhere" in html


def test_json_is_one_line_where_it_fits_and_indented_where_not():
    text, _ = shown({"y": {"label": "seven", "scores": [0.1, 0.9]}})
    assert 'y: {"label": "seven", "scores": [0.1, 0.9]}' in text
    text, _ = shown({"y": {f"key {i}": "value " * 5 for i in range(6)}})
    assert '\n    "key 0": "value value value value value ",\n' in text


def test_numbers_in_json_stand_in_one_line():
    text, _ = shown({"y": {"scores": [i / 7 for i in range(20)], "words": ["a"] * 100}})
    lines = text.split("\n")
    assert lines[2].startswith('    "scores": [0.0, 0.14285714285714285, ')
    assert lines[2].endswith("2.7142857142857144],")
    assert lines[3].endswith('"a", … 60 more]')
    text, _ = shown({"y": ["a sentence that is longer than a word"] * 10})
    assert text.count("\n") > 10


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({str(i): i for i in range(1_000_000)}, "… 999,988 more"),
        (list(range(1_000_000)), "y (json, 1,000,000 items)"),
        ({"a": "x" * 10_000_000}, "…"),
        (2**100_000, "an integer of 100,001 bits"),
        (None, "y: null"),
        (True, "y: true"),
        ([], "y: []"),
        ({}, "y: {}"),
        ({1: 2}, '{"1": 2}'),
        ("", "y"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_every_kind_of_json(value, part):
    bundle = render_result(make({"y": value}))
    assert part in bundle["text/plain"]
    assert size(bundle) < 6000


def test_json_of_any_depth_is_cut():
    deep = leaf = []
    for _ in range(100_000):
        leaf.append([])
        leaf = leaf[0]
    bundle = render_result(make({"y": deep, "z": {"a": deep}}))
    assert "[…]" in bundle["text/plain"]
    assert size(bundle) < 6000
    while deep:  # a list so deep would overflow the interpreter's stack when it is freed
        deep = deep.pop()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_picture_becomes_a_thumbnail(kind):
    data = picture(kind)
    text, html = shown({"image": data})
    assert f"image/{kind.lower()}" in text
    assert "640 x 480 pixels" in text
    media_type, encoded = re.search(r'src="data:(image/\w+);base64,([^"]+)"', html).groups()
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as small:
        assert max(small.size) <= 160
        assert media_type == f"image/{small.format.lower()}"


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_thumbnail_of_noise_stays_small(mode):
    bundle = render_result(make({"image": picture("PNG", (2000, 2000), mode, noise=True)}))
    assert '<img src="data:image/jpeg' in bundle["text/html"]
    assert size(bundle) < 40_000


def test_palette_with_transparency_becomes_a_thumbnail():
    target = io.BytesIO()
    Image.new("P", (50, 50)).save(target, format="GIF", transparency=0)
    _, html = shown({"image": target.getvalue()})
    assert "<img" in html


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 1000,
        b"\xff\xd8\xff" + b"\x00" * 1000,
        b"GIF89a" + b"\xff" * 100,
        b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"\x01" * 50,
    ],
)
def test_broken_picture_is_described(data):
    text, html = shown({"image": data})
    assert "image/" in text
    assert "<img" not in html


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_picture_never_raises(noise, at):
    data = bytearray(_PNG)
    data[at : at + len(noise)] = noise
    render_result(make({"image": bytes(data)}))


_PNG = picture("PNG", (64, 64), noise=True)


def test_picture_too_large_to_decode_is_described():
    header = bytearray(picture("PNG", (1, 1)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    text, html = shown({"image": bytes(header)})
    assert "image/png" in text
    assert "<img" not in html


def test_other_bytes_are_described():
    text, _ = shown(
        {"a": b"%PDF-1.7 ...", "b": bytes(range(256)), "c": b"", "d": bytearray(b"PK\x03\x04")}
    )
    assert "a (application/pdf, 12 B)" in text
    assert "b (bytes, 256 B): 00 01 02 03" in text
    assert "c (bytes, 0 B)" in text
    assert "d (application/zip, 4 B)" in text


def test_only_the_first_pictures_are_decoded():
    data = picture("PNG", (10, 10))
    _, html = shown({f"image {i}": data for i in range(10)})
    assert html.count("<img") == 3
    _, html = shown({**{f"number {i}": i for i in range(10)}, "image": data})
    assert html.count("<img") == 1


def test_many_outputs_are_counted():
    text, html = shown({f"y{i}": i for i in range(1000)})
    assert "… and 984 more outputs" in text
    assert "984 more" in html


def test_no_outputs():
    assert shown({})[0].startswith("no outputs\n")


def test_end_of_the_logs_is_shown_in_a_fold():
    text, html = shown({"y": 1}, logs="".join(f"line {i}\n" for i in range(1000)))
    assert "line 999" in text
    assert "line 900" not in text
    assert "<details>" in html
    assert "<details>" not in shown({"y": 1}, logs=" \n")[1]


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.zeros(25_000_000, np.float32)},
        {"y": "x" * 10_000_000},
        {"y": "<" * 10_000_000},
        {"y": "\n" * 10_000_000},
        {"y": b"\xff" * 10_000_000},
        {f"output {i}": "<é\n" * 10_000 for i in range(1000)},
        {f"output {i}": ["<" * 1000] * 1000 for i in range(100)},
        {"n" * 10_000: "x"},
        {"y": np.array(["<" * 1_000_000] * 100, object)},
        {"y": [{"a": ["<" * 500] * 50}] * 50},
    ],
    ids=range(10),
)
def test_saved_notebook_stays_small(outputs):
    bundle = render_result(make(outputs, logs="<" * 10**6))
    assert size(bundle) < 100_000


def test_result_shows_itself():
    result = make({"label": 7})
    assert result._repr_mimebundle_() == render_result(result)
    assert repr(result).startswith("label: 7\ndigits@2")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_shown(value):
    bundle = render_result(make({"y": value}))
    for text in bundle.values():
        text.encode()
    assert size(bundle) < 40_000
