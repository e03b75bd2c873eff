"""One stored output of a call as a browser takes it: a picture as a picture, a sound as a sound."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote

from norman_protocol.decoding import dump_json
from norman_protocol.errors import Conflict, NormanError, RequestInvalid
from norman_protocol.media import ENCODINGS, MEDIA
from norman_protocol.messages import Result
from norman_protocol.rendering import render_value
from norman_protocol.values import Value
from norman_server.api.base import Handler

__all__ = ["InvocationOutputHandler", "ServedValue", "serve_value"]

_POLICY: Final = (
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
)
"""A page that is opened on an output runs nothing and reaches nothing but the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedValue:
    """A value as an HTTP answer.

    Attributes
    ----------
    is_shown
        Whether a browser may show it in its window; else it offers to save it.
    """

    content: bytes
    media_type: str
    suffix: str
    is_shown: bool


def serve_value(value: Value) -> ServedValue:
    """Return what a browser gets of a value.

    Only images, sounds and videos of known encodings are shown as what they are: whatever else a
    file of a model may be, it must not become a page of this server.

    Raises
    ------
    OutputInvalid
        The bytes are not what the value claims.

    Examples
    --------
    >>> served = serve_value(Value(kind="bytes", encoding="png", buffer=b"..."))
    >>> served.media_type, served.is_shown
    ('image/png', True)
    >>> serve_value(Value(kind="bytes", buffer=b"<script>")).media_type
    'application/octet-stream'
    """
    if value.kind == "bytes":
        known = ENCODINGS.get(value.encoding or "")
        is_medium = known is not None and known.modality in MEDIA
        return ServedValue(
            content=bytes(value.buffer),
            media_type=known.media_type if known and is_medium else "application/octet-stream",
            suffix=known.suffix if known else "",
            is_shown=is_medium,
        )
    if value.kind == "text":
        media_type, suffix = "text/plain; charset=utf-8", ".txt"
        return ServedValue(
            content=bytes(value.buffer), media_type=media_type, suffix=suffix, is_shown=True
        )
    content = dump_json(render_value(value))
    return ServedValue(
        content=content, media_type="application/json", suffix=".json", is_shown=True
    )


class InvocationOutputHandler(Handler):
    """One output of one call."""

    async def get(self, invocation_id: str) -> None:
        """Answer with the output itself."""
        name = self.query()["name"]
        outcome = await self.services.submissions.outcome(invocation_id, wait_s=0.0)
        if isinstance(outcome, NormanError):
            raise outcome
        if outcome is None:
            raise Conflict(
                f"The invocation {invocation_id} goes on: it has no outputs yet. Wait for it with "
                f"GET invocations/{invocation_id}?wait_s=60.",
                name=invocation_id,
            )
        served = await asyncio.to_thread(serve_value, _find(outcome, name))
        shown = "inline" if served.is_shown else "attachment"
        file_name = quote(f"{name}{served.suffix}", safe="")
        self.set_header("Content-Disposition", f"{shown}; filename*=UTF-8''{file_name}")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        await self.finish(served.content, set_content_type=served.media_type)


def _find(outcome: Result, name: str | None) -> Value:
    value = outcome.values.get(name or "")
    if value is not None:
        return value
    names = list(outcome.values)
    listed = ", ".join(map(repr, names[:10])) or "none"
    raise RequestInvalid(
        f"name must be one of the call's outputs ({listed}), not {(name or '')[:60]!r}.",
        field="name",
        nearest=get_close_matches(name or "", names, n=3, cutoff=0.4) or names[:10],
    )
