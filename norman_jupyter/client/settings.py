"""Defaults of commands: said in a notebook, or for a project in its ``pyproject.toml``."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from norman_jupyter.client.discovery import split_url
from norman_jupyter.client.inputs import DEFAULT_IN_FLIGHT, MOST_IN_FLIGHT
from norman_protocol.errors import ConfigurationInvalid, NormanError
from norman_protocol.references import parse_reference

__all__ = [
    "SETTINGS",
    "Layer",
    "Setting",
    "SettingValue",
    "Settings",
    "find_setting",
    "parse_setting",
    "read_project",
]

SettingValue: TypeAlias = str | float | int | bool
Layer: TypeAlias = Literal["notebook", "environment", "project", "default"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROJECT_FILE: Final = "pyproject.toml"
_LIMIT_BYTES: Final = 1 << 20
_LIKENESS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that may be set.

    Attributes
    ----------
    takes
        What its value is, for a person.
    parse
        Reads a value from TOML or from text, and raises TypeError, ValueError or a `NormanError`.
    default
        What holds where nothing is set.
    by_project
        Whether a project may say it. What sends secrets or runs code a project may not: its
        files often are somebody else's.
    """

    name: str
    help: str
    takes: str
    parse: Callable[[object], SettingValue]
    default: SettingValue | None = None
    by_project: bool = True


def _url(value: object) -> str:
    url, token = split_url(_text(value))
    if token is not None:
        raise ValueError("the URL holds a token; name the variable that holds it: token_env=NAME")
    return url


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text is needed")
    return value


def _variable(value: object) -> str:
    text = _text(value)
    if not _VARIABLE.fullmatch(text):
        raise ValueError("that is no name of an environment variable")
    return text


def _reference(value: object) -> str:
    return str(parse_reference(_text(value)))


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError("a number above zero is needed")
    number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise ValueError("a number above zero is needed")
    return number


def _count(value: object) -> int:
    if isinstance(value, (bool, float)) or not isinstance(value, (int, str)):
        raise TypeError(f"a whole number from 1 to {MOST_IN_FLIGHT} is needed")
    number = int(value)
    if not 1 <= number <= MOST_IN_FLIGHT:
        raise ValueError(f"a whole number from 1 to {MOST_IN_FLIGHT} is needed")
    return number


def _never(value: object) -> bool:
    if value is False or (isinstance(value, str) and value.lower() in ("false", "no", "0")):
        return False
    raise ValueError("what runs code on load is trusted one upload at a time, with --trust")


SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting(
            name="url",
            help="the server; found by itself where nothing is set",
            takes="an http or https URL",
            parse=_url,
        ),
        Setting(
            name="token_env",
            help="the environment variable that holds the server's token",
            takes="the name of a variable",
            parse=_variable,
            by_project=False,
        ),
        Setting(
            name="model",
            help="what invoke, show, versions, history and logs mean where no model is named",
            takes="a reference such as digits or digits@3",
            parse=_reference,
        ),
        Setting(
            name="timeout",
            help="seconds after which invoke gives up, waiting in the queue included",
            takes="a number above zero",
            parse=_seconds,
        ),
        Setting(
            name="in_flight",
            help="rows that invoke --over sends at once",
            takes=f"a whole number from 1 to {MOST_IN_FLIGHT}",
            parse=_count,
            default=DEFAULT_IN_FLIGHT,
        ),
        Setting(
            name="trust",
            help="always false: code is trusted one upload at a time, with --trust",
            takes="false",
            parse=_never,
            default=False,
        ),
    )
}
"""Everything that may be set, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds, and where that was said.

    Attributes
    ----------
    notebook, environment, project
        What was set there, the first one counting most.
    project_file
        The file that says it for the project; None where there is none.
    """

    notebook: Mapping[str, SettingValue] = field(default_factory=dict)
    environment: Mapping[str, SettingValue] = field(default_factory=dict)
    project: Mapping[str, SettingValue] = field(default_factory=dict)
    project_file: str | None = None

    def get(self, name: str) -> SettingValue | None:
        """Return what holds; None where nothing is set and nothing holds by default."""
        return self.source(name)[0]

    def source(self, name: str) -> tuple[SettingValue | None, Layer]:
        """Return what holds, and where that was said.

        Examples
        --------
        >>> Settings(notebook={"timeout": 5.0}, project={"timeout": 9.0}).source("timeout")
        (5.0, 'notebook')
        """
        if name in self.notebook:
            return self.notebook[name], "notebook"
        if name in self.environment:
            return self.environment[name], "environment"
        if name in self.project:
            return self.project[name], "project"
        return SETTINGS[name].default, "default"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from norman_jupyter.previews.settings import render_settings

        rows = []
        for setting in SETTINGS.values():
            value, layer = self.source(setting.name)
            where = self.project_file if layer == "project" else layer
            rows.append((setting.name, "" if value is None else _shown(value), where or layer))
        return render_settings([(*row, SETTINGS[row[0]].help) for row in rows])


def _shown(value: SettingValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_setting(name: str, value: object, *, where: str) -> SettingValue:
    """Read one value.

    Parameters
    ----------
    where
        Where it was said, for errors.

    Raises
    ------
    ConfigurationInvalid
        There is no such setting (with the nearest), or it doesn't take this value.

    Examples
    --------
    >>> parse_setting("timeout", "2.5", where="the cell")
    2.5
    """
    setting = find_setting(name, where=where)
    try:
        return setting.parse(value)
    except (TypeError, ValueError, NormanError) as error:
        reason = error.message if isinstance(error, NormanError) else _reason(error)
        raise ConfigurationInvalid(
            f"{where}: {name} takes {setting.takes}: {reason.rstrip('.')}.", field=name
        ) from error


def find_setting(name: str, *, where: str) -> Setting:
    """Return the setting of a name.

    Raises
    ------
    ConfigurationInvalid
        There is none; the message names the nearest.
    """
    setting = SETTINGS.get(name)
    if setting is None:
        nearest = get_close_matches(name, SETTINGS, n=1, cutoff=_LIKENESS)
        hint = f"Did you mean {nearest[0]}?" if nearest else ""
        raise ConfigurationInvalid(
            f"{where}: there is no setting {name[:60]!r}. "
            f"{hint or 'There are ' + ', '.join(SETTINGS) + '.'}",
            field=name,
            nearest=nearest or list(SETTINGS),
        )
    return setting


def _reason(error: Exception) -> str:
    # What int() and float() say names Python's own terms.
    text = str(error)
    return "that is no number" if "could not convert" in text or "invalid literal" in text else text


def read_project(start: Path) -> Settings:
    """Return what the project of a folder says: the nearest file upwards with ``[tool.norman]``.

    Raises
    ------
    ConfigurationInvalid
        The table has an unknown key, a value that isn't taken, or one that a project may not say;
        or the file that has it is no TOML.
    """
    for folder in (start, *start.parents):
        path = folder / _PROJECT_FILE
        table = _norman_table(path)
        if table is None:
            continue
        values = {}
        for name, value in table.items():
            where = f"{path}, [tool.norman]"
            values[name] = parse_setting(name, value, where=where)
            if not SETTINGS[name].by_project:
                raise ConfigurationInvalid(
                    f"{where}: {name} can't be said by a project, whose files may be somebody "
                    f"else's. Say it in the notebook: %norman config {name}=…",
                    field=name,
                )
        return Settings(project=values, project_file=str(path))
    return Settings()


def _norman_table(path: Path) -> Mapping[str, Any] | None:
    """Return the table of a file; None where there is no such file, or none in it."""
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if "norman" not in text:  # whatever else is wrong with it is no concern of ours
        return None
    try:
        tool = tomllib.loads(text).get("tool")
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid(f"{path} is no TOML: {error}.", field="pyproject") from error
    table = tool.get("norman") if isinstance(tool, Mapping) else None
    if table is not None and not isinstance(table, Mapping):
        raise ConfigurationInvalid(f"{path}: tool.norman is no table.", field="tool.norman")
    return table
