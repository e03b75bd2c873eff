"""Cursors of pages of models: opaque text around the last name that was shown."""

from __future__ import annotations

import base64
import binascii

from norman_protocol.errors import RequestInvalid

__all__ = ["read_cursor", "write_cursor"]


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
        raise RequestInvalid(
            "The cursor is none that a page gave. Start again without one.", field="cursor"
        ) from None
