"""One version, told in three places."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_front_end_has_the_version_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package = json.loads((ROOT / "labextension/package.json").read_text())
    source = (ROOT / "labextension/src/version.ts").read_text()
    spelt = re.search(r"VERSION = '(.+)';", source)
    assert spelt is not None
    assert spelt[1] == project["version"]
    # npm knows no 1.0rc1: there it is 1.0.0-rc.1, which begins the same.
    released = re.match(r"\d+\.\d+\.\d+", project["version"])
    assert released is not None
    assert package["version"].startswith(released[0])
    assert package["name"] == project["name"]
