"""Words of a line into one command with its arguments; nothing is evaluated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from norman_jupyter.magics.options import COMMANDS, HELP_FLAG, Command, Option, find_command
from norman_jupyter.magics.words import Piece, Word
from norman_protocol.errors import RequestInvalid

__all__ = ["HELP_FLAGS", "Arguments", "parse"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
HELP_FLAGS = frozenset({HELP_FLAG, "-h", "-?"})
"""What asks for help wherever it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a line asks for.

    Attributes
    ----------
    command
        None where the line asks for the help of the whole.
    positionals
        The words by their place.
    options
        The words given to each option that has a ``metavar``, by its name.
    flags
        Names of the flags that are set.
    wants_help
        Help is asked for: the rest was not checked.
    """

    command: Command | None
    positionals: tuple[Word, ...] = ()
    options: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    wants_help: bool = False

    def option(self, name: str) -> Word | None:
        """Return the word given to an option, or None where it isn't given."""
        words = self.options.get(name)
        return words[-1] if words else None


def parse(
    words: Sequence[Word],
    *,
    commands: Sequence[Command] = COMMANDS,
    program: str = "%norman",
    defaults: Mapping[str, str] = _NOTHING,
) -> Arguments:
    """Read the words of one line.

    Parameters
    ----------
    commands
        Those that there are.
    program
        What the line begins with, for errors.
    defaults
        What holds, by the name of its setting, where the line doesn't say it.

    Raises
    ------
    RequestInvalid
        A command or option that doesn't exist (with the nearest ones), an option without its
        value or given twice, an argument that is missing or too many.

    Examples
    --------
    >>> from norman_jupyter.magics.words import split_words
    >>> parse(split_words("models --search digit")).option("--search").text
    'digit'
    """
    if not words or words[0].text in HELP_FLAGS:
        return Arguments(command=None, wants_help=True)
    if words[0].text == "help":
        command = find_command(words[1].text, commands) if len(words) > 1 else None
        return Arguments(command=command, wants_help=True)
    command = find_command(words[0].text, commands)
    if command is None:
        raise _unknown_command(words[0].text, commands, program)
    positionals, options, flags = _sort(command, words[1:], program)
    if flags & HELP_FLAGS:
        return Arguments(command=command, wants_help=True)
    _add_defaults(command, positionals, options, defaults)
    _check_places(command, positionals, program)
    return Arguments(
        command=command,
        positionals=tuple(positionals),
        options={name: tuple(given) for name, given in options.items()},
        flags=frozenset(flags),
    )


def _sort(
    command: Command, words: Sequence[Word], program: str
) -> tuple[list[Word], dict[str, list[Word]], set[str]]:
    positionals: list[Word] = []
    options: dict[str, list[Word]] = {}
    flags: set[str] = set()
    waiting = iter(words)
    for word in waiting:
        if word.raw == "--":
            positionals.extend(waiting)
        elif not word.raw.startswith("-") or word.raw == "-":
            positionals.append(word)
        elif word.text in HELP_FLAGS:
            flags.add(word.text)
            break
        else:
            name, value = word.partition("=") or (word.text, None)
            option = _find_option(command, name, program)
            if option.metavar is None:
                _set_flag(option, value, flags)
            else:
                given = options.setdefault(option.name, [])
                if given and not option.repeatable:
                    raise RequestInvalid(f"{option.name} is given twice.", field=option.name)
                given.append(_value(option, value if value is not None else next(waiting, None)))
    return positionals, options, flags


def _add_defaults(
    command: Command,
    positionals: list[Word],
    options: dict[str, list[Word]],
    defaults: Mapping[str, str],
) -> None:
    for option in command.options:
        if option.setting is not None and option.setting in defaults and option.name not in options:
            options[option.name] = [_said(defaults[option.setting])]
    place = command.positionals[0] if command.positionals else None
    if place is None or place.setting is None or place.setting not in defaults:
        return
    text = defaults[place.setting]
    if place.content == "model":
        text = text.partition("@")[0]
    # KEY=VALUE is never the first argument itself: that was left out.
    if not positionals or (len(command.positionals) > 1 and positionals[0].partition("=")):
        positionals.insert(0, _said(text))


def _said(text: str) -> Word:
    """Return the word of a text that was set and not typed."""
    return Word(raw=text, column=0, pieces=(Piece(kind="quoted", text=text),))


def _find_option(command: Command, name: str, program: str) -> Option:
    option = next((one for one in command.options if name in (one.name, one.short)), None)
    if option is None:
        known = [*command.options_by_name, HELP_FLAG]
        raise RequestInvalid(
            f"{program} {command.name} has no option {name[:60]}. {_hint(name, known)}",
            field=name,
            nearest=_nearest(name, known),
        )
    return option


def _set_flag(option: Option, value: Word | None, flags: set[str]) -> None:
    if value is not None:
        raise RequestInvalid(f"{option.name} takes no value.", field=option.name)
    flags.add(option.name)


def _value(option: Option, word: Word | None) -> Word:
    # A word that begins with two dashes is a forgotten value more often than a value; written
    # as --name=--value or in quotes it is one.
    if word is None or (word.raw.startswith("--") and len(word.raw) > 2):
        raise RequestInvalid(f"{option.name} needs a value: {option.heading}", field=option.name)
    return word


def _check_places(command: Command, words: Sequence[Word], program: str) -> None:
    places = command.positionals
    required = [place for place in places if place.required]
    if len(words) < len(required):
        missing = required[len(words)]
        raise RequestInvalid(
            f"{missing.name} is missing: {missing.help}. Usage: {program} {command.usage}",
            field=missing.name,
        )
    if len(words) > len(places) and not (places and places[-1].repeatable):
        extra = words[len(places)]
        quote = " A value with spaces needs quotes." if places else ""
        raise RequestInvalid(
            f"Unexpected {extra.raw[:60]!r} at column {extra.column + 1}.{quote} "
            f"Usage: {program} {command.usage}",
            field=extra.text[:60],
        )


def _unknown_command(name: str, commands: Sequence[Command], program: str) -> RequestInvalid:
    known = [command.name for command in commands]
    return RequestInvalid(
        f"{program} has no command {name[:60]!r}. {_hint(name, known)}",
        field="command",
        nearest=_nearest(name, known),
    )


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    # Without the dashes, which would make every option look like every other.
    bare = {text.lstrip("-"): text for text in known}
    return [bare[text] for text in get_close_matches(name.lstrip("-"), bare, n=3, cutoff=0.6)]


def _hint(name: str, known: Sequence[str]) -> str:
    nearest = _nearest(name, known)
    if nearest:
        return f"Did you mean {' or '.join(nearest)}?"
    return f"There are {', '.join(known)}."
