"""``python -m tools.generate_types``: the front end's types of the REST API, from its description.

Writes ``labextension/openapi.json`` (a test compares it with the server's own document) and, of it,
``labextension/src/api.ts`` (``jlpm types:generated`` compares the two). The drift of either fails
`make test`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from norman_server.api.openapi import build_document
from norman_server.api.routes import ROUTES
from tools.build_labextension import ROOT, BuildFailed, run_script

__all__ = ["DOCUMENT", "render_document"]

DOCUMENT = ROOT / "labextension" / "openapi.json"


def render_document() -> str:
    """Return the OpenAPI document as it stands in the front end's sources.

    It carries no version of a release: a release that leaves the API alone leaves it alone.
    """
    return json.dumps(build_document(ROUTES, "1"), indent=2, ensure_ascii=False) + "\n"


def _main(document: Path = DOCUMENT) -> int:
    document.write_text(render_document(), encoding="utf-8")
    try:
        run_script("generate-types", install_node=True)
    except BuildFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
