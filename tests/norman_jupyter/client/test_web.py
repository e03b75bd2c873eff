"""Files behind URLs: fetched within limits, and refused in words."""

from __future__ import annotations

import gzip
import itertools

import pytest
from website import Page, Website, open_website

from norman_jupyter.client.web import FetchFailed, WebLimits, fetch_url, is_url, url_file_name


def fetch(url: str, limits: WebLimits | None = None) -> bytes:
    pieces: list[bytes] = []
    fetch_url(url, pieces.append, limits or WebLimits())
    return b"".join(pieces)


def refusal(url: str, limits: WebLimits | None = None) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetch(url, limits)
    return str(caught.value)


def test_a_file_is_fetched_whole(site: Website) -> None:
    body = bytes(range(256)) * 10_000
    site.pages["/a.bin"] = Page(body=body)
    assert fetch(f" {site.url}/a.bin\n") == body


def test_redirects_are_followed(site: Website) -> None:
    site.pages["/a"] = Page(status=302, headers={"Location": "/b"})
    site.pages["/b"] = Page(status=301, headers={"Location": f"{site.url}/c"})
    site.pages["/c"] = Page(body=b"here")
    assert fetch(f"{site.url}/a") == b"here"
    assert site.asked == ["/a", "/b", "/c"]


def test_a_missing_page_is_told(site: Website) -> None:
    message = refusal(f"{site.url}/seven.png")
    assert message == f"There is nothing at {site.url}/seven.png (status 404). Check the URL."


@pytest.mark.parametrize(
    ("status", "said"), [(403, "not for everybody"), (500, "answered with status 500")]
)
def test_other_statuses_are_told(site: Website, status: int, said: str) -> None:
    site.pages["/a"] = Page(status=status, body=b"<html>")
    assert said in refusal(f"{site.url}/a")


def test_a_circle_of_redirects_ends(site: Website) -> None:
    site.pages["/a"] = Page(status=302, headers={"Location": "/b"})
    site.pages["/b"] = Page(status=302, headers={"Location": "/a"})
    assert "redirects more than 3 times" in refusal(f"{site.url}/a", WebLimits(redirects=3))
    assert len(site.asked) == 4


@pytest.mark.parametrize(
    "scheme", ["file:///etc/hostname", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"]
)
def test_no_other_scheme_is_followed(site: Website, scheme: str) -> None:
    site.pages["/a"] = Page(status=302, headers={"Location": scheme})
    assert "neither http nor https" in refusal(f"{site.url}/a")


def test_a_file_over_the_limit_is_refused_before_it_is_read(site: Website) -> None:
    site.pages["/a"] = Page(body=bytes(1001))
    pieces: list[bytes] = []
    with pytest.raises(FetchFailed, match="larger than the 1000 bytes"):
        fetch_url(f"{site.url}/a", pieces.append, WebLimits(size_bytes=1000))
    assert pieces == []
    assert len(fetch(f"{site.url}/a", WebLimits(size_bytes=1001))) == 1001


def test_a_file_that_never_ends_is_cut_at_the_limit(site: Website) -> None:
    site.pages["/a"] = Page(body=lambda: itertools.repeat(bytes(1 << 16)))
    assert "larger than" in refusal(f"{site.url}/a", WebLimits(size_bytes=1 << 20))


def test_compressed_bytes_count_decompressed(site: Website) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    site.pages["/a"] = Page(body=bomb, headers={"Content-Encoding": "gzip"})
    assert "larger than" in refusal(f"{site.url}/a", WebLimits(size_bytes=10 << 20))


def test_a_fetch_that_takes_too_long_ends(site: Website) -> None:
    site.pages["/a"] = Page(body=lambda: itertools.repeat(b"x"))  # a byte now and then
    ticks = itertools.count()
    with pytest.raises(FetchFailed, match="took longer than 5 s"):
        fetch_url(
            f"{site.url}/a", lambda _: None, WebLimits(total_s=5), clock=lambda: float(next(ticks))
        )


def test_a_host_that_isnt_there_is_told(site: Website) -> None:
    with open_website() as gone:
        url = gone.url
    assert "can't be fetched" in refusal(f"{url}/a")


def test_keys_in_a_url_are_not_shown(site: Website) -> None:
    url = f"{site.url}/a?token=hush".replace("http://", "http://ann:secret@")
    message = refusal(url)
    assert "hush" not in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("http://a", True),
        ("HTTPS://a.example/b c", True),
        ("  http://a/  ", True),
        ("http://", False),
        ("http:a", False),
        ("file:///a", False),
        ("ftp://a/b", False),
        ("http://[", False),
        ("seven", False),
        ("", False),
    ],
)
def test_urls_are_told_from_text(text: str, answer: bool) -> None:
    assert is_url(text) is answer


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a/b/c.png?d=e.gif#f", "c.png"),
        ("http://a/%2e%2e", None),
        ("http://a/..%2f..%2fetc%2fpasswd", "etcpasswd"),
        ("http://a/x%00y%0a.png", "xy.png"),
        ("http://a/" + "n" * 300, "n" * 200),
    ],
)
def test_a_files_name_is_no_path(url: str, name: str | None) -> None:
    assert url_file_name(url) == name
