"""What commands may do to the notebook itself: set variables, remember results, keep settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from norman_protocol.errors import NormanError, RequestInvalid

if TYPE_CHECKING:
    from norman_jupyter.client.settings import Settings, SettingValue
    from norman_jupyter.magics.rows import RowsDisplay

__all__ = ["LAST_NAME", "Notebook", "NotebookSettings", "Place", "RowsDisplayMaker"]

LAST_NAME = "_norman"
"""The variable that holds the last result."""


class RowsDisplayMaker(Protocol):
    """Opens the display of a map."""

    def __call__(self, subject: str) -> RowsDisplay:
        """Return the display of a map with ``subject``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server that was chosen; what is None is found by itself."""

    url: str | None
    token: str | None = field(default=None, repr=False)


class NotebookSettings:
    """What ``%norman config`` and ``%norman connect`` said, over what the project says.

    Parameters
    ----------
    environ
        Where tokens are, and ``NORMAN_URL``.
    folder
        Says where the notebook works: its project is looked for from there upwards.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        folder: Callable[[], Path] = Path.cwd,
    ) -> None:
        self._environ = environ
        self._folder = folder
        self._values: dict[str, SettingValue] = {}
        self._token: str | None = None

    def current(self) -> Settings:
        """Return what holds now.

        Raises
        ------
        ConfigurationInvalid
            The project's file says what can't be.
        """
        from norman_jupyter.client.settings import Settings, read_project

        project = Settings()
        with suppress(FileNotFoundError):  # the folder was deleted under the notebook
            project = read_project(self._folder())
        return Settings(
            notebook=dict(self._values),
            environment=self._from_environment(),
            project=project.project,
            project_file=project.project_file,
        )

    def change(
        self, values: Mapping[str, SettingValue | None], *, token: str | None = None
    ) -> Callable[[], None]:
        """Set or (None) unset, and return what takes that back.

        Parameters
        ----------
        token
            One that is known by no variable; forgotten when the server or its variable changes.
        """
        before = dict(self._values), self._token
        if {"url", "token_env"} & set(values):
            self._token = token
        for name, value in values.items():
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value

        def restore() -> None:
            self._values, self._token = before

        return restore

    def place(self) -> Place | None:
        """Return the server that was chosen; None where it is to be found.

        Raises
        ------
        RequestInvalid
            The variable that should hold the token isn't set, or only the project's file says
            where the token is to go.
        ConfigurationInvalid
            The project's file says what can't be.
        """
        settings = self.current()
        url, layer = settings.source("url")
        variable = settings.get("token_env") if "token_env" in settings.notebook else None
        token = self._token
        if variable is not None:
            token = self._environ.get(str(variable))
            if not token:
                raise RequestInvalid(
                    f"The environment variable {variable}, which should hold the token, isn't set "
                    "in this kernel. Set it before the kernel starts, or name another one: "
                    "%norman connect URL --token-env NAME",
                    field="token_env",
                )
        if layer == "project" and token is not None:
            # A project's file may be somebody else's: it names no place for a person's token.
            raise RequestInvalid(
                f"{settings.project_file} names the server {url}, and a token goes only to one "
                "that you named yourself: %norman connect URL --token-env NAME",
                field="url",
            )
        if layer == "environment":  # discovery reads it by itself
            url = None
        if url is None and token is None:
            return None
        return Place(url=None if url is None else str(url), token=token)

    def _from_environment(self) -> dict[str, SettingValue]:
        from norman_jupyter.client.discovery import split_url

        found: dict[str, SettingValue] = {}
        if self._environ.get("NORMAN_URL"):
            with suppress(NormanError):  # the call itself says what is wrong with it
                found["url"] = split_url(self._environ["NORMAN_URL"])[0]
            if self._environ.get("NORMAN_TOKEN"):
                found["token_env"] = "NORMAN_TOKEN"  # noqa: S105 - the name, not the token
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """The notebook as commands see it.

    Attributes
    ----------
    assign
        Sets a variable.
    remember
        Makes something the last result.
    recall
        Returns the last result.
    display_rows
        Opens the display of a map.
    settings
        What was set here and for the project.
    body
        What stands below the line, where the cell began with ``%%norman``.
    """

    assign: Callable[[str, Any], None]
    remember: Callable[[Any], None]
    recall: Callable[[], Any]
    display_rows: RowsDisplayMaker
    settings: NotebookSettings
    body: str | None = None
