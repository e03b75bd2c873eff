"""Where data of a dictionary comes from."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepping import finish
from website import Page, Website

from norman_jupyter.client.effects import Work
from norman_jupyter.client.sources import SourceFailed, copy_stream, copy_url, resolve_source
from norman_jupyter.client.web import FetchFailed, WebLimits


class Reader:
    """A stream that gives pieces, or raises them."""

    def __init__(self, *pieces: Any) -> None:
        self._pieces = list(pieces)

    def read(self, size_bytes: int) -> Any:
        assert size_bytes > 0
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


class WholeReader:
    """A stream whose read takes no size."""

    def read(self) -> bytes:
        return b"all of it"


def copy(stream: Any, limit_bytes: int = 1 << 30) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    is_text = finish(copy_stream(stream, pieces.append, limit_bytes))
    return b"".join(pieces), is_text


def test_data_tells_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "seven.png"
    file.write_bytes(b"png")
    monkeypatch.chdir(tmp_path)
    assert resolve_source(file) == "File"
    assert resolve_source(tmp_path / "missing.png") == "File"
    assert resolve_source("seven.png") == "File"
    assert resolve_source(f" {file}\n") == "File"
    assert resolve_source("https://a.example/seven.png") == "Link"
    assert resolve_source(io.BytesIO(b"x")) == "Stream"
    with file.open("rb") as opened:
        assert resolve_source(opened) == "Stream"
    for data in (b"x", "a text", "missing.png", "", ".", 3, 0.5, None, [1], {"a": 1}, np.ones(2)):
        assert resolve_source(data) == "Primitive"
    assert resolve_source("x" * 100_000) == "Primitive"
    assert resolve_source("a\0b") == "Primitive"


def test_what_is_said_wins(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x")
    assert resolve_source(str(file), "Primitive") == "Primitive"
    assert resolve_source("missing.png", "File") == "File"
    assert resolve_source(b"the bytes of a file", "File") == "File"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (3, "File"),
        ("seven.png", "Link"),
        ("ftp://a.example/b", "Link"),
        ("file:///etc/hostname", "Link"),
        (b"http://a", "Link"),
        ("text", "Stream"),
    ],
)
def test_what_cannot_be_is_refused(data: Any, said: str) -> None:
    with pytest.raises(SourceFailed, match=f"source '{said}' takes"):
        resolve_source(data, said)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (io.BytesIO(b"a" * 3_000_000), (b"a" * 3_000_000, False)),
        (io.StringIO("zwölf"), ("zwölf".encode(), True)),
        (Reader(b"a", bytearray(b"b"), memoryview(b"c")), (b"abc", False)),
        (Reader(), (b"", False)),
        (WholeReader(), (b"all of it", False)),
    ],
)
def test_a_stream_is_read_to_its_end(stream: Any, expected: tuple[bytes, bool]) -> None:
    assert copy(stream) == expected


def test_a_stream_is_read_from_where_it_stands_and_stays_open() -> None:
    stream = io.BytesIO(b"skip this")
    stream.seek(5)
    assert copy(stream)[0] == b"this"
    assert not stream.closed


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (Reader(b"abc", OSError("the cable")), "raised OSError after 3 bytes: the cable"),
        (Reader(b"abc", ValueError()), "raised ValueError after 3 bytes: without a word"),
        (Reader(b"abc", None), "gave a NoneType instead of bytes"),
        (Reader(b"abc", 3), "instead of bytes"),
        (Reader(b"abc", "def"), "both text and bytes"),
        (Reader("\ud800"), "lone surrogate"),
    ],
)
def test_a_stream_that_breaks_is_told(stream: Any, said: str) -> None:
    with pytest.raises(SourceFailed, match=said):
        copy(stream)


def test_a_stream_over_the_limit_is_refused() -> None:
    with pytest.raises(SourceFailed, match="more than 9 bytes"):
        copy(io.BytesIO(bytes(10)), 9)
    assert copy(io.BytesIO(bytes(9)), 9)[0] == bytes(9)


def test_the_cause_of_a_broken_stream_is_kept() -> None:
    cause = OSError("the cable")
    with pytest.raises(SourceFailed) as caught:
        copy(Reader(cause))
    assert caught.value.__cause__ is cause


def test_a_fetch_that_nobody_waits_for_ends(site: Website) -> None:
    site.pages["/a"] = Page(body=lambda: itertools.repeat(bytes(1 << 16)))
    pieces: list[bytes] = []

    def take(piece: bytes) -> None:
        pieces.append(piece)
        steps.close()  # as a driver does whose caller was cancelled

    steps = copy_url(f"{site.url}/a", take, WebLimits(size_bytes=16 << 20))
    effect = next(steps)
    assert isinstance(effect, Work)
    with pytest.raises(FetchFailed, match="Nobody waits"):
        effect.run()
    assert len(pieces) == 1
