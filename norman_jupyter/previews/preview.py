"""What showing one value takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from norman_jupyter.previews.markup import Html

__all__ = ["PLAYED_BYTES", "Preview", "Showing"]

PLAYED_BYTES = 1_000_000
"""Sounds and videos up to this size are played from the notebook itself, where they are saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How a value may be shown.

    Attributes
    ----------
    with_pictures
        Whether a thumbnail may be made of it.
    played_bytes
        How much of sound and video may be put into the markup.
    labels
        What the places along the last axis of an array stand for; empty where that isn't known.
    link
        Where a browser that shows the notebook gets the stored value; None where it can't.
    """

    with_pictures: bool = True
    played_bytes: int = PLAYED_BYTES
    labels: tuple[str, ...] = ()
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A value shown small.

    Attributes
    ----------
    title
        What it is, in a few words.
    text
        Its content as plain text, of one or a few lines.
    html
        The same as markup.
    has_picture
        Whether the markup carries a thumbnail.
    played_bytes
        How much of sound and video the markup carries.
    """

    title: str
    text: str
    html: Html
    has_picture: bool = False
    played_bytes: int = 0
