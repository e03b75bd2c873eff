"""Tables of ``norman.db``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from norman_server.storage.db.migration import Migrations
from norman_server.storage.db.types import NAMING, Json, ManifestJson, UtcDateTime

__all__ = [
    "MIGRATIONS",
    "alias_changes",
    "aliases",
    "blobs",
    "deleted_versions",
    "metadata",
    "models",
    "version_blobs",
    "versions",
]

MIGRATIONS: Final = Migrations(
    name="norman.db", folder=Path(__file__).parent / "migrations", head="0005"
)

metadata = MetaData(naming_convention=NAMING)

models = Table(
    "models",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("name_key", String(400), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # Counts up only, so that a deleted version's number is never used again.
    Column("last_number", Integer, nullable=False),
    # Counts requests to activate a version: the last one asked for wins, not the last one loaded.
    Column("last_activation", Integer, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("identity", String(64), nullable=False),
    Column("bundle_digest", String(64), nullable=False),
    Column("label", Text),
    Column("description", Text),
    Column("long_description", Text),
    Column("tags", Json, nullable=False),
    Column("runtime", String(32), nullable=False),
    Column("entry", Text, nullable=False),
    Column("interpreter", Text),
    Column("signature", Json),
    # What the configuration says of it, None where there was none.
    Column("declaration", Json),
    Column("manifest", ManifestJson, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("load_s", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("origin", Json, nullable=False),
    Column("trust", Json),
    Column("error", Json),
    # Which request to activate this was, None where it was none; and who asked.
    Column("activation", Integer),
    Column("activated_by", Text),
    # Label, descriptions and tags, folded as names are: what a search looks through.
    Column("search_text", Text, nullable=False, server_default=""),
    UniqueConstraint("model_id", "number"),
    UniqueConstraint("model_id", "identity"),
    CheckConstraint("state IN ('loading', 'ready', 'failed')", name="state"),
    Index("ix_versions_model_id_search_text", "model_id", "search_text"),
)

deleted_versions = Table(
    "deleted_versions",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version_id", String(32), nullable=False),
    Column("deleted_at", UtcDateTime, nullable=False),
    Column("deleted_by", Text, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("alias", String(100), primary_key=True),
    Column("version_id", ForeignKey("versions.id"), nullable=False, index=True),
    Column("activation", Integer, nullable=False),
)

alias_changes = Table(
    "alias_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model_id", ForeignKey("models.id"), nullable=False, index=True),
    Column("alias", String(100), nullable=False),
    Column("before", Integer),
    Column("after", Integer),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("action", String(16), nullable=False, server_default="set"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When its bytes were found damaged; they are not stored any more until they are sent again.
    Column("quarantined_at", UtcDateTime),
    # When somebody last counted on it being stored; None: when it was made.
    Column("touched_at", UtcDateTime),
)

version_blobs = Table(
    "version_blobs",
    metadata,
    Column("version_id", ForeignKey("versions.id"), primary_key=True),
    Column("digest", ForeignKey("blobs.digest"), primary_key=True, index=True),
)
