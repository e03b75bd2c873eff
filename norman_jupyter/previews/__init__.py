"""What results and listings look like in a notebook: always small, always escaped."""

from __future__ import annotations

from norman_jupyter.previews.results import render_result, render_value

__all__ = ["render_result", "render_value"]
