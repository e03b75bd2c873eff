"""One recorded invocation: what went in, what came out or went wrong, and when."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Mapping
from typing import Any

from norman_jupyter.previews.markup import Bundle, Html, block, escape, fields, join, note, warning
from norman_jupyter.previews.text import (
    columns,
    format_bytes,
    format_milliseconds,
    one_line,
    shorten,
    shorten_middle,
)
from norman_jupyter.previews.values import preview_value, titled
from norman_jupyter.previews.versions import short_time
from norman_protocol.decoding import JsonValue
from norman_protocol.rest import InvocationDetail, InvocationSummary

__all__ = ["render_invocation"]

_SHOWN_VALUES = 16
_ERROR_CHARACTERS = 4000
_LOG_CHARACTERS = 1200
_LOG_LINES = 12
_CALM = frozenset({"queued", "running", "succeeded"})


def render_invocation(detail: InvocationDetail) -> Bundle:
    """Return an invocation as plain text and HTML, small whatever was captured."""
    item = detail.invocation
    name = one_line(item.reference, 140)
    facts = _facts(item)
    texts = [f"{name} · {item.state}", columns(facts, indent="  ")]
    state = escape(item.state) if item.state in _CALM else warning(item.state)
    parts: list[Html] = [
        f"<b>{escape(name)}</b> · {state}",
        fields([(title, escape(text)) for title, text in facts]),
    ]
    for title, values, size_bytes in (
        ("inputs", detail.inputs, item.input_bytes),
        ("outputs", detail.outputs, item.output_bytes),
    ):
        if values is None and not (size_bytes and item.error_code is None):
            continue
        text, markup = _values(title, values, size_bytes or 0)
        texts.append(text)
        parts.append(markup)
    if detail.error is not None:
        traceback = detail.error.details.get("traceback")
        shown = [shorten(detail.error.message, characters=_ERROR_CHARACTERS)]
        if isinstance(traceback, str) and traceback.strip():
            shown.append(shorten_middle(traceback.strip("\n"), characters=_ERROR_CHARACTERS))
        texts += [f"{detail.error.code}: {shown[0]}", *shown[1:]]
        parts += [f"{warning(detail.error.code)}: {escape(shown[0])}", *map(block, shown[1:])]
    if detail.logs.strip():
        logs = shorten(
            detail.logs.rstrip(), characters=_LOG_CHARACTERS, lines=_LOG_LINES, from_end=True
        )
        texts.append("logs:\n" + "\n".join(f"  {line}" for line in logs.split("\n")))
        parts.append(f"<details><summary>logs</summary>{block(logs)}</details>")
    return {"text/plain": "\n".join(texts), "text/html": join(parts)}


def _facts(item: InvocationSummary) -> list[tuple[str, str]]:
    timings = item.timings
    took = ""
    if timings is not None:
        codec_ms = timings.codec_s * 1000
        codec = f"codec {format_milliseconds(codec_ms)}, " if codec_ms else ""
        took = (
            f"{format_milliseconds(timings.total_s * 1000)} "
            f"(queue {format_milliseconds(timings.queue_s * 1000)}, "
            f"{codec}model {format_milliseconds(timings.model_s * 1000)})"
        )
    caller = one_line(item.caller.user, 60)
    if item.caller.kernel_id:
        caller += f", kernel {one_line(item.caller.kernel_id, 60)}"
    rows = [
        ("accepted", f"{short_time(item.accepted_at)} from {caller}"),
        ("took", took),
        ("replay of", item.replay_of or ""),
        ("id", item.id),
    ]
    return [(title, text) for title, text in rows if text]


def _values(
    title: str, values: Mapping[str, JsonValue] | None, size_bytes: int
) -> tuple[str, Html]:
    if values is None:
        gone = f"{title}: {format_bytes(size_bytes)}, not kept"
        return gone, note(escape(gone))
    if not values:
        return f"{title}: none", note(f"{title}: none")
    texts, parts = [f"{title}:"], [f'<div style="opacity:.75">{title}</div>']
    for name, value in itertools.islice(values.items(), _SHOWN_VALUES):
        text, markup = titled(name, preview_value(_object(value)))
        texts.append("\n".join(f"  {line}" for line in text.split("\n")))
        parts.append(markup)
    if len(values) > _SHOWN_VALUES:
        more = f"… and {len(values) - _SHOWN_VALUES:,} more"
        texts.append(f"  {more}")
        parts.append(note(escape(more)))
    return "\n".join(texts), join(parts)


def _object(value: JsonValue) -> Any:
    """Return the array or the bytes that the JSON of a value stands for; else the JSON itself."""
    if not isinstance(value, dict):
        return value
    try:
        if {"base64", "file_name"} <= set(value) <= {"base64", "file_name", "encoding"}:
            return base64.b64decode(str(value["base64"]), validate=True)
        if set(value) == {"dtype", "shape", "data"} and value["data"] is not None:
            return _array(value)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        return value  # JSON of a caller that only looks like one
    return value


def _array(value: Mapping[str, JsonValue]) -> Any:
    import numpy as np

    dtype = str(value["dtype"])
    shape = value["shape"]
    if not isinstance(shape, list):
        return value
    if dtype == "string":
        return np.array(value["data"], object).reshape(shape)
    if dtype.startswith("complex"):
        pairs = np.array(value["data"], np.float64)
        return (pairs[..., 0] + 1j * pairs[..., 1]).astype(dtype).reshape(shape)
    kind = np.dtype(dtype) if hasattr(np, dtype) else np.dtype(np.float32)
    return (
        np.array(value["data"], np.float64 if kind.kind == "f" else None)
        .astype(kind)
        .reshape(shape)
    )
