"""Routing: from a reference to the version that serves it. Pure; the server sends the tables."""

from __future__ import annotations

from norman_protocol.errors import NotReady
from norman_protocol.messages import Route, VersionState
from norman_protocol.references import (
    ACTIVE,
    LATEST,
    Reference,
    model_not_found,
    name_key,
    parse_reference,
    version_not_found,
)

__all__ = ["Routes"]

_CACHE_LIMIT = 4096


class Routes:
    """The routing of every model.

    Examples
    --------
    >>> from norman_protocol.messages import RouteTarget
    >>> routes = Routes()
    >>> routes.replace(Route(id="1", name="digits", aliases={"active": 1},
    ...                      versions={"1": RouteTarget(version_id="v", state="ready")}))
    >>> routes.resolve("digits")
    'v'
    """

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._resolved: dict[str, str] = {}

    def replace(self, route: Route) -> None:
        """Take the whole routing of one model."""
        self._routes[name_key(route.name)] = route
        self._resolved.clear()

    def forget(self, name: str) -> None:
        """Drop a model."""
        self._routes.pop(name_key(name), None)
        self._resolved.clear()

    def resolve(self, text: str) -> str:
        """Return the id of the version that a reference means now.

        Raises
        ------
        NameInvalid, ModelNotFound, VersionNotFound
            No reference, or nothing of that name or number.
        NotReady
            The version is loading or failed, or the model has no active one.
        """
        resolved = self._resolved.get(text)
        if resolved is None:
            resolved = self._resolve(parse_reference(text))
            if len(self._resolved) >= _CACHE_LIMIT:
                self._resolved.clear()
            self._resolved[text] = resolved
        return resolved

    def _resolve(self, reference: Reference) -> str:
        route = self._routes.get(name_key(reference.name))
        if route is None:
            names = [route.name for route in self._routes.values()]
            raise model_not_found(reference.name, names)
        number = _number(route, reference)
        target = route.versions[str(number)]
        if target.state != "ready":
            raise NotReady(
                f"{_state_sentence(f'{route.name}@{number}', target.state)}{_ready_hint(route)}",
                reference=f"{route.name}@{number}",
                state=target.state,
            )
        return target.version_id


def _state_sentence(reference: str, state: VersionState) -> str:
    if state == "loading":
        return f"{reference} is still loading. Wait until it is ready: %norman show {reference}"
    return f"{reference} failed to load. See why with: %norman show {reference}"


def _number(route: Route, reference: Reference) -> int:
    numbers = sorted(map(int, route.versions))
    if reference.selector == LATEST and numbers:
        return numbers[-1]
    if isinstance(reference.selector, int):
        number: int | None = reference.selector
    else:
        number = route.aliases.get(reference.selector)
    if number is not None and str(number) in route.versions:
        return number
    if reference.selector == ACTIVE:
        raise NotReady(_no_active(route, numbers), reference=route.name, state="inactive")
    raise version_not_found(route.name, reference.selector, numbers, route.aliases)


def _no_active(route: Route, numbers: list[int]) -> str:
    if not numbers:
        return f"{route.name} has no version. Upload one: %norman upload PATH --name {route.name}"
    ready = [number for number in numbers if route.versions[str(number)].state == "ready"]
    if ready:
        return f"{route.name} has no active version. {route.name}@{ready[-1]} is ready: name it."
    reference = f"{route.name}@{numbers[-1]}"
    latest = route.versions[str(numbers[-1])].state
    return f"{route.name} has no active version. {_state_sentence(reference, latest)}"


def _ready_hint(route: Route) -> str:
    ready = [int(number) for number, target in route.versions.items() if target.state == "ready"]
    return f" ({route.name}@{max(ready)} is ready.)" if ready else ""
