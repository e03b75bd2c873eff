"""What is wrong with a medium, in words that go on after its title."""

from __future__ import annotations

__all__ = ["MediaFault"]


class MediaFault(Exception):
    """A file that can't be decoded, or a tensor that can't be encoded.

    `norman_codec.conversion` makes the error of it that names the input or output.

    Parameters
    ----------
    message
        Goes on after the title: "is cut off …". It ends with what to try next.
    received
        What came, in a few words.
    """

    def __init__(self, message: str, *, received: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.received = received
