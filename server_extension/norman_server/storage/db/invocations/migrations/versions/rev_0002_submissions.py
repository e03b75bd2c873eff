"""Calls that wait in the database, keys that stand for a call, and indexes for long lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invocations", sa.Column("timeout_s", sa.Float(), nullable=True))
    op.add_column("invocations", sa.Column("replay_of", sa.String(length=64), nullable=True))
    op.create_index(
        op.f("ix_invocations_model_key_number_id"),
        "invocations",
        ["model_key", "number", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invocations_model_key_state_id"),
        "invocations",
        ["model_key", "state", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invocations_model_key_number_state_id"),
        "invocations",
        ["model_key", "number", "state", "id"],
        unique=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("invocation_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invocation_id"],
            ["invocations.id"],
            name=op.f("fk_idempotency_keys_invocation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_invocation_id"),
        "idempotency_keys",
        ["invocation_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_invocations_model_key_number_state_id"), table_name="invocations")
    op.drop_index(op.f("ix_invocations_model_key_state_id"), table_name="invocations")
    op.drop_index(op.f("ix_invocations_model_key_number_id"), table_name="invocations")
    op.drop_column("invocations", "replay_of")
    op.drop_column("invocations", "timeout_s")
