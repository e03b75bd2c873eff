"""What decoding and encoding media took of a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invocations", sa.Column("codec_s", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("invocations", "codec_s")
