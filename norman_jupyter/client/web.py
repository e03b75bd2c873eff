"""Files behind http and https URLs, fetched by the client itself and held to limits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from norman_bundle.remotes import strip_credentials
from norman_jupyter.client.discovery import is_loopback

__all__ = ["FetchFailed", "WebLimits", "fetch_url", "is_url", "url_file_name"]

_SHOWN_CHARACTERS: Final = 200
_UNSEEN_IN_URL: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_UNSEEN_IN_NAME: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069/\\]")


class FetchFailed(Exception):
    """A URL didn't give its file; the text says why and what to try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """How far a fetch goes.

    Attributes
    ----------
    size_bytes
        Of the file, decompressed.
    redirects
        So many are followed, to http and https alone.
    connect_s, silence_s, total_s
        Seconds to connect, without a byte, and for the whole.
    """

    size_bytes: int = 1 << 30
    redirects: int = 5
    connect_s: float = 10.0
    silence_s: float = 30.0
    total_s: float = 600.0


def is_url(text: str) -> bool:
    """Whether a text is an http or https URL with a host.

    Examples
    --------
    >>> is_url("https://images.example/seven.png"), is_url("ftp://images.example/seven.png")
    (True, False)
    """
    try:
        parts = urlsplit(text.strip())
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def url_file_name(url: str) -> str | None:
    """Return what the file behind a URL is called, for people: its last part.

    Examples
    --------
    >>> url_file_name("https://images.example/a/my%20seven.png?size=2"), url_file_name("http://a/")
    ('my seven.png', None)
    """
    name = unquote(urlsplit(url.strip()).path.rpartition("/")[2])
    return _UNSEEN_IN_NAME.sub("", name).strip(". ")[:200] or None


def fetch_url(
    url: str,
    write: Callable[[bytes], object],
    limits: WebLimits,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Fetch a file piece by piece, as it comes; blocks.

    Parameters
    ----------
    write
        Takes the pieces, one after the other. What it took before a failure is worth nothing.

    Raises
    ------
    FetchFailed
        The server isn't there, has no such file, redirects for ever or elsewhere, sends more than
        the limit, or takes too long.
    """
    import httpx

    url, shown = url.strip(), _shown(url)
    ends_at = clock() + limits.total_s
    done_bytes = 0
    try:
        with (
            httpx.Client(
                follow_redirects=True,
                max_redirects=limits.redirects,
                timeout=httpx.Timeout(limits.silence_s, connect=limits.connect_s),
                trust_env=not is_loopback(url),
            ) as client,
            client.stream("GET", url) as response,
        ):
            if not response.is_success:
                raise FetchFailed(_status_fault(response.status_code, shown))
            _check_announced(response.headers.get("Content-Length"), shown, limits)
            # As they come: a server that sends a byte now and then is to meet the clock as well.
            for piece in response.iter_bytes():
                done_bytes += len(piece)
                if done_bytes > limits.size_bytes:
                    raise FetchFailed(_size_fault(shown, limits))
                if clock() > ends_at:
                    raise FetchFailed(f"{shown} took longer than {limits.total_s:g} s.")
                write(piece)
    except httpx.TooManyRedirects:
        raise FetchFailed(
            f"{shown} redirects more than {limits.redirects} times, maybe in a circle. Give the "
            "final URL."
        ) from None
    except httpx.UnsupportedProtocol:
        raise FetchFailed(f"{shown} leads to what is neither http nor https.") from None
    except httpx.InvalidURL as error:
        reason = str(error).rstrip(".")
        raise FetchFailed(f"{shown} is, or leads to, no proper URL: {reason}.") from None
    except httpx.TimeoutException as error:
        raise FetchFailed(f"{shown} didn't answer in time. Is its host up?") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise FetchFailed(f"{shown} can't be fetched: {reason.rstrip('.')}.") from error


def _shown(url: str) -> str:
    """Return a URL for messages: without credentials and query, which may hold a key."""
    return _UNSEEN_IN_URL.sub("", strip_credentials(url.strip()))[:_SHOWN_CHARACTERS]


def _status_fault(status: int, shown: str) -> str:
    if status in (404, 410):
        return f"There is nothing at {shown} (status {status}). Check the URL."
    if status in (401, 403, 407):
        return (
            f"{shown} is not for everybody (status {status}). Download the file yourself and give "
            "its path."
        )
    return f"{shown} answered with status {status} instead of a file."


def _check_announced(length: str | None, shown: str, limits: WebLimits) -> None:
    if length is not None and length.isdecimal() and int(length) > limits.size_bytes:
        raise FetchFailed(_size_fault(shown, limits))


def _size_fault(shown: str, limits: WebLimits) -> str:
    return (
        f"{shown} is larger than the {limits.size_bytes} bytes that are fetched. Download it "
        "yourself, and give its path."
    )
