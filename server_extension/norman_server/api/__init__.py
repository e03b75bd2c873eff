"""The REST API: authentication, decoding, and which error has which status."""

__all__: list[str] = []
