"""The worker's zipapp: norman_worker and norman_protocol in one file, for any interpreter."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

__all__ = ["build_archive"]

_PACKAGES = ("norman_protocol", "norman_worker")
_MAIN = "import sys\nfrom norman_worker.__main__ import main\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build_archive(folder: Path) -> Path:
    """Write ``worker-<digest>.pyz`` into ``folder`` and return its path.

    The packages are found, not imported: nothing of the worker runs in this process. Started as
    ``interpreter worker.pyz --socket-fd N``.
    """
    sources = {"__main__.py": _MAIN.encode()}
    for package in _PACKAGES:
        root = _package_folder(package)
        for path in sorted(root.rglob("*.py")):
            sources[f"{package}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    digest = hashlib.sha256(
        b"".join(name.encode() + b"\0" + text + b"\0" for name, text in sources.items())
    ).hexdigest()
    target = folder / f"worker-{digest[:16]}.pyz"
    if not target.exists():
        unfinished = target.with_suffix(f".{digest[-8:]}.tmp")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, text in sources.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
        unfinished.replace(target)
    return target


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0])
