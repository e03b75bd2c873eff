"""Dictionaries that people write, read key by key; unknown keys and wrong types are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from norman_protocol.errors import ConfigurationInvalid

__all__ = ["Table", "choose"]

_SHOWN_CHARACTERS = 60


class Table:
    """A dictionary with the keys that it may have, and where it stands for messages.

    A key whose value is None counts as absent.

    Parameters
    ----------
    content
        What was written.
    place
        Where it stands, such as ``norman.toml`` or ``inputs[0] of norman.toml``.
    keys
        Those that it may have.

    Raises
    ------
    ConfigurationInvalid
        It is no dictionary, or has another key; the message names the nearest.

    Examples
    --------
    >>> Table({"name": "digits"}, "the configuration", ("name", "assets")).text("name")
    'digits'
    """

    def __init__(self, content: Any, place: str, keys: Sequence[str]) -> None:
        self.place = place
        if not isinstance(content, Mapping):
            raise ConfigurationInvalid(
                f"{place} is a dictionary with keys such as {', '.join(map(repr, keys[:3]))}, not "
                f"{_kind(content)}.",
                field=place,
            )
        for key in content:
            if key not in keys:
                raise _unknown_key(key, place, keys)
        self._content: Mapping[str, Any] = content

    def __contains__(self, key: str) -> bool:
        return self._content.get(key) is not None

    def get(self, key: str) -> Any:
        """Return what stands at a key, of whatever type; None where nothing does."""
        return self._content.get(key)

    def text(self, key: str) -> str | None:
        """Return the text at a key; one without a visible character counts as absent.

        Raises
        ------
        ConfigurationInvalid
            Something else stands there.
        """
        value = self._content.get(key)
        if value is not None and not isinstance(value, str):
            raise self.refuse(key, f"is a text, not {_kind(value)}")
        return value if value is not None and value.strip() else None

    def needed_text(self, key: str) -> str:
        """Return the text at a key that must be there.

        Raises
        ------
        ConfigurationInvalid
            It isn't.
        """
        value = self.text(key)
        if value is None:
            raise self.refuse(key, "is missing")
        return value

    def flag(self, key: str) -> bool:
        """Return the yes or no at a key; no where it is absent.

        Raises
        ------
        ConfigurationInvalid
            Something else stands there.
        """
        value = self._content.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(key, f"is true or false, not {_kind(value)}")
        return bool(value)

    def choice(self, key: str, options: Sequence[str]) -> str | None:
        """Return which of the options stands at a key, in the options' own letters.

        Raises
        ------
        ConfigurationInvalid
            None of them does; the message names the nearest.
        """
        value = self.text(key)
        return None if value is None else choose(value, options, key=key, place=self.place)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the list of texts at a key.

        Raises
        ------
        ConfigurationInvalid
            Something else stands there.
        """
        return tuple(
            item if isinstance(item, str) else self._no_text(key, item) for item in self.items(key)
        )

    def items(self, key: str) -> Sequence[Any]:
        """Return the list at a key, of whatever items.

        Raises
        ------
        ConfigurationInvalid
            Something else stands there.
        """
        value = self._content.get(key)
        if value is None:
            return ()
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise self.refuse(key, f"is a list, not {_kind(value)}")
        return value

    def tables(self, key: str, keys: Sequence[str]) -> tuple[Table, ...]:
        """Return the list of dictionaries at a key.

        Raises
        ------
        ConfigurationInvalid
            Something else stands there, or one of them has an unknown key.
        """
        return tuple(
            Table(item, f"{key}[{index}] of {self.place}", keys)
            for index, item in enumerate(self.items(key))
        )

    def refuse(self, key: str, reason: str) -> ConfigurationInvalid:
        """Return the error for what stands at a key."""
        return ConfigurationInvalid(f"{key!r} in {self.place} {reason}.", field=key)

    def _no_text(self, key: str, item: Any) -> str:
        raise self.refuse(key, f"is a list of texts; {_kind(item)} is among them")


def choose(value: str, options: Sequence[str], *, key: str, place: str) -> str:
    """Return the option that a text names, in whatever letters.

    Raises
    ------
    ConfigurationInvalid
        It names none; the message names the nearest.

    Examples
    --------
    >>> choose("file", ("File", "Link"), key="source", place="inputs[0]")
    'File'
    """
    known = {option.lower(): option for option in options}
    found = known.get(value.strip().lower())
    if found is not None:
        return found
    nearest = [known[one] for one in get_close_matches(value.lower(), known, n=2, cutoff=0.5)]
    raise ConfigurationInvalid(
        f"{key!r} in {place} is {_listed(options)}, not {value[:_SHOWN_CHARACTERS]!r}."
        f"{_hint(nearest)}",
        field=key,
        nearest=nearest,
    )


def _unknown_key(key: Any, place: str, keys: Sequence[str]) -> ConfigurationInvalid:
    if not isinstance(key, str):
        return ConfigurationInvalid(
            f"The keys of {place} are texts, not {key!r:.60}.", field=f"{key!r:.60}"
        )
    nearest = get_close_matches(key, keys, n=2, cutoff=0.5)
    hint = _hint(nearest) or f" There are {', '.join(keys)}."
    return ConfigurationInvalid(
        f"There is no key {key[:_SHOWN_CHARACTERS]!r} in {place}.{hint}",
        field=key[:_SHOWN_CHARACTERS],
        nearest=nearest,
    )


def _hint(nearest: Iterable[str]) -> str:
    names = " or ".join(map(repr, nearest))
    return f" Did you mean {names}?" if names else ""


def _listed(options: Sequence[str]) -> str:
    if len(options) == 1:
        return repr(options[0])
    return f"{', '.join(map(repr, options[:-1]))} or {options[-1]!r}"


def _kind(value: Any) -> str:
    """Say in a word what a value is, without showing it: it may be large, or private."""
    name = type(value).__qualname__
    return f"an {name}" if name[:1].lower() in "aeio" else f"a {name}"
