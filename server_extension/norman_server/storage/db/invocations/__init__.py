"""Invocations and the journal's positions: their tables, queries and migrations."""
