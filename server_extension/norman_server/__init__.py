"""The server extension: REST API, registry, deployments and the supervised executor."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter where the extension is; imported here, so that the package stays light."""
    from norman_server.extension import NormanExtension

    return [{"module": "norman_server.extension", "app": NormanExtension}]
