"""``norman`` in a shell: the commands of ``%norman``, and those that start and mend a server."""

from __future__ import annotations

from norman_jupyter.cli.program import main

__all__ = ["main"]
