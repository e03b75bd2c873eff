"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invocations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("executor_id", sa.String(length=200), nullable=False),
        sa.Column("version_id", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("model_key", sa.String(length=400), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("kernel_id", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queue_s", sa.Float(), nullable=True),
        sa.Column("model_s", sa.Float(), nullable=True),
        sa.Column("total_s", sa.Float(), nullable=True),
        sa.Column("input_bytes", sa.BigInteger(), nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_details", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("logs", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', "
            "'interrupted')",
            name=op.f("ck_invocations_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invocations")),
    )
    op.create_index(
        op.f("ix_invocations_executor_id_state"),
        "invocations",
        ["executor_id", "state"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invocations_model_key_id"), "invocations", ["model_key", "id"], unique=False
    )
    op.create_index(op.f("ix_invocations_state_id"), "invocations", ["state", "id"], unique=False)
    op.create_table(
        "segments",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("executor_id", sa.String(length=200), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("corrupt", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_segments")),
    )
    op.create_table(
        "payloads",
        sa.Column("invocation_id", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("descriptors", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("side IN ('inputs', 'outputs')", name=op.f("ck_payloads_side")),
        sa.ForeignKeyConstraint(
            ["invocation_id"],
            ["invocations.id"],
            name=op.f("fk_payloads_invocation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("invocation_id", "side", name=op.f("pk_payloads")),
    )


def downgrade() -> None:
    op.drop_table("payloads")
    op.drop_table("segments")
    op.drop_table("invocations")
