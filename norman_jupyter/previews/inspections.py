"""What an upload would be, as a card: format, signature, files, trust, memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from norman_bundle.trust import TrustFinding
from norman_jupyter.previews.markup import (
    Bundle,
    Html,
    code,
    escape,
    fields,
    join,
    note,
    table,
    warning,
)
from norman_jupyter.previews.text import columns, format_bytes, format_count, one_line
from norman_jupyter.previews.versions import signature_rows
from norman_protocol.signature import Signature

__all__ = ["ShownFile", "ShownInspection", "render_inspection"]

_SHOWN_FILES = 12
_SHOWN_FINDINGS = 8
_NOTHING_SENT = "Nothing was sent."


class ShownFile(Protocol):
    """A file that would be uploaded."""

    @property
    def path(self) -> str:
        """Its path in the bundle."""

    @property
    def size_bytes(self) -> int:
        """Its size."""


class ShownInspection(Protocol):
    """What an inspection must have to be shown."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def runtime(self) -> str:
        """What loads it."""

    @property
    def entry(self) -> str:
        """The file that is loaded."""

    @property
    def files(self) -> Sequence[ShownFile]:
        """What would be uploaded."""

    @property
    def size_bytes(self) -> int:
        """The size of all files."""

    @property
    def signature(self) -> Signature | None:
        """As far as it is known."""

    @property
    def is_described(self) -> bool:
        """Whether the model's own file told it."""

    @property
    def needs_trust(self) -> bool:
        """Whether it runs code."""

    @property
    def trust_findings(self) -> Sequence[TrustFinding]:
        """Files that may do something."""

    @property
    def expected_memory_bytes(self) -> int:
        """Of a worker that has loaded it."""

    @property
    def label(self) -> str | None:
        """The version's label."""

    @property
    def description(self) -> str | None:
        """What the version is."""

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""


def render_inspection(inspection: ShownInspection) -> Bundle:
    """Return an inspection as plain text and HTML."""
    heading = (
        f"{one_line(inspection.name, 100)} · {inspection.runtime} · "
        f"{format_bytes(inspection.size_bytes)} in {format_count(len(inspection.files), 'file')}"
    )
    signature = signature_rows(inspection.signature)
    rows = _facts(inspection)
    texts = [f"{heading}. {_NOTHING_SENT}"]
    if signature:
        texts.append(columns(signature, indent="  "))
    texts += [f"  {_reservation(inspection)}"] if not inspection.is_described else []
    texts.append(columns(rows, indent="  "))
    parts: list[Html] = [f"{escape(heading)}. {escape(_NOTHING_SENT)}"]
    if signature:
        cells = [
            [escape(place), code(name), code(kind), escape(more)]
            for place, name, kind, more in signature
        ]
        parts.append(table(("", "name", "type", "about"), cells, wrapped="about"))
    if not inspection.is_described:
        parts.append(note(escape(_reservation(inspection))))
    parts.append(
        fields(
            [
                (
                    name,
                    warning(value) if name == "trust" and inspection.needs_trust else escape(value),
                )
                for name, value in rows
            ]
        )
    )
    return {"text/plain": "\n".join(texts), "text/html": join(parts)}


def _reservation(inspection: ShownInspection) -> str:
    known = "The signature as declared" if inspection.signature else "No signature is known yet"
    return f"{known}: what {one_line(inspection.entry, 80)} takes shows when it is loaded."


def _facts(inspection: ShownInspection) -> list[tuple[str, str]]:
    rows = [
        ("entry", inspection.entry),
        ("trust", _trust(inspection)),
        *((" ", f"{one.path} {one.reason}") for one in inspection.trust_findings[:_SHOWN_FINDINGS]),
        ("memory", f"about {format_bytes(inspection.expected_memory_bytes)} once loaded"),
        ("label", inspection.label or ""),
        ("description", inspection.description or ""),
        ("tags", ", ".join(inspection.tags)),
        *_files(inspection),
    ]
    return [(name, one_line(value, 300)) for name, value in rows if value]


def _trust(inspection: ShownInspection) -> str:
    if not inspection.needs_trust:
        return "not needed"
    more = len(inspection.trust_findings) - _SHOWN_FINDINGS
    rest = f" (and {format_count(more, 'more file')} than are listed)" if more > 0 else ""
    return f"needed: --trust (in Python: trust=True), once you have read what it runs{rest}"


def _files(inspection: ShownInspection) -> list[tuple[str, str]]:
    files = inspection.files
    rows = [
        (
            "files" if not index else " ",
            f"{one_line(file.path, 160)} ({format_bytes(file.size_bytes)})",
        )
        for index, file in enumerate(files[:_SHOWN_FILES])
    ]
    if len(files) > _SHOWN_FILES:
        rows.append((" ", f"… and {format_count(len(files) - _SHOWN_FILES, 'file')} more"))
    return rows
