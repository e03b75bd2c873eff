"""What a route is: a path, its verbs, and what each takes and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from norman_protocol.errors import RequestInvalid

if TYPE_CHECKING:
    from norman_server.api.base import Handler

__all__ = ["Action", "Operation", "QueryParameter", "Route", "decode_query"]

Action: TypeAlias = Literal["read", "write", "execute"]
Body: TypeAlias = Literal["none", "json", "frame", "pack", "blob"]

_FOREIGN_PARAMETERS = frozenset({"token", "no_track_activity", "_xsrf", "_"})
"""Jupyter's own, and the one with which browsers are kept from caching."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameter:
    """A parameter in a URL's query, or a header."""

    name: str
    kind: type[str | int | float]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One verb of one route.

    Attributes
    ----------
    request
        Class of the JSON body, None where there is none.
    answers
        Status → class of the JSON answer (None: not described by a class).
    body
        What the body may be, which decides its bound.
    gives
        What a success holds: JSON, or bytes.
    """

    verb: Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
    action: Action
    summary: str
    answers: dict[int, type[Any] | None]
    request: type[Any] | None = None
    body: Body = "none"
    gives: Literal["json", "bytes"] = "json"
    query: tuple[QueryParameter, ...] = ()
    headers: tuple[QueryParameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path with its verbs; ``{name}`` stands for one segment."""

    path: str
    handler: type[Handler]
    operations: tuple[Operation, ...]
    verbs: dict[str, Operation] = field(init=False)

    def __post_init__(self) -> None:
        verbs = {operation.verb: operation for operation in self.operations}
        object.__setattr__(self, "verbs", verbs)


def decode_query(
    parameters: Sequence[QueryParameter], given: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Turn the texts of a query into values; a parameter that isn't given is None.

    Raises
    ------
    RequestInvalid
        A parameter is unknown, given twice, or not of its kind.

    Examples
    --------
    >>> limit = QueryParameter(name="limit", kind=int, description="")
    >>> decode_query([limit], {"limit": ["3"]}), decode_query([limit], {})
    ({'limit': 3}, {'limit': None})
    """
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, Any] = dict.fromkeys(known)
    for name, texts in given.items():
        parameter = known.get(name)
        if parameter is None:
            if name in _FOREIGN_PARAMETERS:
                continue
            raise _unknown_parameter(name, known)
        if len(texts) > 1:
            raise RequestInvalid(f"The parameter {name} is given twice.", field=name)
        found[name] = _convert(parameter, texts[0])
    return found


def _unknown_parameter(name: str, known: dict[str, QueryParameter]) -> RequestInvalid:
    names = ", ".join(known)
    hint = f"Those of this route: {names}." if names else "This route takes none."
    return RequestInvalid(
        f"There is no parameter {name[:60]!r}. {hint}", field=name[:60], nearest=list(known)
    )


def _convert(parameter: QueryParameter, text: str) -> Any:
    try:
        value = parameter.kind(text)
    except ValueError:
        kind = "text" if parameter.kind is str else "a number"
        raise RequestInvalid(
            f"The parameter {parameter.name} must be {kind}, not {text[:60]!r}.",
            field=parameter.name,
        ) from None
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise RequestInvalid(
            f"The parameter {parameter.name} must be finite.", field=parameter.name
        )
    return value
