"""``norman serve``: a Jupyter server with this extension and no Lab."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from norman_server.extension import NormanExtension

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a server until it is stopped; arguments are those of ``jupyter server``."""
    NormanExtension.launch_instance(  # type: ignore[no-untyped-call]  # Jupyter's
        None if arguments is None else list(arguments)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
