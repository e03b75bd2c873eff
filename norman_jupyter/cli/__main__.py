"""``python -m norman_jupyter.cli``: the same as ``norman``, where that isn't on the PATH."""

from __future__ import annotations

import sys

from norman_jupyter.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
