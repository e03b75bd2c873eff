"""Fixtures for all tests: a real server, shared or of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test modules are imported by path and have no package; what they share is found here.
sys.path.insert(0, str(Path(__file__).parent))

from serving import RunningServer, serve


@pytest.fixture(scope="session")
def norman_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for tests that don't harm it: use names of your own for models."""
    with serve(tmp_path_factory.mktemp("norman")) as server:
        yield server


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server for one test alone, which may kill it or its parts."""
    with serve(tmp_path) as server:
        yield server
