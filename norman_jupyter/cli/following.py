"""``norman logs -f``: what a version writes, as it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from norman_jupyter.cli.answers import show_log

if TYPE_CHECKING:
    from norman_jupyter.cli.terminal import Terminal
    from norman_jupyter.magics.connection import ClientHolder
    from norman_protocol.rest import LogText

__all__ = ["follow_log"]

_SHORTEST_S: Final = 0.2
_LONGEST_S: Final = 2.0


def follow_log(
    reference: str,
    connection: ClientHolder,
    terminal: Terminal,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Write the end of a log, then what is added to it, until interrupted.

    An alias is followed to where it leads now. Questions come the less often the longer nothing is
    written.

    Parameters
    ----------
    pause
        Waits for so many seconds.

    Raises
    ------
    NormanError
        The server can't answer.
    OutputClosed
        Nobody reads on.
    """
    log = connection.use(lambda client: client.logs(reference))
    show_log(log, terminal)
    followed, end, pause_s = log.reference, log.end, _SHORTEST_S
    while True:
        pause(pause_s)
        more = _more(followed, end, connection)
        if more.truncated:
            terminal.tell(f"The log of {followed} was cut; some lines are missing here.")
        if more.text:
            terminal.write(more.text)
        end = more.end
        pause_s = _SHORTEST_S if more.text else min(pause_s * 2, _LONGEST_S)


def _more(reference: str, end: int, connection: ClientHolder) -> LogText:
    return connection.use(lambda client: client.logs(reference, after=end))
