"""Lists that the server gives by the page, as long as a line asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from norman_jupyter.magics.bindings import resolve_number
from norman_jupyter.magics.context import Context
from norman_jupyter.magics.parsing import Arguments
from norman_protocol.errors import RequestInvalid
from norman_protocol.rest import AliasHistory, ModelPage, VersionPage

__all__ = ["PAGE", "collect_pages", "whole_number"]

PAGE: Final = 200
"""As many items as a page can have."""

_P = TypeVar("_P", AliasHistory, ModelPage, VersionPage)


def collect_pages(page: Callable[[int, str | None], _P], limit: int) -> _P:
    """Read pages until there are ``limit`` items, or no more.

    Parameters
    ----------
    page
        Reads one: of at most so many items, from a cursor on.

    Examples
    --------
    >>> from norman_protocol.rest import AliasHistory
    >>> collect_pages(lambda some, cursor: AliasHistory(name="digits", items=()), 5).items
    ()
    """
    found: _P = page(min(limit, PAGE), None)
    while found.next_cursor is not None and len(found.items) < limit:
        more: _P = page(min(limit - len(found.items), PAGE), found.next_cursor)
        items: tuple[Any, ...] = (*found.items, *more.items)
        found = replace(more, items=items)
    return found


def whole_number(arguments: Arguments, context: Context, name: str) -> int | None:
    """Return the whole number, from 1 on, that an option takes; None where it isn't given.

    Raises
    ------
    RequestInvalid
        It is none.
    """
    word = arguments.option(name)
    if word is None:
        return None
    number = resolve_number(word, context.namespace, what=name)
    if number < 1 or number != int(number):
        raise RequestInvalid(f"{name} takes a whole number from 1 on, not {number:g}.", field=name)
    return int(number)
