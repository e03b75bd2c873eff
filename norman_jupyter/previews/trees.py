"""JSON as a tree whose branches fold: what is deep or long stays small until it is opened."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from norman_jupyter.previews.markup import Html, code, details, element, escape, join, note
from norman_jupyter.previews.text import format_count, one_line

__all__ = ["json_tree"]

_DEPTH = 6
_OPEN_DEPTH = 2
_ITEMS = 12
_NODES = 120
_KEY_CHARACTERS = 60
_LIST = "list-style:none;margin:0;padding:0 0 0 1.2em;overflow-wrap:anywhere"


class _Budget:
    """How many nodes may still be shown."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def json_tree(
    value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], leaf: Callable[[Any], str | None]
) -> Html:
    """Return a mapping or list as a tree, of bounded depth, width and number of nodes.

    Parameters
    ----------
    leaf
        Gives the text of a value that takes one line, None for one that is a branch.
    """
    return _branch("", value, leaf, _Budget(_NODES), 0)


def _branch(
    name: str, value: Any, leaf: Callable[[Any], str | None], budget: _Budget, depth: int
) -> Html:
    is_mapping = isinstance(value, Mapping)
    noun = "key" if is_mapping else "item"
    size = format_count(len(value), noun)
    summary = f"{name}: {size}" if name else size
    if depth == _DEPTH:
        return element("span", f"{escape(summary)} …")
    pairs: Iterable[tuple[Any, Any]] = value.items() if is_mapping else enumerate(value)
    items: list[Html] = []
    for key, item in itertools.islice(pairs, _ITEMS):
        if not budget.take():
            break
        items.append(element("li", _node(_name(key), item, leaf, budget, depth + 1)))
    left = len(value) - len(items)
    body = element("ul", "".join(items), _LIST)
    if left:
        body = join([body, note(f"… {left:,} more")])
    return details(summary, body, is_open=depth < _OPEN_DEPTH)


def _node(
    name: str, item: Any, leaf: Callable[[Any], str | None], budget: _Budget, depth: int
) -> Html:
    text = leaf(item)
    if text is None:
        return _branch(name, item, leaf, budget, depth)
    return f"{escape(name)}: {code(text)}"


def _name(key: Any) -> str:
    return one_line(key if isinstance(key, str) else repr(key), _KEY_CHARACTERS) or '""'
