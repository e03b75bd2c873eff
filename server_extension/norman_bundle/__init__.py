"""What a bundle is: its manifest, its format and the trust it needs. Standard library only."""

__all__: list[str] = []
