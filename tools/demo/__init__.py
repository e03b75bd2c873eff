"""The demo: the quickstart notebook through a real Jupyter server, and the same home in Lab."""
