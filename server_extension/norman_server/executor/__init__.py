"""The executor as the server sees it: a connection, a relay for calls, and a supervisor."""

__all__: list[str] = []
