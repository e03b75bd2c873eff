"""The file by which a kernel finds the server that started it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DiscoveryRecord", "discovery_file_name", "is_same_process", "starts_match"]

# Start times rest on the system's boot time, which moves when the clock is set; a process id comes
# round again only after tens of thousands of others.
_START_TOLERANCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryRecord:
    """Contents of ``norman-<pid>.json``, mode 0600, in Jupyter's runtime folder.

    Attributes
    ----------
    url
        Base URL of the Jupyter server, ending in ``/``; the API stands under ``norman/api/v1/``.
    token
        Valid for this extension alone; sent as ``Authorization: Bearer …`` and in Hello.
    server_pid, server_started_at
        The process and when it began (seconds since the epoch, as psutil tells it): a reused pid
        is thereby recognised.
    socket_path
        The executor's data socket, None where the platform has none.
    transfer_path
        The server's own socket for files of this host; None where it has none.
    server_stamp
        What names the process whatever the clock does (`norman_protocol.processes`); None where
        the system has no such thing.

    Of several servers on one home one holds it, and the others relay to that one. All of their
    records have the ``server_id``, the token and the sockets of the holder, and their own URL and
    process.
    """

    server_id: str
    url: str
    token: str
    server_pid: int
    server_started_at: float
    socket_path: str | None
    version: str
    transfer_path: str | None = None
    server_stamp: str | None = None


def discovery_file_name(server_pid: int) -> str:
    """Return the name of the file for a server's process id."""
    return f"norman-{server_pid}.json"


def starts_match(recorded: float, now: float) -> bool:
    """Whether two start times told of one process id are those of the same process.

    Parameters
    ----------
    recorded
        What was told earlier, maybe before the clock was set a little.
    now
        What is told now, both in seconds since the epoch.

    Examples
    --------
    >>> starts_match(1000.0, 1002.5), starts_match(1000.0, 1060.0)
    (True, False)
    """
    return abs(now - recorded) <= _START_TOLERANCE_S


def is_same_process(
    recorded_at: float, recorded_stamp: str | None, started_at: float, stamp: str | None
) -> bool:
    """Whether what was recorded of a process, and what is told now of its id, are one process.

    Examples
    --------
    >>> is_same_process(1000.0, "boot:5", 8200.0, "boot:5")  # the clock was set
    True
    >>> is_same_process(1000.0, "boot:5", 1000.0, "boot:6")
    False
    >>> is_same_process(1000.0, None, 1001.0, "boot:6")  # by an earlier version of this program
    True
    """
    if recorded_stamp is not None and stamp is not None:
        return recorded_stamp == stamp
    return starts_match(recorded_at, started_at)
