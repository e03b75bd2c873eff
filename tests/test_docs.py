"""What the documents say holds: links, commands, code, examples and the list of dependencies."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import pkgutil
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from norman_jupyter import Norman
from norman_jupyter.client.settings import read_project
from norman_jupyter.magics.options import find_command
from norman_jupyter.packaging.configuration import Layer, read_configuration
from norman_protocol.declared import check_declaration
from norman_protocol.media import ENCODINGS, MEDIA, Layout, Modality

_REPOSITORY = Path(__file__).parent.parent
_DOCUMENTS = sorted([*_REPOSITORY.glob("*.md"), *_REPOSITORY.glob("docs/**/*.md")])
_PROJECT = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))

_PACKAGES = (
    "norman_protocol",
    "norman_bundle",
    "norman_codec",
    "norman_worker",
    "norman_executor",
    "norman_server",
    "norman_jupyter",
    "tools",
)


def _ids(path: Path) -> str:
    return path.relative_to(_REPOSITORY).as_posix()


def _code_blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def _modules(*packages: str) -> list[str]:
    names = []
    for package in packages:
        root = importlib.import_module(package)
        names.append(package)
        found = pkgutil.walk_packages(root.__path__, f"{package}.")
        names += [module.name for module in found if not module.name.endswith("__main__")]
    return names


@pytest.mark.parametrize("path", _DOCUMENTS, ids=_ids)
def test_links_lead_to_files_and_headings_that_exist(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, heading = target.partition("#")
        assert (path.parent / file).exists(), target
        assert file or heading in headings, target


@pytest.mark.parametrize("path", _DOCUMENTS, ids=_ids)
def test_python_blocks_compile(path):
    for block in _code_blocks(path, "python"):
        compile(block, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("path", _DOCUMENTS, ids=_ids)
def test_configurations_are_read(path, tmp_path):
    for block in _code_blocks(path, "toml"):
        if "[tool.norman]" in block:  # a project's defaults, not what is said of a model
            (tmp_path / "pyproject.toml").write_text(block, encoding="utf-8")
            assert read_project(tmp_path).project
            continue
        configuration = read_configuration(Layer(place=path.name, content=tomllib.loads(block)))
        assert configuration.declaration is not None
        check_declaration(configuration.declaration)


@pytest.mark.parametrize("path", _DOCUMENTS, ids=_ids)
def test_make_commands_exist(path):
    makefile = (_REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", text))
    for block in _code_blocks(path, "sh"):
        named |= set(re.findall(r"^make ([a-z-]+)", block, flags=re.MULTILINE))
    assert named <= targets


def test_search_is_described_alike_wherever_it_is_offered():
    option = find_command("models").options_by_name["--search"]
    openapi = json.loads((_REPOSITORY / "labextension" / "openapi.json").read_text("utf-8"))
    (described,) = [
        parameter["description"]
        for parameter in openapi["paths"]["/models"]["get"]["parameters"]
        if parameter["name"] == "search"
    ]
    words = "nly those with this text in their name, or in a label, description or tag of a version"
    assert option.help == f"o{words}"
    assert described == f"O{words}"
    assert f"O{words}." in Norman.models.__doc__


def test_setting_names_the_longest_pause_that_there_is():
    schema = json.loads((_REPOSITORY / "labextension/schema/plugin.json").read_text("utf-8"))
    source = (_REPOSITORY / "labextension/src/models/library.ts").read_text("utf-8")
    (longest,) = re.findall(r"LONGEST_PAUSE_S = (\d+);", source)
    description = schema["properties"]["pollIntervalS"]["description"]
    assert f"the pauses grow to {longest} seconds." in description


def test_readme_imports_what_there_is():
    package = importlib.import_module("norman_jupyter")
    for block in _code_blocks(_REPOSITORY / "README.md", "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "norman_jupyter":
                for alias in node.names:
                    assert hasattr(package, alias.name)


def test_every_encoding_and_every_field_of_a_layout_is_told():
    text = (_REPOSITORY / "docs" / "media.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z0-9_]+)`", text))
    encodings = {one.name for one in ENCODINGS.values() if one.modality in MEDIA | {Modality.TEXT}}
    assert encodings | {field.name for field in fields(Layout)} <= told


def test_every_dependency_has_its_reason_and_no_other():
    requirements = list(_PROJECT["project"]["dependencies"])
    for extra in _PROJECT["project"]["optional-dependencies"].values():
        requirements += extra
    for group in _PROJECT["dependency-groups"].values():
        requirements += [requirement for requirement in group if isinstance(requirement, str)]
    declared = {re.match(r"[A-Za-z0-9_.-]+", requirement)[0] for requirement in requirements}

    text = (_REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| ([a-z0-9_.-]+) \|", text, flags=re.MULTILINE)) - {"package"}

    assert explained == declared


def test_every_dependency_is_pinned_for_development():
    text = (_REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    pinned = {name.lower().replace("_", "-") for name in re.findall(r"(?m)^([\w.-]+)==", text)}
    text = (_REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| ([a-z0-9_.-]+) \|", text, flags=re.MULTILINE)) - {"package"}

    assert explained <= pinned


def test_notebooks_in_git_have_no_outputs():
    for path in sorted((_REPOSITORY / "examples").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code), path


@pytest.mark.parametrize("name", _modules(*_PACKAGES))
def test_examples_in_docstrings_run(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":  # comes with the heavy tests only
            raise
        pytest.skip(f"{name} needs torch")
    assert doctest.testmod(module).failed == 0
