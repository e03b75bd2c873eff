"""Versions being served: from a publication to a ready version behind a route."""

__all__: list[str] = []
