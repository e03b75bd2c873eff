from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_codec.faults import MediaFault
from norman_codec.texts import decode_text, encode_text

SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nWorld --\n"
VTT = "WEBVTT - a film\n\nNOTE a --> b\n\n00:01.000 --> 00:02.500 align:start\nHello\n"
ASS = "[Script Info]\nTitle: x\n\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,0,0,0,,Hi\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Grüße 🙂".encode(), "utf8"),
        ("Grüße 🙂".encode("utf-8-sig"), "txt"),
        ("Grüße 🙂".encode("utf-16"), "utf16"),
        ("Grüße 🙂".encode("utf-16-le"), "utf16"),
        (b"\xfe\xff" + "Grüße 🙂".encode("utf-16-be"), "utf16"),
        (b"\xff\xfe" + "Grüße 🙂".encode("utf-16-le"), "txt"),
        ("Grüße 🙂".encode("utf-8-sig"), "utf16"),
    ],
)
def test_text_is_decoded(content, encoding):
    assert decode_text(content, encoding) == "Grüße 🙂"


def test_empty_text_is_text():
    assert [decode_text(b"", name) for name in ("txt", "utf8", "utf16", "srt")] == [""] * 4


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"Gr\xfc\xdfe", "utf8", r"no UTF-8: the bytes from 2 on \(fc df 65\)"),
        (b"\xef\xbb\xbfab\xff", "txt", r"no UTF-8: the bytes from 5 on \(ff\)"),
        (b"\xff\xfea\0\0\xdc", "utf16", r"no UTF-16: the bytes from 4 on"),
        (b"abc", "utf16", r"no UTF-16: the bytes from 2 on"),
        (b"\xfe\xff\xdc\x00", "txt", r"no UTF-16 \(big-endian\): the bytes from 2 on"),
    ],
)
def test_bytes_that_are_no_such_text_are_named_by_their_place(content, encoding, message):
    with pytest.raises(MediaFault, match=message):
        decode_text(content, encoding)


@pytest.mark.parametrize(("text", "encoding"), [(SRT, "srt"), (VTT, "vtt"), (ASS, "ass")])
def test_subtitles_pass_as_text(text, encoding):
    assert decode_text(text.encode(), encoding) == text
    assert decode_text(text.replace("\n", "\r\n").encode("utf-8-sig"), encoding)
    assert encode_text(text, encoding) == text.encode()


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("Hello", "srt", "none of its lines has times such as 00:00:01,000"),
        (SRT.replace("00:00:03,000", "0:3"), "srt", "times in line 6 that srt doesn't know: '0:3"),
        (SRT, "vtt", "its first line isn't WEBVTT"),
        ("", "vtt", "its first line isn't WEBVTT"),
        (VTT.replace("00:01.000", "00:01,000"), "vtt", "times in line 5"),
        (SRT, "ass", r"no line \[Script Info\]"),
    ],
)
def test_what_is_no_subtitles_is_refused_in_both_directions(text, encoding, message):
    with pytest.raises(MediaFault, match=message):
        decode_text(text.encode(), encoding)
    with pytest.raises(MediaFault, match=message):
        encode_text(text, encoding)


@given(st.text(), st.sampled_from(["txt", "utf8", "utf16"]))
def test_text_comes_back(text, encoding):
    marks = ("\ufeff", "\ufffe")
    expected = text.removeprefix(marks[0]) if encoding != "utf16" else text
    assert decode_text(encode_text(text, encoding), encoding) == expected


@given(st.binary(max_size=200), st.sampled_from(["txt", "utf8", "utf16", "srt", "vtt", "ass"]))
def test_any_bytes_are_text_or_a_fault(content, encoding):
    with contextlib.suppress(MediaFault):
        assert isinstance(decode_text(content, encoding), str)
