"""Runs the migrations of this folder on the connection that it was given."""  # noqa: INP001 - Alembic executes it

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
