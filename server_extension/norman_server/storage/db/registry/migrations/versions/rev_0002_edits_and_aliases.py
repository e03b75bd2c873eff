"""Text to search in, long descriptions, and what each change of an alias was."""

from __future__ import annotations

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("long_description", sa.Text(), nullable=True))
    op.add_column(
        "versions", sa.Column("search_text", sa.Text(), nullable=False, server_default="")
    )
    op.add_column(
        "alias_changes",
        sa.Column("action", sa.String(length=16), nullable=False, server_default="set"),
    )
    op.create_index(op.f("ix_aliases_version_id"), "aliases", ["version_id"], unique=False)
    op.create_index(
        op.f("ix_versions_model_id_search_text"),
        "versions",
        ["model_id", "search_text"],
        unique=False,
    )
    _fill_search_text(op.get_bind())


def _fill_search_text(connection: sa.Connection) -> None:
    # Written out here: a migration does tomorrow what it does today, whatever becomes of the code.
    query = sa.text("SELECT id, label, description, tags FROM versions")
    for row in connection.execute(query).all():
        tags = json.loads(row.tags) if isinstance(row.tags, str) else row.tags
        text = "\n".join(part for part in (row.label, row.description, *tags) if part)
        connection.execute(
            sa.text("UPDATE versions SET search_text = :text WHERE id = :id"),
            {"text": _folded(text), "id": row.id},
        )


def _folded(text: str) -> str:
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def downgrade() -> None:
    op.drop_index(op.f("ix_aliases_version_id"), table_name="aliases")
    op.drop_column("alias_changes", "action")
    op.drop_index(op.f("ix_versions_model_id_search_text"), table_name="versions")
    op.drop_column("versions", "search_text")
    op.drop_column("versions", "long_description")
