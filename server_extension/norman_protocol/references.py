"""Names of models and references to their versions: the grammar, and what is near a wrong one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal, TypeAlias

from norman_protocol.errors import ModelNotFound, NameInvalid, VersionNotFound

__all__ = [
    "ACTIVE",
    "LATEST",
    "Reference",
    "Selector",
    "model_not_found",
    "name_key",
    "parse_alias",
    "parse_name",
    "parse_reference",
    "version_not_found",
]

ACTIVE: Literal["active"] = "active"
LATEST: Literal["latest"] = "latest"

_NAME = re.compile(r"[^\W_](?:[\w.-]{0,98}[\w-])?")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_MAX_CHARACTERS = 300
"""More is refused before it is normalised: Unicode can make 18 characters of one."""

_NEAREST_CANDIDATES = 500
_NEAREST_CUTOFF = 0.65
_ALIAS_CUTOFF = 0.5
_SHOWN_NUMBERS = 20

Selector: TypeAlias = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model and which of its versions: a number, or the name of an alias."""

    name: str
    selector: Selector = ACTIVE

    def __str__(self) -> str:
        return self.name if self.selector == ACTIVE else f"{self.name}@{self.selector}"


def parse_name(text: str) -> str:
    """Return a model's name in its normal form (Unicode NFKC).

    A name has 1 to 100 letters, digits, ``_``, ``-`` or ``.``; it starts with a letter or digit
    and doesn't end with a dot. Letters of any script will do, with the marks that belong to them.

    Raises
    ------
    NameInvalid
        The text is none.

    Examples
    --------
    >>> parse_name("digits-v2")
    'digits-v2'
    """
    name = unicodedata.normalize("NFKC", text) if len(text) <= _MAX_CHARACTERS else ""
    if not _NAME.fullmatch(_without_marks(name)):
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise NameInvalid(
            f"{shown!r} can't be a model's name. A name has 1 to 100 letters, digits, '_', '-' or "
            "'.', starts with a letter or digit and doesn't end with a dot.",
            name=text[:300],
        )
    return name


def _without_marks(name: str) -> str:
    """Replace combining marks after the first character (vowel signs, accents) by a letter."""
    if name.isascii():
        return name
    marks = {"Mn", "Mc"}
    rest = ("x" if unicodedata.category(mark) in marks else mark for mark in name[1:])
    return name[0] + "".join(rest)


def name_key(name: str) -> str:
    """Return the form under which names are unique: ``Digits`` and ``digits`` are one model.

    Examples
    --------
    >>> name_key("Straße") == name_key("STRASSE")
    True
    """
    # Unicode's toNFKC_Casefold: folding can undo the normal form, and normalising the folding.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def model_not_found(name: str, names: Collection[str]) -> ModelNotFound:
    """Make the error for a name that no model has, with the nearest of those there are.

    Examples
    --------
    >>> model_not_found("digit", ["digits", "speaker"]).nearest
    ['digits']
    """
    key = name_key(name)
    # Comparing costs tens of microseconds a pair: of many names only those that begin alike count.
    alike = [other for other in names if name_key(other[:1]) == key[:1]] or list(names)
    keys = {name_key(other): other for other in alike[:_NEAREST_CANDIDATES]}
    nearest = [keys[match] for match in get_close_matches(key, keys, n=3, cutoff=_NEAREST_CUTOFF)]
    if nearest:
        hint = f"Did you mean {' or '.join(nearest)}?"
    elif names:
        hint = "List the models with: %norman models"
    else:
        hint = "Nothing is uploaded yet: %norman upload PATH"
    return ModelNotFound(f"There is no model {name!r}. {hint}", name=name, nearest=nearest)


@lru_cache(maxsize=1024)
def parse_reference(text: str) -> Reference:
    """Parse ``name``, ``name@3``, ``name@active``, ``name@latest`` or ``name@ALIAS``.

    Raises
    ------
    NameInvalid
        The text is no reference.

    Examples
    --------
    >>> parse_reference("digits@3").selector, parse_reference("digits").selector
    (3, 'active')
    """
    name, separator, selector = text.partition("@")
    if not separator:
        return Reference(name=parse_name(name))
    if _NUMBER.fullmatch(selector):
        return Reference(name=parse_name(name), selector=int(selector))
    try:
        alias = _alias_key(selector)
    except NameInvalid:
        raise NameInvalid(
            f"{selector[:60]!r} is neither a version's number nor an alias. "
            "Write name, name@3 or name@production.",
            name=text[:300],
        ) from None
    if alias[0].isdigit():
        raise NameInvalid(
            f"Version numbers start at 1 and alias names with a letter: {alias!r}.", name=text[:300]
        )
    return Reference(name=parse_name(name), selector=alias)


def parse_alias(text: str) -> str:
    """Return the name of an alias that can be set, in the one form that its spellings share.

    It is a name as `parse_name` says, starts with a letter, and isn't ``latest``, which is
    computed.

    Raises
    ------
    NameInvalid
        The text is none.

    Examples
    --------
    >>> parse_alias("Production")
    'production'
    """
    alias = _alias_key(text)
    if alias[0].isdigit():
        raise NameInvalid(f"An alias starts with a letter: {alias!r} doesn't.", name=text[:300])
    if alias == LATEST:
        raise NameInvalid(
            "latest always means the newest version and can't be set. Choose another name.",
            name=LATEST,
        )
    return alias


def _alias_key(text: str) -> str:
    # Folding can make a name longer, or none: it is looked at again.
    return parse_name(name_key(parse_name(text)))


def version_not_found(
    name: str, selector: Selector, numbers: Sequence[int], aliases: Collection[str]
) -> VersionNotFound:
    """Make the error for a version that a model doesn't have, with what there is instead.

    Parameters
    ----------
    numbers
        Of the model's versions, ascending.
    aliases
        Names of the model's aliases.

    Examples
    --------
    >>> version_not_found("digits", "prod", [1, 2], ["active", "production"]).nearest
    ['production']
    """
    nearest: list[str] = []
    if isinstance(selector, str):
        nearest = get_close_matches(
            selector, sorted(aliases)[:_NEAREST_CANDIDATES], n=3, cutoff=_ALIAS_CUTOFF
        )
    meant = f" Did you mean {' or '.join(f'{name}@{each}' for each in nearest)}?" if nearest else ""
    shown = ", ".join(map(str, numbers[-_SHOWN_NUMBERS:]))
    known = f" {name} has the versions {shown}." if numbers else f" {name} has no version."
    named = f" Its aliases: {', '.join(sorted(aliases)[:_SHOWN_NUMBERS])}." if aliases else ""
    return VersionNotFound(
        f"There is no {name}@{selector}.{meant}{known}{named}",
        reference=f"{name}@{selector}",
        versions=list(numbers[-_SHOWN_NUMBERS:]),
        nearest=nearest,
    )
