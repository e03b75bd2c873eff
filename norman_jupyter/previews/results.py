"""The answer of a call, small enough for a saved notebook."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from norman_jupyter.previews.markup import Bundle, Html, block, escape, join, note
from norman_jupyter.previews.text import one_line, shorten
from norman_jupyter.previews.values import preview_value, titled

__all__ = ["ShownResult", "render_result"]

_SHOWN_OUTPUTS = 16
_SHOWN_PICTURES = 3
_LOG_CHARACTERS = 1200
_LOG_LINES = 12
_TEXT_BUDGET = 12_000
_SPLIT = ("queue", "model", "transfer")


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
        """Its parts in milliseconds: queue, model, transfer."""

    @property
    def logs(self) -> str:
        """What the model printed and logged meanwhile."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, name: str, /) -> Any: ...


def render_result(result: ShownResult) -> Bundle:
    """Return a result as plain text and HTML.

    Outputs are summarised, never embedded: arrays by shape, elements and range, text and JSON by
    their beginning, pictures by a thumbnail. Whatever the size of the outputs, the bundle stays
    within some ten kilobytes, thumbnails included.
    """
    texts: list[str] = []
    parts: list[Html] = []
    pictures = 0
    for name in itertools.islice(result, _SHOWN_OUTPUTS):
        preview = preview_value(result[name], with_pictures=pictures < _SHOWN_PICTURES)
        pictures += preview.has_picture
        text, markup = titled(name, preview)
        if sum(map(len, texts)) + len(text) > _TEXT_BUDGET:
            break
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
