"""``norman serve``: a Jupyter server with this extension and no Lab."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a server until it is stopped; arguments are those of ``jupyter server``.

    ``doctor`` and ``restore`` first stand for `norman_server.maintenance` instead.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["doctor"], ["restore"]):
        from norman_server.maintenance import main as maintain

        sys.exit(maintain(given))

    from norman_server.extension import NormanExtension

    NormanExtension.launch_instance(  # type: ignore[no-untyped-call]  # Jupyter's
        given
    )


if __name__ == "__main__":
    main()
