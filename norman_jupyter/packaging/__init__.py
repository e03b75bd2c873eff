"""From a file or folder of the user to a bundle, and the facts of where it came from."""

__all__: list[str] = []
