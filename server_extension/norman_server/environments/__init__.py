"""Which interpreter a version runs in."""

__all__: list[str] = []
