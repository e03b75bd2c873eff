"""What TAB offers on a ``%norman`` line: a pure function of the line and of what is known."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from norman_jupyter.magics.options import (
    COMMANDS,
    HELP_FLAG,
    Command,
    Content,
    Option,
    find_command,
)
from norman_jupyter.magics.words import Word, fragment_start, split_words
from norman_protocol.errors import RequestInvalid
from norman_protocol.messages import InvocationState

__all__ = [
    "Candidate",
    "Completion",
    "Facts",
    "complete",
    "complete_body",
    "list_paths",
    "norman_line",
]

_MAGIC = re.compile(r"\s*(?:(?:[^=%'\"#]+=\s*)?%norman|%%norman)\s+(.*)", re.DOTALL)
_BODY = re.compile(r"\s*%%norman[^\S\n]+invoke(|[^\S\n][^\n]*)\n")
_KEY = re.compile(r'(?:^|[{,])\s*"([^"]*)$')
_NAMED = re.compile(r"""('[^']*'|"[^"]*"|[^='"]*)=(.*)""", re.DOTALL)
_TRAILING_NAME = re.compile(r"(?<![\w.])([^\W\d]\w*)$")
_SPECIAL = re.compile(r"([\s'\"\\()\[\]{}])")
_MAX_PATHS = 400


class Facts(Protocol):
    """What the server knows. Each answers soon, with nothing where it can't."""

    def model_names(self, prefix: str, *, can_serve: bool = False) -> Sequence[str]:
        """Return names of models that begin so; on wish only of those that can be invoked."""

    def selectors(self, model: str, *, can_serve: bool = False) -> Sequence[str]:
        """Return what may stand behind ``model@``; on wish only what can be invoked."""

    def aliases(self, model: str) -> Sequence[str]:
        """Return the aliases of a model that can be set."""

    def input_types(self, reference: str) -> Sequence[tuple[str, str]]:
        """Return the names of the inputs of a version, each with what it takes."""

    def invocation_ids(self) -> Sequence[str]:
        """Return the ids of the latest invocations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One completion: the whole text that replaces the fragment, and what it is."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The end of the line that is replaced, and by what."""

    fragment: str
    candidates: tuple[Candidate, ...]


def norman_line(text: str) -> str | None:
    """Return what stands behind ``%norman`` in the line up to the cursor, or None.

    Examples
    --------
    >>> norman_line("r = %norman invoke dig"), norman_line("%%norman in"), norman_line("print(1)")
    ('invoke dig', 'in', None)
    """
    match = _MAGIC.fullmatch(text)
    return match[1] if match else None


def complete(
    line: str,
    *,
    facts: Facts,
    variables: Mapping[str, Any],
    paths: Callable[[str], Sequence[str]],
    default_model: str | None = None,
    environment: Iterable[str] = (),
) -> Completion:
    """Return what may stand at the end of a line.

    Parameters
    ----------
    line
        What stands between ``%norman`` and the cursor.
    variables
        Of the notebook.
    paths
        Lists the paths that begin so; folders end in ``/``.
    default_model
        What is meant where the line names no model.
    environment
        Names of the environment's variables.
    """
    start = fragment_start(line)
    fragment = line[start:]
    try:
        words = split_words(line[:start])
    except RequestInvalid:
        return Completion(fragment=fragment, candidates=())
    if not words:
        names = [*(command.name for command in COMMANDS), HELP_FLAG]
        return _matching(fragment, names, "command")
    command = find_command(words[0].text)
    if command is None:
        return Completion(fragment=fragment, candidates=())
    return _Scene(
        command=command,
        words=words[1:],
        facts=facts,
        variables=variables,
        paths=paths,
        default_model=default_model,
        environment=tuple(environment),
    ).complete(fragment)


def complete_body(text: str, *, facts: Facts, default_model: str | None = None) -> Completion:
    """Return what may stand at the end of a ``%%norman invoke`` cell: keys of its JSON object.

    Parameters
    ----------
    text
        The cell up to the cursor.
    """
    head = _BODY.match(text)
    key = _KEY.search(text[head.end() :].rpartition("\n")[2]) if head else None
    if head is None or key is None:
        return Completion(fragment="", candidates=())
    try:
        words = split_words(head[1])
    except RequestInvalid:
        words = ()
    named = [word for word in words[:1] if not word.raw.startswith("-") and "=" not in word.raw]
    reference = named[0].text if named else default_model
    if reference is None:
        return Completion(fragment="", candidates=())
    return Completion(
        fragment=key[1],
        candidates=tuple(
            Candidate(text=f'{name}"', kind=kind)
            for name, kind in facts.input_types(reference)
            if name.startswith(key[1])
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A known command with the words that are finished."""

    command: Command
    words: tuple[Word, ...]
    facts: Facts
    variables: Mapping[str, Any]
    paths: Callable[[str], Sequence[str]]
    default_model: str | None
    environment: tuple[str, ...]

    def complete(self, fragment: str) -> Completion:
        options, places = self._given()
        if self._takes_default() and places and places[0].partition("="):
            places = [*split_words(self.default_model or ""), *places]
        if self.words:
            waiting = self.command.options_by_name.get(self.words[-1].text)
            if waiting is not None and waiting.metavar is not None:
                return self._content(waiting.content, fragment, places)
        if fragment.startswith("-"):
            return _matching(fragment, self._open_options(options), "option")
        positionals = self.command.positionals
        if not positionals:
            return _matching(fragment, self._open_options(options), "option")
        if len(places) >= len(positionals) and not positionals[-1].repeatable:
            return _matching(fragment, self._open_options(options), "option")
        place = positionals[min(len(places), len(positionals) - 1)]
        found = self._content(place.content, fragment, places)
        if not places and self._takes_default():
            inputs = self._bindings(fragment, split_words(self.default_model or ""))
            if "=" in fragment:
                return inputs
            return Completion(fragment=fragment, candidates=inputs.candidates + found.candidates)
        return found

    def _takes_default(self) -> bool:
        """Whether inputs may stand first, since the model is known."""
        places = self.command.positionals
        if self.default_model is None or len(places) < 2:
            return False
        return places[0].setting == "model" and places[1].content == "bindings"

    def _given(self) -> tuple[set[str], list[Word]]:
        """Return the names of the options given, and the words by their place."""
        options: set[str] = set()
        places: list[Word] = []
        waiting: Option | None = None
        for word in self.words:
            if waiting is not None:
                waiting = None
            elif word.raw.startswith("-"):
                name = (word.partition("=") or (word.text, None))[0]
                options.add(name)
                option = self.command.options_by_name.get(name)
                takes_next = option is not None and option.metavar is not None and name == word.raw
                waiting = option if takes_next else None
            else:
                places.append(word)
        return options, places

    def _open_options(self, given: set[str]) -> list[str]:
        names = [
            option.name
            for option in self.command.options
            if option.repeatable or option.name not in given
        ]
        return [*names, HELP_FLAG]

    def _content(self, content: Content, fragment: str, places: Sequence[Word]) -> Completion:
        if "{" in fragment and content != "text":
            return self._names(fragment)
        if content == "path":
            return self._paths(fragment)
        if content == "model":
            return _matching(fragment, self.facts.model_names(fragment), "model")
        if content in ("reference", "servable"):
            return self._references(fragment, can_serve=content == "servable")
        if content == "alias":
            return self._aliases(fragment, places)
        if content == "state":
            return _matching(fragment, get_args(InvocationState), "state")
        if content == "invocation":
            return _matching(fragment, self.facts.invocation_ids(), "invocation")
        if content == "bindings":
            return self._bindings(fragment, places)
        return self._local(content, fragment)

    def _local(self, content: Content, fragment: str) -> Completion:
        """Complete what the notebook itself knows."""
        if content == "rows":
            return self._values(fragment)
        if content == "variable":
            return _matching(fragment, _visible(self.variables), "variable")
        if content == "environment":
            return _matching(fragment, sorted(self.environment), "variable")
        if content == "settings":
            return self._settings(fragment)
        return Completion(fragment=fragment, candidates=())

    def _references(self, fragment: str, *, can_serve: bool) -> Completion:
        name, at, _ = fragment.partition("@")
        if at:
            selectors = self.facts.selectors(name, can_serve=can_serve)
            return _matching(fragment, [f"{name}@{each}" for each in selectors], "version")
        names = self.facts.model_names(fragment, can_serve=can_serve)
        return _matching(fragment, names, "model")

    def _aliases(self, fragment: str, places: Sequence[Word]) -> Completion:
        if not places:
            return Completion(fragment=fragment, candidates=())
        names = self.facts.aliases(places[0].text.partition("@")[0])
        return _matching(fragment, names, "alias")

    def _bindings(self, fragment: str, places: Sequence[Word]) -> Completion:
        named = _NAMED.fullmatch(fragment)
        if named is None:
            given = {(word.partition("=") or ("", None))[0] for word in places[1:]}
            typed = fragment.lstrip("'\"")
            return Completion(
                fragment=fragment,
                candidates=tuple(
                    Candidate(text=f"{_quoted(name)}=", kind=kind)
                    for name, kind in self.facts.input_types(places[0].text)
                    if name not in given and name.startswith(typed)
                ),
            )
        value = named[2]
        if value.startswith("@"):
            return self._paths(value[1:])
        if value[:1] in ("'", '"', "["):
            return self._paths(value) if value[:1] != "[" else self._names(value)
        return self._values(value)

    def _values(self, value: str) -> Completion:
        variables = _matching(value, _visible(self.variables), "variable")
        files = self._paths(value)
        return Completion(fragment=value, candidates=variables.candidates + files.candidates)

    def _settings(self, fragment: str) -> Completion:
        name, equals, value = fragment.partition("=")
        if equals:
            if name == "model":
                return self._references(value, can_serve=True)
            if name == "token_env":
                return _matching(value, sorted(self.environment), "variable")
            return Completion(fragment=value, candidates=())
        from norman_jupyter.client.settings import SETTINGS

        return Completion(
            fragment=fragment,
            candidates=tuple(
                Candidate(text=f"{setting.name}=", kind=setting.takes)
                for setting in SETTINGS.values()
                if setting.name.startswith(fragment)
            ),
        )

    def _names(self, fragment: str) -> Completion:
        """Complete a variable within an expression."""
        match = _TRAILING_NAME.search(fragment)
        if match is None:
            return Completion(fragment="", candidates=())
        return _matching(match[1], _visible(self.variables), "variable")

    def _paths(self, fragment: str) -> Completion:
        quote = fragment[:1] if fragment[:1] in ("'", '"') else ""
        typed = fragment[len(quote) :]
        plain = typed if quote else re.sub(r"\\(.)", r"\1", typed)
        candidates = tuple(
            Candidate(text=path if quote else _SPECIAL.sub(r"\\\1", path), kind="path")
            for path in self.paths(plain)
        )
        return Completion(fragment=typed, candidates=candidates)


def list_paths(prefix: str) -> list[str]:
    """Return the paths that begin so, as they would be typed: ``~`` stays, folders end in ``/``.

    Hidden ones are listed where the prefix asks for them. What can't be read has no paths.
    """
    folder, slash, beginning = prefix.rpartition("/")
    typed = f"{folder}{slash}"
    where = os.path.expanduser(typed) or "."  # noqa: PTH111 - keeps "./" and "//" as typed
    found = []
    try:
        with os.scandir(where) as entries:
            for entry in entries:
                if not entry.name.startswith(beginning):
                    continue
                if entry.name.startswith(".") and not beginning.startswith("."):
                    continue
                found.append(f"{typed}{entry.name}{'/' if entry.is_dir() else ''}")
                if len(found) == _MAX_PATHS:
                    break
    except (OSError, ValueError):
        return []
    return sorted(found)


def _quoted(name: str) -> str:
    """Return a name as it is typed before ``=``."""
    if not _SPECIAL.search(name) and "=" not in name:
        return name
    if "'" not in name and "\\" not in name:
        return f"'{name}'"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _visible(variables: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in variables if not name.startswith("_"))


def _matching(fragment: str, texts: Iterable[str], kind: str) -> Completion:
    return Completion(
        fragment=fragment,
        candidates=tuple(
            Candidate(text=text, kind=kind) for text in texts if text.startswith(fragment)
        ),
    )
