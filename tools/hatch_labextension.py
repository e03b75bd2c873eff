"""Hatch's build hook: the JupyterLab extension goes into wheels and sdists, built.

An editable install gets no copy of it, which would go stale, and so needs no Node.js:
`build_labextension.py` links the built extension into the environment instead.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["LabextensionHook"]

_OUTPUT = "norman_jupyter/labextension"
_INSTALLED = "share/jupyter/labextensions/norman-jupyter"


class LabextensionHook(BuildHookInterface[Any]):
    """Builds the extension where it isn't built from the sources at hand."""

    def dependencies(self) -> list[str]:
        """Return what the build environment needs beside hatchling."""
        return [] if _builder(self.root).is_built(Path(self.root)) else ["jupyter-builder>=1.2"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and name the files for the archive."""
        if version != "standard":
            return
        _builder(self.root).build(Path(self.root))
        if self.target_name == "wheel":
            build_data["shared_data"].update(
                {_OUTPUT: _INSTALLED, "install.json": f"{_INSTALLED}/install.json"}
            )
        else:
            # Ignored by git, and yet in the sdist: a wheel made from it needs no Node.js.
            build_data["artifacts"].append(f"/{_OUTPUT}/**")


def _builder(root: str) -> ModuleType:
    """Load the script by its path: a build environment knows no package of this project."""
    spec = importlib.util.spec_from_file_location(
        "build_labextension", Path(root, "tools", "build_labextension.py")
    )
    if spec is None or spec.loader is None:
        raise FileNotFoundError("tools/build_labextension.py is missing from the sources")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
