"""Tables of ``invocations.db``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from norman_server.storage.db.migration import Migrations
from norman_server.storage.db.types import NAMING, Json, UtcDateTime

__all__ = ["MIGRATIONS", "idempotency_keys", "invocations", "metadata", "payloads", "segments"]

MIGRATIONS: Final = Migrations(
    name="invocations.db", folder=Path(__file__).parent / "migrations", head="0003"
)

metadata = MetaData(naming_convention=NAMING)

# Ids sort by the time they were made: the primary key is the order of lists.
invocations = Table(
    "invocations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("executor_id", String(200), nullable=False),
    Column("version_id", String(64), nullable=False),
    Column("reference", Text, nullable=False),
    Column("model_key", String(400), nullable=False),
    Column("number", Integer),
    Column("state", String(16), nullable=False),
    Column("user", Text, nullable=False),
    Column("kernel_id", Text),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("queue_s", Float),
    Column("model_s", Float),
    Column("total_s", Float),
    Column("input_bytes", BigInteger, nullable=False),
    Column("output_bytes", BigInteger),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("error_details", Json),
    Column("logs", Text),
    Column("timeout_s", Float),
    Column("replay_of", String(64)),
    Column("codec_s", Float),
    CheckConstraint(
        "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', "
        "'interrupted')",
        name="state",
    ),
    Index(None, "model_key", "id"),
    Index(None, "model_key", "number", "id"),
    Index(None, "model_key", "state", "id"),
    Index(None, "model_key", "number", "state", "id"),
    Index(None, "state", "id"),
    Index(None, "executor_id", "state"),
)

# Apart from the rows that lists read, which stay small thereby.
payloads = Table(
    "payloads",
    metadata,
    Column("invocation_id", ForeignKey("invocations.id", ondelete="CASCADE"), primary_key=True),
    Column("side", String(8), primary_key=True),
    Column("descriptors", Json, nullable=False),
    Column("data", LargeBinary, nullable=False),
    CheckConstraint("side IN ('inputs', 'outputs')", name="side"),
)

# A caller's key stands for one call, whatever becomes of the connection that brought it.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user", Text, primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column(
        "invocation_id",
        ForeignKey("invocations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

segments = Table(
    "segments",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("executor_id", String(200), nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),
    Column("corrupt", Boolean, nullable=False),
)
