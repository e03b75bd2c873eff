"""What bytes are, told by their content: the name of a file is only what somebody called it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from norman_protocol.frames import Buffer
from norman_protocol.media import Modality

__all__ = ["Content", "identify"]

_PROBE_BYTES = 4096
_ID3_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class Content:
    """What bytes are.

    Attributes
    ----------
    name
        Of the format, as this package calls it; empty for what is none of its formats.
    description
        For people, with its article.
    modality
        What a person would call it. A container may hold less than it says: a video without
        pictures, say.
    """

    name: str
    description: str
    modality: Modality | None = None


_IMAGE, _AUDIO, _VIDEO = Modality.IMAGE, Modality.AUDIO, Modality.VIDEO

_PREFIXES: tuple[tuple[bytes, Content], ...] = (
    (b"\x89PNG\r\n\x1a\n", Content("png", "a PNG image", _IMAGE)),
    (b"\xff\xd8\xff", Content("jpeg", "a JPEG image", _IMAGE)),
    (b"fLaC", Content("flac", "a FLAC sound", _AUDIO)),
    (b"OggS", Content("ogg", "an Ogg file", _AUDIO)),
    (b"\x1a\x45\xdf\xa3", Content("matroska", "a Matroska or WebM file", _VIDEO)),
    (b"\x0b\x77", Content("ac3", "an AC-3 sound", _AUDIO)),
    (b"GIF87a", Content("", "a GIF image")),
    (b"GIF89a", Content("", "a GIF image")),
    (b"BM", Content("", "a BMP image")),
    (b"II*\0", Content("", "a TIFF image")),
    (b"MM\0*", Content("", "a TIFF image")),
    (b"\x00\x00\x01\x00", Content("", "an icon")),
    (b"%PDF-", Content("", "a PDF document")),
    (b"PK\x03\x04", Content("", "a ZIP archive")),
    (b"\x1f\x8b", Content("", "gzip-compressed data")),
    (b"\x93NUMPY", Content("", "a NumPy array")),
    (b"\x28\xb5\x2f\xfd", Content("", "Zstandard-compressed data")),
    (b"BZh", Content("", "bzip2-compressed data")),
    (b"FORM", Content("", "an AIFF sound")),
    (b"FLV\x01", Content("", "a Flash video")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Content("", "a Windows Media file")),
)

_RIFF: dict[bytes, Content] = {
    b"WAVE": Content("wav", "a WAV sound", _AUDIO),
    b"AVI ": Content("avi", "an AVI video", _VIDEO),
    b"WEBP": Content("webp", "a WebP image", _IMAGE),
}

# Types of the atoms that a QuickTime or MP4 file may begin with.
_MOV_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
_STILL_BRANDS = {b"heic": "a HEIC image", b"heix": "a HEIC image", b"avif": "an AVIF image"}


def identify(content: Buffer) -> Content:
    r"""Return what bytes are.

    Examples
    --------
    >>> identify(b"\x89PNG\r\n\x1a\n" + bytes(20)).name
    'png'
    >>> identify(b"Dear Sir or Madam").description
    'text'
    """
    view = memoryview(content).cast("B")
    head = bytes(view[:_PROBE_BYTES])
    if not head:
        return Content("", "an empty file")
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF.get(head[8:12], Content("", "a RIFF file of an unknown kind"))
    if head[4:8] in _MOV_ATOMS:
        still = _STILL_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
        return (
            Content("mov", "an MP4 or QuickTime file", _VIDEO) if not still else Content("", still)
        )
    if head.startswith(b"ID3"):
        return _after_id3(view)
    for prefix, found in _PREFIXES:
        if head.startswith(prefix):
            return found
    return _synchronised(head) or _plain(head)


def _after_id3(view: memoryview) -> Content:
    """Look behind the tag that some programs put before sounds of any kind."""
    if len(view) >= _ID3_HEADER_BYTES:
        # Seven bits of each byte count: no byte of a size may look like a frame's beginning.
        size_bytes = 0
        for byte in view[6:_ID3_HEADER_BYTES]:
            size_bytes = size_bytes << 7 | byte & 0x7F
        behind = bytes(view[_ID3_HEADER_BYTES + size_bytes :][:_PROBE_BYTES])
        if behind.startswith(b"fLaC"):
            return Content("flac", "a FLAC sound", _AUDIO)
        if found := _synchronised(behind):
            return found
    return Content("mp3", "an MP3 sound", _AUDIO)


def _synchronised(head: bytes) -> Content | None:
    """Tell the streams that begin with a frame at once: MP3 and AAC."""
    if len(head) < 4:
        return None
    word = struct.unpack_from(">H", head)[0]
    if word & 0xFFF6 == 0xFFF0:
        return Content("aac", "an AAC sound", _AUDIO)
    # MPEG audio of layer II or III, and of a version and bit rate that there are. (Layer I, which
    # nobody writes, begins like UTF-16.)
    layer, version, bit_rate = word >> 1 & 3, word >> 3 & 3, head[2] >> 4
    if word & 0xFFE0 == 0xFFE0 and layer in (1, 2) and version != 1 and bit_rate != 15:
        return Content("mp3", "an MP3 sound", _AUDIO)
    return None


def _plain(head: bytes) -> Content:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Content("", "UTF-16 text")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character that the probe cut through
            return Content("", "a file of an unknown kind")
        text = head[: error.start].decode("utf-8-sig")
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
        return Content("", "a file of an unknown kind")
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return Content("", "an HTML page")
    if start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in text.lower()):
        return Content("", "an SVG drawing")
    return Content("", "text")
