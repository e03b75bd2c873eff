"""Versions and aliases through both clients, on a real server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import RunningServer

from norman_jupyter import (
    BlockingNorman,
    Conflict,
    ModelNotFound,
    NameInvalid,
    Norman,
    RequestInvalid,
    VersionNotFound,
)
from norman_jupyter.client.catalogue import AsyncioCatalogue, BlockingCatalogue, Catalogue
from norman_protocol.identifiers import new_id

SOURCE = "def predict(x: int) -> int:\n    return x * {factor}\n"


class _Awaited:
    """Calls the asyncio client from code that doesn't await."""

    def __init__(self, server: RunningServer) -> None:
        self.runner = asyncio.Runner()
        self.client = Norman(server.url, server.token)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self.runner.run(
            getattr(self.client, name)(*args, **options)
        )

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(params=["blocking", "asyncio"])
def norman(norman_server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "blocking":
        client: Any = BlockingNorman(norman_server.url, norman_server.token)
    else:
        client = _Awaited(norman_server)
    yield client
    client.close()


@pytest.fixture
def name(norman: Any, tmp_path: Path) -> str:
    """A model with three versions."""
    name = f"m{new_id()}"
    folder = tmp_path / "model"
    folder.mkdir()
    for factor in (1, 2, 3):
        (folder / "model.py").write_text(SOURCE.format(factor=factor))
        norman.upload(folder, name=name, trust=True)
    return name


def test_aliases_are_set_rolled_back_and_taken_away(norman: Any, name: str) -> None:
    norman.set_alias(name, "Production", 1, why="first")
    change = norman.set_alias(name, "production", 2, expected=1)
    assert (change.name, change.alias, change.before, change.after) == (name, "production", 1, 2)
    assert norman.invoke(f"{name}@production", x=10).value == 20
    with pytest.raises(Conflict):
        norman.set_alias(name, "production", 3, expected=1)
    assert norman.rollback(name, alias="production", why="worse").after == 1
    assert norman.invoke(f"{name}@production", x=10).value == 10
    assert norman.rollback(name).after == 2
    assert norman.rollback(name, 1).after == 1
    assert norman.invoke(name, x=10).value == 10
    aliases = norman.aliases(name).items
    assert [(item.alias, item.number) for item in aliases] == [("active", 1), ("production", 1)]
    assert norman.delete_alias(name, "production", why="over").after is None
    history = norman.history(name, "production")
    assert [item.action for item in history.items] == ["delete", "rollback", "set", "set"]
    assert [item.why for item in history.items] == ["over", "worse", None, "first"]
    first = norman.history(name, limit=1)
    assert norman.history(name, limit=1, cursor=first.next_cursor).items != first.items


def test_versions_come_in_pages_with_their_aliases(norman: Any, name: str) -> None:
    first = norman.versions(name, limit=2)
    rest = norman.versions(name, cursor=first.next_cursor)
    found = [(item.number, item.aliases) for item in (*first.items, *rest.items)]
    assert found == [(3, ("active",)), (2, ()), (1, ())]


def test_an_edit_is_seen_and_two_versions_are_compared(norman: Any, name: str) -> None:
    version = norman.edit(f"{name}@2", label="better", tags="mine", long_description="# Long")
    assert (version.label, version.tags) == ("better", ("mine",))
    assert norman.version(f"{name}@2") == version
    diff = norman.diff(f"{name}@1", f"{name}@2")
    assert [item.path for item in diff.files] == ["model.py"]
    assert [item.name for item in diff.settings] == ["label", "long description", "tags"]
    assert norman.edit(f"{name}@2", label="", tags=()).tags == ()


def test_what_cannot_be_asked_is_refused_before_it_is_sent(norman: Any) -> None:
    with pytest.raises(RequestInvalid, match="two models"):
        norman.diff("digits@1", "faces@2")
    with pytest.raises(NameInvalid):
        norman.set_alias("digits", "latest", 1)


def test_both_clients_have_the_same_methods() -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(function).parameters)
            for name, function in vars(cls).items()
            if callable(function) and not name.startswith("_")
        }

    assert methods(AsyncioCatalogue) == methods(BlockingCatalogue)
    assert set(methods(AsyncioCatalogue)) == set(methods(Catalogue))


def test_a_served_or_named_version_is_not_deleted_and_a_free_one_is(norman: Any, name: str) -> None:
    with pytest.raises(Conflict, match=f"the alias active leads to it.*{name} --all"):
        norman.delete(f"{name}@3")
    norman.invoke(f"{name}@1", x=1)  # it has a replica for certain
    with pytest.raises(Conflict, match="a replica serves it"):
        norman.delete(f"{name}@1")
    deletion = norman.delete(f"{name}@1", stop=True)
    assert deletion.versions == (f"{name}@1",)
    with pytest.raises(VersionNotFound, match=f"{name}@1"):
        norman.invoke(f"{name}@1", x=1)
    with pytest.raises(VersionNotFound, match="was deleted"):
        norman.version(f"{name}@1")
    with pytest.raises(VersionNotFound, match="was deleted"):
        norman.delete(f"{name}@1")
    with pytest.raises(RequestInvalid, match="Which version"):
        norman.delete(name)
    assert norman.invoke(name, x=2).value == 6


def test_a_model_is_deleted_whole_and_comes_back_with_new_numbers(
    norman: Any, name: str, tmp_path: Path
) -> None:
    invocation = norman.invoke(name, x=1).id
    deletion = norman.delete_model(name)
    assert (len(deletion.versions), deletion.aliases) == (3, ("active",))
    with pytest.raises(ModelNotFound):
        norman.invoke(name, x=1)
    with pytest.raises(ModelNotFound, match="was deleted"):
        norman.model(name)
    assert norman.invocation(invocation).invocation.reference == f"{name}@3"
    assert norman.upload(tmp_path / "model", name=name, trust=True).number == 4
    assert norman.invoke(name, x=1).version == f"{name}@4"


def test_disk_and_clean_up_are_told(norman: Any, name: str) -> None:
    usage = norman.disk(name)
    assert {item.reference for item in usage.items} == {f"{name}@{n}" for n in (1, 2, 3)}
    assert usage.free_bytes > 0
    with pytest.raises(ModelNotFound):
        norman.disk("there-is-none")
    report = norman.collect_garbage(dry_run=True)
    assert (report.dry_run, report.trees) == (True, 0)
    norman.collect_garbage()
    assert norman.invoke(f"{name}@2", x=2).value == 4


def test_the_doctor_examines_the_home(norman: Any, name: str) -> None:
    norman.collect_garbage()
    report = norman.doctor(deep=True)
    assert [one for one in report.findings if name in one.message] == []
    assert "blobs" in report.checks
    assert norman.doctor(repair=True).checks == report.checks
