"""References resolved by the tables that the server sends."""

from __future__ import annotations

import pytest

from norman_executor.routing import Routes
from norman_protocol.errors import ModelNotFound, NameInvalid, NotReady, VersionNotFound
from norman_protocol.messages import Route, RouteTarget


def route(name, states, **aliases):
    versions = {
        str(number): RouteTarget(version_id=f"{name}-{number}", state=state)
        for number, state in enumerate(states, 1)
    }
    return Route(id="1", name=name, versions=versions, aliases=aliases)


@pytest.fixture
def routes():
    routes = Routes()
    routes.replace(route("digits", ["ready", "ready", "ready"], active=2, production=1))
    return routes


@pytest.mark.parametrize(
    ("reference", "version_id"),
    [
        ("digits", "digits-2"),
        ("digits@active", "digits-2"),
        ("digits@production", "digits-1"),
        ("digits@latest", "digits-3"),
        ("digits@3", "digits-3"),
        ("DIGITS@1", "digits-1"),
        ("\uff44igits", "digits-2"),
    ],
)
def test_each_kind_of_reference_leads_to_its_version(routes, reference, version_id):
    assert routes.resolve(reference) == version_id


def test_replaced_routing_is_seen_by_references_resolved_before(routes):
    assert routes.resolve("digits") == "digits-2"
    routes.replace(route("digits", ["ready", "ready", "ready"], active=3))
    assert routes.resolve("digits") == "digits-3"


def test_forgotten_model_is_gone(routes):
    routes.resolve("digits")
    routes.forget("Digits")
    with pytest.raises(ModelNotFound, match="Nothing is uploaded yet"):
        routes.resolve("digits")


@pytest.mark.parametrize(
    "reference", ["", "..", "a/b", "digits@", "digits@0", "digits@@1", "a" * 300]
)
def test_what_is_no_reference_is_refused(routes, reference):
    with pytest.raises(NameInvalid):
        routes.resolve(reference)


def test_nearest_names_are_offered_also_where_the_first_letter_is_wrong(routes):
    with pytest.raises(ModelNotFound) as caught:
        routes.resolve("igits")
    assert caught.value.nearest == ["digits"]


def test_active_version_that_failed_points_to_one_that_is_ready(routes):
    routes.replace(route("digits", ["ready", "failed"], active=2))
    with pytest.raises(NotReady, match="digits@1 is ready"):
        routes.resolve("digits")


def test_model_without_versions_says_how_to_upload():
    routes = Routes()
    routes.replace(route("digits", []))
    for reference in ("digits", "digits@latest", "digits@1"):
        with pytest.raises((NotReady, VersionNotFound), match="no version"):
            routes.resolve(reference)


def test_many_distinct_references_don_t_grow_the_cache_without_bound(routes):
    for number in range(10_000):
        with pytest.raises(VersionNotFound):
            routes.resolve(f"digits@{number + 10}")
        routes.resolve("digits@1" if number % 2 else f"{'D' if number % 3 else 'd'}igits@2")
    assert len(routes._resolved) <= 4096
