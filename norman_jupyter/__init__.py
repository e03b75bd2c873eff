"""norman_jupyter."""
