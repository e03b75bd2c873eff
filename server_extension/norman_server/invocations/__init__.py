"""Invocations: what was called, by whom, with what, and how it ended."""
