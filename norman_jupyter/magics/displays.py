"""Displays of what commands return, registered with a shell by name: nothing is imported for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.interactiveshell import InteractiveShell

    from norman_jupyter.previews.markup import Bundle

__all__ = ["register_displays", "render", "unregister_displays"]

_REST = "norman_protocol.rest"
_RENDERERS = {
    "AliasChange": ("norman_jupyter.previews.catalogue", "render_alias_change"),
    "AliasHistory": ("norman_jupyter.previews.catalogue", "render_alias_history"),
    "AliasPage": ("norman_jupyter.previews.catalogue", "render_aliases"),
    "Deletion": ("norman_jupyter.previews.upkeep", "render_deletion"),
    "DiskUsage": ("norman_jupyter.previews.upkeep", "render_disk_usage"),
    "DoctorReport": ("norman_jupyter.previews.upkeep", "render_doctor"),
    "GarbageReport": ("norman_jupyter.previews.upkeep", "render_garbage"),
    "InvocationDetail": ("norman_jupyter.previews.invocations", "render_invocation"),
    "InvocationPage": ("norman_jupyter.previews.listings", "render_invocations"),
    "LogText": ("norman_jupyter.previews.listings", "render_log"),
    "ModelDetail": ("norman_jupyter.previews.listings", "render_model"),
    "ModelPage": ("norman_jupyter.previews.listings", "render_models"),
    "ServerStatus": ("norman_jupyter.previews.listings", "render_status"),
    "VersionDetail": ("norman_jupyter.previews.versions", "render_version"),
    "VersionDiff": ("norman_jupyter.previews.catalogue", "render_version_diff"),
    "VersionPage": ("norman_jupyter.previews.listings", "render_versions"),
}
_SHOW_THEMSELVES = (
    ("norman_jupyter.client.inspection", "Inspection"),
    ("norman_jupyter.client.results", "InvokeResult"),
    ("norman_jupyter.client.settings", "Settings"),
    ("norman_jupyter.previews.listings", "ShownModel"),
    ("norman_jupyter.previews.settings", "Connected"),
    ("pandas", "DataFrame"),
    ("pandas.core.frame", "DataFrame"),  # before pandas 3
)


def register_displays(shell: InteractiveShell, is_shown: Callable[[Any], bool]) -> None:
    """Make a shell show our types as tables.

    Parameters
    ----------
    is_shown
        Whether the running cell shows an object already, or was told not to: it is passed over.
    """

    def pass_over(value: Any) -> None:
        if not is_shown(value):
            # IPython's way to say: not here, ask the other formatters.
            raise NotImplementedError

    formatter = _formatter(shell)
    for name, (module, function) in _RENDERERS.items():
        formatter.mimebundle_formatter.for_type_by_name(_REST, name, _renderer(module, function))
        formatter.ipython_display_formatter.for_type_by_name(_REST, name, pass_over)
    for module, name in _SHOW_THEMSELVES:
        formatter.ipython_display_formatter.for_type_by_name(module, name, pass_over)


def unregister_displays(shell: InteractiveShell) -> None:
    """Take back what `register_displays` did."""
    formatter = _formatter(shell)
    for name in _RENDERERS:
        formatter.mimebundle_formatter.pop(f"{_REST}.{name}", None)
        formatter.ipython_display_formatter.pop(f"{_REST}.{name}", None)
    for module, name in _SHOW_THEMSELVES:
        formatter.ipython_display_formatter.pop(f"{module}.{name}", None)


def render(value: Any) -> Bundle:
    """Return what a notebook shows of an object of ours: plain text and HTML.

    Raises
    ------
    TypeError
        It is none of ours.

    Examples
    --------
    >>> from norman_protocol.rest import LogText
    >>> render(LogText(reference="digits@1", text="loaded", truncated=False))["text/plain"]
    'loaded'
    """
    if hasattr(value, "_repr_mimebundle_"):
        bundle: Bundle = value._repr_mimebundle_()
        return bundle
    for kind in type(value).__mro__:
        if kind.__module__ == _REST and kind.__name__ in _RENDERERS:
            return _renderer(*_RENDERERS[kind.__name__])(value)
        if (kind.__module__, kind.__name__) in _SHOW_THEMSELVES:
            shown: Bundle = value._repr_mimebundle_()
            return shown
    raise TypeError(f"nothing is known of how to show a {type(value).__qualname__}")


def _formatter(shell: InteractiveShell) -> DisplayFormatter:
    formatter = shell.display_formatter
    if formatter is None:
        raise RuntimeError("this shell has no display formatter")
    return formatter


def _renderer(module: str, function: str) -> Callable[[Any], Bundle]:
    def render(value: Any) -> Bundle:
        rendered: Bundle = getattr(importlib.import_module(module), function)(value)
        return rendered

    return render
