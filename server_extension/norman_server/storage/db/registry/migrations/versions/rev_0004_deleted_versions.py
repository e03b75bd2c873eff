"""Versions that were deleted, and when a blob was last asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("blobs", sa.Column("touched_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "deleted_versions",
        sa.Column(
            "model_id",
            sa.String(32),
            sa.ForeignKey("models.id", name="fk_deleted_versions_model_id_models"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_deleted_versions"),
    )


def downgrade() -> None:
    op.drop_table("deleted_versions")
    op.drop_column("blobs", "touched_at")
