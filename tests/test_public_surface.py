"""What is public says so: `__all__` of every module is complete and true."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    ROOT / "norman_jupyter",
    *sorted(path for path in (ROOT / "server_extension").glob("norman_*") if path.is_dir()),
]


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            if "migrations" in parts:  # scripts that Alembic runs, nobody's to import
                continue
            yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(modules())


def defined_names(tree: ast.Module) -> set[str]:
    """Return the public names that a module itself defines, at its top level."""
    names: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(statement.name)
            case ast.Assign() | ast.AnnAssign() if is_type_name(statement):
                continue
            case ast.Assign():
                names.update(item.id for item in statement.targets if isinstance(item, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def is_type_name(statement: ast.Assign | ast.AnnAssign) -> bool:
    """Type variables and aliases serve the module's own signatures and may stay out."""
    if isinstance(statement, ast.AnnAssign):
        return getattr(statement.annotation, "id", "") == "TypeAlias"
    called = statement.value.func if isinstance(statement.value, ast.Call) else None
    return getattr(called, "id", "") in ("TypeVar", "ParamSpec")


def public_names(tree: ast.Module) -> list[str] | None:
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=value)
            ) if value is not None:
                names: list[str] = ast.literal_eval(value)
                return names
    return None


def test_all_our_packages_are_looked_at() -> None:
    assert {name.partition(".")[0] for name in MODULES} >= {
        "norman_bundle",
        "norman_executor",
        "norman_jupyter",
        "norman_protocol",
        "norman_server",
        "norman_worker",
    }


@pytest.mark.parametrize("name", MODULES)
def test_public_names_of_a_module_are_in_its_all(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    public = public_names(tree)
    if public is None:
        assert not defined_names(tree), f"{name} has no __all__"
        return
    assert len(set(public)) == len(public), f"{name} names something twice"
    assert not [item for item in public if item.startswith("_") and item != "__version__"]
    missing = defined_names(tree) - set(public)
    assert not missing, f"{name}: neither in __all__ nor underscored"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_every_name_in_all_exists(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":  # comes with the heavy tests only
            raise
        pytest.skip(f"{name} needs torch")
    public = getattr(module, "__all__", ())
    assert not [item for item in public if not hasattr(module, item)]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_in_its_first_line_what_it_is(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name} has no docstring"
