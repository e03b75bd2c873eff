"""Cursors of pages: opaque text around the last name or number that was shown."""

from __future__ import annotations

import base64
import binascii

from norman_protocol.errors import RequestInvalid

__all__ = ["read_cursor", "read_number_cursor", "write_cursor"]

_NUMBER_DIGITS = 18
"""More isn't a number of ours, and isn't one that a database compares."""


def write_cursor(key: str) -> str:
    """Return the cursor of the page after ``key``.

    Examples
    --------
    >>> read_cursor(write_cursor("digits"))
    'digits'
    """
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """Return the key that a cursor was made of.

    Raises
    ------
    RequestInvalid
        No page of ours gave this cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _foreign_cursor() from None


def read_number_cursor(cursor: str) -> int:
    """Return the number that a cursor was made of.

    Examples
    --------
    >>> read_number_cursor(write_cursor("12"))
    12

    Raises
    ------
    RequestInvalid
        No page of ours gave this cursor.
    """
    text = read_cursor(cursor)
    if not (text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS):
        raise _foreign_cursor()
    return int(text)


def _foreign_cursor() -> RequestInvalid:
    return RequestInvalid(
        "The cursor is none that a page gave. Start again without one.", field="cursor"
    )
