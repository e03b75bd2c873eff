"""Reading the registry: pages of models, their detail, and where references lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from norman_protocol.errors import RequestInvalid
from norman_protocol.messages import VersionState
from norman_protocol.references import name_key, version_not_found
from norman_protocol.rest import AliasHistory, AliasPage, ModelDetail, ModelPage, VersionPage
from norman_server.domain.records import ModelRouting
from norman_server.registry.cursors import write_cursor
from norman_server.registry.rendering import (
    alias_change,
    alias_summary,
    model_summary,
    version_summary,
)
from norman_server.registry.selecting import find_model

if TYPE_CHECKING:
    from norman_server.storage.db.registry.rows import RegistryRows

__all__ = [
    "alias_history",
    "alias_page",
    "all_routings",
    "check_page",
    "model_detail",
    "model_page",
    "model_routing",
    "version_page",
]

_SHOWN_VERSIONS: Final = 100
_PAGE_LIMIT: Final = 500
_SEARCH_CHARACTERS: Final = 200


def check_page(limit: int, search: str | None) -> None:
    """Check the parameters of a page.

    Raises
    ------
    RequestInvalid
        One is out of bounds; ``field`` names it.
    """
    if not 1 <= limit <= _PAGE_LIMIT:
        raise RequestInvalid(f"limit must be from 1 to {_PAGE_LIMIT}, not {limit}.", field="limit")
    if search is not None and len(search) > _SEARCH_CHARACTERS:
        raise RequestInvalid(
            f"search has {len(search)} characters, more than the {_SEARCH_CHARACTERS} allowed.",
            field="search",
        )


def model_page(
    rows: RegistryRows, *, limit: int, after_key: str | None, search: str | None
) -> ModelPage:
    """Return a page of models by name."""
    # One more than is shown tells whether another page follows.
    found = rows.models.page(limit=limit + 1, after_key=after_key, search=search)
    shown = found[:limit]
    more = len(found) > limit
    return ModelPage(
        items=tuple(map(model_summary, rows.versions.overviews(shown))),
        next_cursor=write_cursor(name_key(shown[-1].name)) if more else None,
    )


def model_detail(rows: RegistryRows, name: str) -> ModelDetail:
    """Return a model with its latest versions.

    Raises
    ------
    ModelNotFound
        There is none of that name.
    """
    model = find_model(rows, name)
    (overview,) = rows.versions.overviews([model])
    return ModelDetail(
        model=model_summary(overview),
        versions=tuple(map(version_summary, rows.versions.outlines(model.id, _SHOWN_VERSIONS))),
    )


def version_page(rows: RegistryRows, name: str, *, limit: int, before: int | None) -> VersionPage:
    """Return a page of a model's versions, newest first.

    Raises
    ------
    ModelNotFound
        There is none of that name.
    """
    found = rows.versions.outlines(find_model(rows, name).id, limit + 1, before=before)
    shown = found[:limit]
    more = len(found) > limit
    return VersionPage(
        items=tuple(map(version_summary, shown)),
        next_cursor=write_cursor(str(shown[-1].number)) if more else None,
    )


def alias_page(rows: RegistryRows, name: str, *, limit: int, after: str | None) -> AliasPage:
    """Return a page of a model's aliases by name.

    Raises
    ------
    ModelNotFound
        There is none of that name.
    """
    model = find_model(rows, name)
    found = rows.aliases.page(model.id, limit=limit + 1, after=after)
    shown = found[:limit]
    more = len(found) > limit
    return AliasPage(
        name=model.name,
        items=tuple(alias_summary(model.name, outline) for outline in shown),
        next_cursor=write_cursor(shown[-1].alias) if more else None,
    )


def alias_history(
    rows: RegistryRows, name: str, alias: str | None, *, limit: int, before: int | None
) -> AliasHistory:
    """Return a page of the changes of an alias, or of all aliases, newest first.

    Raises
    ------
    ModelNotFound, VersionNotFound
        There is no such model, or the alias was never set.
    """
    model = find_model(rows, name)
    found = rows.aliases.history(model.id, alias, limit + 1, before=before)
    if alias is not None and not found and before is None:
        numbers = rows.versions.numbers(model.id)
        raise version_not_found(model.name, alias, numbers, rows.aliases.numbers(model.id))
    shown = found[:limit]
    more = len(found) > limit
    return AliasHistory(
        name=model.name,
        items=tuple(alias_change(model.name, change) for change in shown),
        next_cursor=write_cursor(str(shown[-1].id)) if more else None,
    )


def model_routing(rows: RegistryRows, name: str) -> ModelRouting:
    """Return where the references to one model lead.

    Raises
    ------
    ModelNotFound
        There is none of that name.
    """
    model = find_model(rows, name)
    return ModelRouting(
        name=model.name,
        versions=rows.versions.targets(model.id),
        aliases=rows.aliases.numbers(model.id),
    )


def all_routings(rows: RegistryRows) -> list[ModelRouting]:
    """Return where the references to every model lead, by name."""
    aliases = rows.aliases.all_numbers()
    versions: dict[tuple[str, str], dict[int, tuple[str, VersionState]]] = {}
    for version in rows.versions.all_targets():
        key = (version.model_id, version.name)
        versions.setdefault(key, {})[version.number] = (version.version_id, version.state)
    return [
        ModelRouting(name=name, versions=targets, aliases=aliases.get(model_id, {}))
        for (model_id, name), targets in versions.items()
    ]
