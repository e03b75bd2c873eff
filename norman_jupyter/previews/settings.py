"""Settings as a table: what holds, and who said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from norman_jupyter.previews.markup import Bundle, code, escape, join, note, table
from norman_jupyter.previews.text import columns, format_count, one_line

__all__ = ["Connected", "render_settings"]

_HEADER = ("setting", "value", "set by", "what it is")


def render_settings(rows: Sequence[tuple[str, str, str, str]]) -> Bundle:
    """Return names, values, where these were said and what they are for as a table."""
    plain = [[one_line(cell, 200) for cell in row] for row in rows]
    cells = [
        [code(name), code(value) if value else "", escape(by), escape(what)]
        for name, value, by, what in plain
    ]
    return {
        "text/plain": columns([_HEADER, *plain]),
        "text/html": table(_HEADER, cells, wrapped="what it is"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The server that a notebook's commands go to.

    Attributes
    ----------
    url
        None where it was found and not chosen.
    set_by
        Who chose it: notebook, environment, project; default where nobody did.
    hint
        What else is to be said.
    """

    url: str | None
    set_by: str
    server_id: str
    version: str
    model_count: int
    hint: str = ""

    def _repr_mimebundle_(self, **_: object) -> Bundle:
        where = f"at {self.url}" if self.url is not None else "that was found from here"
        by = "" if self.url is None else f" (set by the {self.set_by})"
        models = format_count(self.model_count, "model")
        text = one_line(
            f"connected to the server {where}{by} · norman {self.version} · {models} · "
            f"id {self.server_id}",
            600,
        )
        lines = [text, self.hint] if self.hint else [text]
        return {
            "text/plain": "\n".join(lines),
            "text/html": join([note(escape(line)) for line in lines]),
        }
