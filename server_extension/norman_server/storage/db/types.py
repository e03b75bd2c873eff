"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from norman_protocol.decoding import encode
from norman_protocol.rest import FileEntry, Manifest

__all__ = ["NAMING", "Json", "ManifestJson", "UtcDateTime", "clean_text", "write_json"]

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that a migration can drop it on any database."""

Json: Final = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC; SQLite itself would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - theirs
    ) -> datetime | None:
        """Refuse naive times; turn the others into UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a naive time can't be stored")
        return value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - theirs
    ) -> datetime | None:
        """Give the zone back where the database kept none."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ManifestJson(TypeDecorator[Manifest]):
    """A manifest as JSON, written and read entry by entry.

    A bundle may have tens of thousands of files: by way of a tree of dictionaries each reading
    would take several times the memory of the manifest itself.
    """

    impl = JSON
    cache_ok = True

    def bind_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - theirs
    ) -> Callable[[Manifest | None], str]:
        """Return what writes a manifest."""
        return _write_manifest

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - theirs
        coltype: object,  # noqa: ARG002 - theirs
    ) -> Callable[[str], Manifest]:
        """Return what reads one."""
        return _read_manifest


def _write_manifest(manifest: Manifest | None) -> str:
    if manifest is None:
        raise TypeError("a version has a manifest")
    return f'{{"files":[{",".join(write_json(encode(entry)) for entry in manifest.files)}]}}'


def _read_manifest(text: str) -> Manifest:
    return _MANIFEST_DECODER.decode(text)  # type: ignore[no-any-return]  # what the hook gives


def _manifest_part(found: dict[str, Any]) -> object:
    # A key that a later version of this program adds is passed over.
    if "files" in found:
        return Manifest(files=tuple(found["files"]))
    return FileEntry(
        path=found["path"],
        digest=found["digest"],
        size_bytes=found["size_bytes"],
        executable=found.get("executable", False),
    )


_MANIFEST_DECODER: Final = json.JSONDecoder(object_hook=_manifest_part)

# ASCII, so that text that UTF-8 can't say (lone surrogates in a model's message) is kept, escaped.
write_json: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, separators=(",", ":")
).encode


def clean_text(text: str) -> str:
    r"""Replace what no database stores as text: lone surrogates and NUL.

    Examples
    --------
    >>> clean_text("a\x00b")
    'a�b'
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
