"""``%norman``: line to command to client to display. Loading it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a shell ``%norman``, its completions, and displays of what it returns.

    Called by ``%load_ext norman_jupyter``. The server is looked for at the first use.
    """
    from norman_jupyter.magics.extension import NormanMagics

    NormanMagics(shell).install()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take everything away again and close the connection: ``%unload_ext norman_jupyter``."""
    from norman_jupyter.magics.extension import NormanMagics

    installed = NormanMagics.installed_in(shell)
    if installed is not None:
        installed.uninstall()
