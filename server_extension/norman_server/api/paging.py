"""Parameters of every list: how many items, and from where on."""

from __future__ import annotations

from norman_server.api.models import DEFAULT_PAGE, MAX_PAGE
from norman_server.api.operations import QueryParameter

__all__ = ["CURSOR", "LIMIT"]

LIMIT = QueryParameter(
    name="limit", kind=int, description=f"Items per page: 1 to {MAX_PAGE}, {DEFAULT_PAGE} if absent"
)
CURSOR = QueryParameter(
    name="cursor", kind=str, description="next_cursor of the page before this one"
)
