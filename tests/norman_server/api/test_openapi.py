"""The OpenAPI document says what the routes do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from norman_protocol import rest
from norman_server.api.openapi import Schemas, build_document
from norman_server.api.routes import ROUTES


@pytest.fixture(scope="module")
def document():
    return build_document(ROUTES, "1.2.3")


def test_document_is_valid(document):
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_document_describes_every_operation(document):
    described = {
        (verb.upper(), path.removeprefix("/"))
        for path, item in document["paths"].items()
        for verb in item
        if verb != "parameters"
    }
    assert described == {
        (operation.verb, route.path) for route in ROUTES for operation in route.operations
    }
    identifiers = [
        operation["operationId"]
        for item in document["paths"].values()
        for verb, operation in item.items()
        if verb != "parameters"
    ]
    assert len(set(identifiers)) == len(identifiers)


def test_every_body_of_the_protocol_is_in_it(document):
    bodies = {
        name
        for name in rest.__all__
        if isinstance(getattr(rest, name), type) and dataclasses.is_dataclass(getattr(rest, name))
    }
    assert bodies <= set(document["components"]["schemas"])


def test_schema_says_what_is_required_and_what_is_null(document):
    schema = document["components"]["schemas"]["PublishRequest"]
    assert schema["required"] == ["manifest"]
    assert schema["properties"]["label"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}


def test_type_without_a_schema_is_a_fault_of_ours():
    with pytest.raises(TypeError):
        Schemas().schema(complex)
    assert Schemas().schema(dict[str, Any]) == {"type": "object", "additionalProperties": {}}


def test_server_gives_the_document(norman_server, document):
    with norman_server.client() as client:
        given = client.get("openapi.json").json()
    assert given["paths"] == document["paths"]
