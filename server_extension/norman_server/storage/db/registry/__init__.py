"""Models, versions, aliases and blobs: their tables, queries and migrations."""
