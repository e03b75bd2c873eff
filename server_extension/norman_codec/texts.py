"""Files of text and subtitles into text, and back."""

from __future__ import annotations

import codecs
import re

from norman_codec.faults import MediaFault
from norman_protocol.frames import Buffer, buffer_bytes

__all__ = ["decode_text", "encode_text"]

_UTF16_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_NAMES = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16 (big-endian)"}
_CUE_TIMES = {
    "srt": re.compile(r"\d+:\d\d:\d\d[,.]\d{1,3} +--> +\d+:\d\d:\d\d[,.]\d{1,3}(?:\s.*)?"),
    "vtt": re.compile(
        r"(?:\d{2,}:)?\d\d:\d\d\.\d{3}[ \t]+-->[ \t]+(?:\d{2,}:)?\d\d:\d\d\.\d{3}(?:[ \t].*)?"
    ),
}
_EXAMPLES = {"srt": "00:00:01,000 --> 00:00:02,500", "vtt": "00:01.000 --> 00:02.500"}


def decode_text(content: Buffer, encoding: str) -> str:
    r"""Return the text of a file.

    A mark at its beginning (BOM) decides between UTF-8 and UTF-16, and is none of the text. Without
    one ``utf16`` is little-endian, as Windows writes it, and everything else UTF-8.

    Raises
    ------
    MediaFault
        The bytes are no such text, or subtitles that break the rules of their format.

    Examples
    --------
    >>> decode_text(b"\xff\xfeh\x00i\x00", "utf16")
    'hi'
    """
    view = memoryview(content).cast("B")
    codec = _UTF16_MARKS.get(bytes(view[:2]))
    if codec is not None:
        view = view[2:]
    elif bytes(view[:3]) == codecs.BOM_UTF8:
        codec, view = "utf-8", view[3:]
    else:
        codec = "utf-16-le" if encoding == "utf16" else "utf-8"
    try:
        text = str(view, codec)
    except UnicodeDecodeError as error:
        offset = error.start + buffer_bytes(content) - len(view)
        raise MediaFault(
            f"is no {_NAMES[codec]}: the bytes from {offset:,} on ({_hex(view[error.start :])}) "
            f"mean nothing in it. Save the file as {_NAMES[codec]}, or declare the encoding that "
            "it is in.",
            received=f"bytes that are no {_NAMES[codec]}",
        ) from None
    _check_subtitles(text, encoding)
    return text


def _hex(view: memoryview) -> str:
    return bytes(view[:4]).hex(" ") + (" …" if len(view) > 4 else "")


def encode_text(text: str, encoding: str) -> bytes:
    r"""Return text as the bytes of a file: ``utf16`` little-endian with its mark, else UTF-8.

    Raises
    ------
    MediaFault
        It is to be subtitles, and breaks the rules of their format.

    Examples
    --------
    >>> encode_text("hi", "utf16")
    b'\xff\xfeh\x00i\x00'
    """
    _check_subtitles(text, encoding)
    if encoding == "utf16":
        return codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    return text.encode()


def _check_subtitles(text: str, encoding: str) -> None:
    """Refuse text that isn't of its subtitle format; other encodings have no rules.

    Looked at is what every player needs: the header of the file, and the times of its cues.
    """
    lines = text.splitlines()
    if encoding == "vtt" and not re.fullmatch(r"WEBVTT(?:[ \t].*)?", lines[0] if lines else ""):
        raise MediaFault("is no WebVTT: its first line isn't WEBVTT. Is it SRT (srt)?")
    if encoding == "ass":
        if "[script info]" not in (line.strip().lower() for line in lines):
            raise MediaFault(
                "is no ASS: it has no line [Script Info]. Export it from a subtitle editor as ASS."
            )
        return
    times = _CUE_TIMES.get(encoding)
    if times is None:
        return
    cues = 0
    for number, line in enumerate(lines, start=1):
        if "-->" not in line or (encoding == "vtt" and line.startswith("NOTE")):
            continue
        if not times.fullmatch(line.strip()):
            raise MediaFault(
                f"has times in line {number:,} that {encoding} doesn't know: {line.strip()[:60]!r}."
                f" They look like {_EXAMPLES[encoding]}."
            )
        cues += 1
    if encoding == "srt" and not cues and text.strip():
        raise MediaFault(f"is no SRT: none of its lines has times such as {_EXAMPLES['srt']}.")
