"""Pictures, sounds, videos and files as previews: thumbnails, players, a few words."""

from __future__ import annotations

import base64
import re
from typing import Any

from norman_jupyter.previews.durations import describe_track, read_track
from norman_jupyter.previews.images import Thumbnail, sniff_media_type, thumbnail
from norman_jupyter.previews.markup import (
    Html,
    block,
    code,
    details,
    escape,
    image,
    join,
    link_to,
    note,
    player,
    svg_image,
)
from norman_jupyter.previews.preview import Preview, Showing
from norman_jupyter.previews.text import format_bytes, format_count, shorten
from norman_protocol.media import ENCODINGS, Encoding, Modality

__all__ = ["is_svg", "preview_bytes", "preview_svg", "preview_text"]

_TEXT_CHARACTERS = 1500
_TEXT_LINES = 24
_HEAD_BYTES = 16
_MEDIA_SIDE_PIXELS = 320
_SVG_BYTES = 24_000
_SVG_HEAD = re.compile(r"\ufeff?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--[^>]{0,400}-->\s*)?<svg[\s>]")
_SNIFFED = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "vorbis",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
_NOT_PLAYED = frozenset({"ac3", "avi", "matroska"})
"""What no browser plays."""
_TEXT_CODECS = {"utf16": "utf-16"}


def preview_bytes(value: Any, showing: Showing) -> Preview:
    """Return the preview of bytes; of what they are where they know it, else by their beginning."""
    data = bytes(value)
    known = ENCODINGS.get(getattr(value, "encoding", ""))
    if known is not None and known.modality is Modality.TEXT:
        return _encoded_text(data, known)
    if known is None or known.modality is Modality.FILE:
        head = data[: _HEAD_BYTES * 64]
        media_type = sniff_media_type(head)
        known = ENCODINGS.get(_SNIFFED.get(media_type or "", ""))
        if known is None and media_type is None and is_svg(head.decode("utf-8", "replace")):
            return preview_svg(data, showing)
        if known is None:
            return _picture_or_file(data, media_type, showing)
    if known.modality is Modality.IMAGE:
        return _picture_or_file(
            data, known.media_type, showing, is_known=getattr(value, "encoding", None) is not None
        )
    if known.modality in (Modality.AUDIO, Modality.VIDEO):
        return _playable(data, known, showing)
    return _file(data, known.media_type)


def preview_text(value: str, showing: Showing) -> Preview:
    """Return the preview of text: as it is, or as the picture that it describes."""
    if is_svg(value[:1024]):
        return preview_svg(value.encode("utf-8", "replace"), showing)
    return _text(value, "text")


def is_svg(head: str) -> bool:
    """Whether a text begins as an SVG picture does.

    Examples
    --------
    >>> is_svg('<?xml version="1.0"?> <svg width="1">'), is_svg("<p>")
    (True, False)
    """
    return _SVG_HEAD.match(head) is not None


def preview_svg(data: bytes, showing: Showing) -> Preview:
    """Return an SVG as a picture, in which a browser runs and loads nothing, and as text."""
    source = data.decode("utf-8", "replace")
    excerpt = shorten(source, characters=_TEXT_CHARACTERS, lines=_TEXT_LINES)
    title = f"image/svg+xml, {format_bytes(len(data))}"
    # Entities of a document's own could grow without bound.
    if not showing.with_pictures or len(data) > _SVG_BYTES or "<!" in source.replace("<!--", ""):
        return Preview(title=title, text=excerpt, html=block(excerpt))
    picture = svg_image(base64.b64encode(data).decode(), title)
    markup = join([picture, details("source", block(excerpt))])
    return Preview(title=title, text=excerpt, html=markup, has_picture=True)


def _text(value: str, noun: str) -> Preview:
    text = shorten(value, characters=_TEXT_CHARACTERS, lines=_TEXT_LINES)
    is_whole = len(text) >= len(value)
    title = (
        "" if is_whole and noun == "text" else f"{noun}, {format_count(len(value), 'character')}"
    )
    return Preview(title=title, text=text, html=block(text))


def _encoded_text(data: bytes, encoding: Encoding) -> Preview:
    try:
        text = data.decode(_TEXT_CODECS.get(encoding.name, "utf-8-sig"))
    except UnicodeDecodeError:
        return _file(data, f"not {encoding.name}")
    return _text(text, "text" if encoding.name in ("txt", "utf8", "utf16") else encoding.name)


def _picture_or_file(
    data: bytes, media_type: str | None, showing: Showing, *, is_known: bool = False
) -> Preview:
    side_pixels = _MEDIA_SIDE_PIXELS if is_known else None
    small = (
        thumbnail(data, media_type, side_pixels=side_pixels)
        if media_type and showing.with_pictures
        else None
    )
    if small is None:
        is_picture = media_type is not None and media_type.startswith("image/")
        fault = "can't be shown here: broken, or too large" if showing.with_pictures else ""
        return _file(data, media_type, note_text=fault if is_picture else "")
    title = f"{media_type}, {format_bytes(len(data))}"
    if small.size_pixels is not None:
        width, height = small.size_pixels
        title = f"{title}, {width} x {height} pixels"
    parts = [image(small.media_type, small.base64_data, title)]
    if showing.link is not None and _is_smaller(small):
        # Not as a picture that is loaded late: JupyterLab loads it at once.
        parts.append(_stored(showing.link, "open in full size"))
    return Preview(title=title, text="", html=join(parts), has_picture=True)


def _is_smaller(small: Thumbnail) -> bool:
    return small.size_pixels is None or max(small.size_pixels) > small.side_pixels


def _stored(link: str, text: str) -> Html:
    return note(f"{link_to(link, text)}, as long as the record of the call is kept")


def _playable(data: bytes, encoding: Encoding, showing: Showing) -> Preview:
    facts = [encoding.media_type, format_bytes(len(data))]
    facts += describe_track(read_track(data, encoding.name))
    title = ", ".join(facts)
    if not data:
        return Preview(title=title, text="", html=note("empty"))
    tag = "audio" if encoding.modality is Modality.AUDIO else "video"
    if encoding.name in _NOT_PLAYED:
        hint = f"Browsers don't play {encoding.name}; .save(path) writes it to a file."
        return Preview(title=title, text="", html=note(escape(hint)))
    if len(data) <= showing.played_bytes:
        source = f"data:{encoding.media_type};base64,{base64.b64encode(data).decode()}"
        markup = player(tag, source, title)
        return Preview(title=title, text="", html=markup, played_bytes=len(data))
    parts = [note("Too large to be saved in the notebook; .save(path) writes it to a file.")]
    if showing.link is not None:
        stored = [player(tag, showing.link, title, preload="none"), _stored(showing.link, "open")]
        parts.append(details("play what is stored", join(stored)))
    return Preview(title=title, text="", html=join(parts))


def _file(data: bytes, media_type: str | None, *, note_text: str = "") -> Preview:
    title = f"{media_type or 'bytes'}, {format_bytes(len(data))}"
    text = data[:_HEAD_BYTES].hex(" ") + ("…" if len(data) > _HEAD_BYTES else "")
    if note_text:
        return Preview(title=f"{title}, {note_text}", text=text, html=code(text))
    return Preview(title=title, text=text, html=code(text) if text else "")
