"""The front end's description of the API is the server's."""

from __future__ import annotations

from tools.generate_types import DOCUMENT, render_document


def test_front_end_describes_the_api_of_this_server() -> None:
    """After a change of the API, `python -m tools.generate_types` renews the front end's types."""
    assert DOCUMENT.read_text(encoding="utf-8") == render_document()
