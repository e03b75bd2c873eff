"""The answer of a call, small enough for a saved notebook."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from norman_jupyter.previews.markup import Bundle, Html, block, escape, join, note
from norman_jupyter.previews.preview import PLAYED_BYTES, Preview, Showing
from norman_jupyter.previews.text import one_line, shorten
from norman_jupyter.previews.values import preview_value, titled

__all__ = ["ShownResult", "render_result", "render_value"]

_SHOWN_OUTPUTS = 16
_SHOWN_PICTURES = 3
_LOG_CHARACTERS = 1200
_LOG_LINES = 12
_TEXT_BUDGET = 12_000
_PLAYED_BYTES = 2_000_000
_SPLIT = ("queue", "codec", "model", "transfer")


class ShownResult(Protocol):
    """What a result must have to be shown."""

    @property
    def id(self) -> str:
        """The invocation's id."""

    @property
    def version(self) -> str:
        """The version that answered, such as ``digits@2``."""

    @property
    def latency_ms(self) -> float:
        """The whole call, in milliseconds."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Its parts in milliseconds: queue, codec, model, transfer."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What the places along the last axis of outputs stand for, by the outputs' names."""

    @property
    def record_link(self) -> str | None:
        """Where a browser that shows the notebook finds the record; None where it can't."""

    @property
    def logs(self) -> str:
        """What the model printed and logged meanwhile."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, name: str, /) -> Any: ...


def render_result(result: ShownResult) -> Bundle:
    """Return a result as plain text and HTML.

    Outputs are summarised: arrays by shape, elements and range (scores of known classes with
    bars), text and JSON by their beginning, pictures by a thumbnail. Sounds and videos up to
    `PLAYED_BYTES` are embedded, as far as `_PLAYED_BYTES` goes, or there would be nothing to hear
    in a saved notebook. Whatever the size of the outputs, the rest of the bundle stays within some
    ten kilobytes, thumbnails included.
    """
    texts: list[str] = []
    parts: list[Html] = []
    shown: list[Preview] = []
    for name in itertools.islice(result, _SHOWN_OUTPUTS):
        preview = preview_value(result[name], _showing(result, name, shown))
        text, markup = titled(name, preview)
        if sum(map(len, texts)) + len(text) > _TEXT_BUDGET:
            break
        shown.append(preview)
        texts.append(text)
        parts.append(markup)
    if len(result) > len(texts):
        more = f"… and {len(result) - len(texts):,} more outputs"
        texts.append(more)
        parts.append(note(escape(more)))
    if not len(result):
        texts.append("no outputs")
        parts.append(note("no outputs"))
    footer = _footer(result)
    texts.append(footer)
    parts.append(note(escape(footer)))
    if result.logs.strip():
        logs = shorten(
            result.logs.rstrip(), characters=_LOG_CHARACTERS, lines=_LOG_LINES, from_end=True
        )
        texts.append("logs:\n" + "\n".join(f"  {line}" for line in logs.split("\n")))
        parts.append(f"<details><summary>logs</summary>{block(logs)}</details>")
    return {"text/plain": "\n".join(texts), "text/html": join(parts)}


def render_value(name: str, value: Any) -> Bundle:
    """Return one value as plain text and HTML, as `render_result` shows it.

    Examples
    --------
    >>> render_value("y", [1, 2])["text/plain"]
    'y: [1, 2]'
    """
    text, markup = titled(name or "value", preview_value(value))
    return {"text/plain": text, "text/html": markup}


def _showing(result: ShownResult, name: str, before: Sequence[Preview]) -> Showing:
    """Say how an output may be shown after those before it."""
    left_bytes = _PLAYED_BYTES - sum(preview.played_bytes for preview in before)
    link = result.record_link
    return Showing(
        with_pictures=sum(preview.has_picture for preview in before) < _SHOWN_PICTURES,
        played_bytes=max(0, min(PLAYED_BYTES, left_bytes)),
        labels=tuple(result.labels.get(name, ())),
        link=None if link is None else f"{link}/output?name={quote(name, safe='')}",
    )


def _footer(result: ShownResult) -> str:
    split = ", ".join(
        f"{name} {_in_ms(result.timings[name])}" for name in _SPLIT if name in result.timings
    )
    latency = _in_ms(result.latency_ms)
    took = f"{latency} ({split})" if split else latency
    return f"{one_line(result.version, 140)} · {took} · id {one_line(result.id, 64)}"


def _in_ms(duration_ms: float) -> str:
    """Write a duration in ms, whatever its size: the numbers are those of ``timings``."""
    if duration_ms < 0.9995:
        return f"{duration_ms:.3f} ms"
    return f"{duration_ms:.3g} ms" if duration_ms < 999.5 else f"{duration_ms:,.0f} ms"
