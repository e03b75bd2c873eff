"""A registry on a home of its own."""

from __future__ import annotations

import shutil

import pytest

from norman_server.registry.service import Registry
from norman_server.storage.opening import open_storage


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory):
    """A home that is migrated once, since that takes longer than most tests."""
    home = tmp_path_factory.mktemp("empty") / "home"
    open_storage(home).close()
    return home


@pytest.fixture
def storage(empty_home, tmp_path):
    shutil.copytree(empty_home, tmp_path / "home")
    with open_storage(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def registry(storage):
    return Registry(storage)
