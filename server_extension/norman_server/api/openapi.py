"""The OpenAPI document, generated from the table of routes and the dataclasses of the bodies."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from http.client import responses
from typing import Any, Literal, Union

from norman_protocol.decoding import JsonValue
from norman_protocol.rest import API_PATH, FRAME_MEDIA_TYPE, ErrorBody
from norman_server.api.operations import Operation, QueryParameter, Route

__all__ = ["Schemas", "build_document"]

_SCALARS: dict[Any, dict[str, JsonValue]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_BINARY: dict[str, JsonValue] = {}


class Schemas:
    """JSON schemas of dataclasses, each once, by name."""

    def __init__(self) -> None:
        self.components: dict[str, JsonValue] = {}

    def schema(self, kind: Any) -> dict[str, JsonValue]:
        """Return the schema of a type, adding those of the classes in it.

        Examples
        --------
        >>> Schemas().schema(tuple[int, ...])
        {'type': 'array', 'items': {'type': 'integer'}}
        """
        if kind is Any:
            return {}
        if kind in _SCALARS:
            return dict(_SCALARS[kind])
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"type": "string", "enum": [member.value for member in kind]}
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._reference(kind)
        return self._generic(kind)

    def _generic(self, kind: Any) -> dict[str, JsonValue]:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.schema(argument) for argument in arguments]}
        if origin in (tuple, list):
            return {"type": "array", "items": self.schema(arguments[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.schema(arguments[1])}
        raise TypeError(f"no schema for {kind!r}")

    def _reference(self, cls: type[Any]) -> dict[str, JsonValue]:
        name = cls.__name__
        if name not in self.components:
            self.components[name] = {}  # a class may hold itself
            self.components[name] = self._dataclass(cls)
        return {"$ref": f"#/components/schemas/{name}"}

    def _dataclass(self, cls: type[Any]) -> dict[str, JsonValue]:
        hints = typing.get_type_hints(cls)
        fields = dataclasses.fields(cls)
        required = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        schema: dict[str, JsonValue] = {
            "type": "object",
            "description": inspect.cleandoc(cls.__doc__ or ""),
            "properties": {field.name: self.schema(hints[field.name]) for field in fields},
        }
        if required:
            schema["required"] = required
        return schema


def build_document(routes: Sequence[Route], version: str) -> dict[str, JsonValue]:
    """Return the OpenAPI 3.1 document of the routes."""
    schemas = Schemas()
    failure = {
        "description": "An error, with its code and facts",
        "content": {"application/json": {"schema": schemas.schema(ErrorBody)}},
    }
    paths = {f"/{route.path}": _path_item(route, schemas) for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Norman",
            "version": version,
            "description": "Versioned models behind a Jupyter server.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [
            {
                "url": "{base}" + API_PATH,
                "variables": {"base": {"default": "/", "description": "The server's base URL"}},
            }
        ],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {"Error": failure},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _path_item(route: Route, schemas: Schemas) -> dict[str, JsonValue]:
    item: dict[str, JsonValue] = {
        operation.verb.lower(): _operation(route, operation, schemas)
        for operation in route.operations
    }
    names = re.findall(r"\{(\w+)\}", route.path)
    if names:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    return item


def _operation(route: Route, operation: Operation, schemas: Schemas) -> dict[str, JsonValue]:
    described: dict[str, JsonValue] = {
        "operationId": _operation_id(route, operation),
        "summary": operation.summary,
        "tags": [route.path.partition("/")[0]],
        "responses": {
            **{
                str(status): _answer(status, cls, operation, schemas)
                for status, cls in operation.answers.items()
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if operation.query or operation.headers:
        described["parameters"] = [
            *(_parameter(parameter, "query", schemas) for parameter in operation.query),
            *(_parameter(parameter, "header", schemas) for parameter in operation.headers),
        ]
    if operation.body != "none":
        described["requestBody"] = {"required": True, "content": _content(operation, schemas)}
    return described


def _operation_id(route: Route, operation: Operation) -> str:
    words = re.findall(r"\w+", route.path)
    return operation.verb.lower() + "".join(word.title().replace("_", "") for word in words)


def _parameter(parameter: QueryParameter, place: str, schemas: Schemas) -> dict[str, JsonValue]:
    return {
        "name": parameter.name,
        "in": place,
        "description": parameter.description,
        "schema": schemas.schema(parameter.kind),
    }


def _content(operation: Operation, schemas: Schemas) -> dict[str, JsonValue]:
    content: dict[str, JsonValue] = {}
    if operation.request is not None:
        content["application/json"] = {"schema": schemas.schema(operation.request)}
    if operation.body == "frame":
        content[FRAME_MEDIA_TYPE] = _BINARY
    elif operation.body in ("blob", "pack"):
        content["application/octet-stream"] = _BINARY
    return content


def _answer(
    status: int, cls: type[Any] | None, operation: Operation, schemas: Schemas
) -> dict[str, JsonValue]:
    if operation.verb == "HEAD":
        return {"description": responses[status]}
    if operation.gives == "bytes":
        return {
            "description": responses[status],
            "content": {"application/octet-stream": _BINARY},
        }
    content: dict[str, JsonValue] = {
        "application/json": {"schema": {"type": "object"} if cls is None else schemas.schema(cls)}
    }
    if operation.body == "frame":
        content[FRAME_MEDIA_TYPE] = _BINARY
    return {"description": responses[status], "content": content}
