"""Which server to talk to: explicit, from the environment, an ancestor's, or the only live one.

Nothing is sent here. The record that a server leaves in Jupyter's runtime folder counts only if
it is a private file of this user and its process still lives, by id and start time.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit, urlunsplit

from norman_protocol.decoding import decode, parse_json
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name, is_same_process
from norman_protocol.errors import NormanError, RequestInvalid, ServerNotFound

__all__ = ["Processes", "Target", "find_targets", "is_loopback", "split_url"]

_RECORD_LIMIT_BYTES = 64 * 1024
_RECORD_NAME = re.compile(r"norman-[0-9]{1,10}\.json")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_HOW_TO = (
    "Start one with `norman serve` or `jupyter lab` (where norman-jupyter is installed), or "
    "connect to one: set NORMAN_URL and NORMAN_TOKEN, or pass Norman(url=…, token=…)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that may be talked to.

    Attributes
    ----------
    url
        Base URL of the Jupyter server, ending in ``/``.
    server_id
        Who must answer there; None where that isn't known beforehand.
    socket_path
        The executor's data socket; None where there is none for us.
    transfer_path
        The server's socket for files of this host; None where there is none for us.
    source
        How it was found, for errors.
    chosen
        Whether the user named it: then no other one is tried in its place.
    is_ours
        Whether it started this process: then it is the server of the page that shows the notebook.
    """

    url: str
    token: str | None = None
    server_id: str | None = None
    socket_path: str | None = None
    transfer_path: str | None = None
    source: str = field(default="", compare=False)
    chosen: bool = field(default=False, compare=False)
    is_ours: bool = field(default=False, compare=False)


class Processes(Protocol):
    """What discovery must know of the processes of this machine."""

    def ancestors(self) -> Sequence[int]:
        """Ids of the parent, its parent and so on."""
        ...

    def started_at(self, pid: int) -> float | None:
        """When a living process began, in seconds since the epoch; None where there is none."""
        ...

    def stamp(self, pid: int) -> str | None:
        """Return what names a living process whatever the clock does, where something does."""
        ...


def find_targets(
    *,
    url: str | None,
    token: str | None,
    environ: Mapping[str, str],
    runtime_folder: Path,
    processes: Processes,
    previous: Target | None = None,
) -> tuple[Target, ...]:
    """List the servers to try, the best first; at least one.

    Parameters
    ----------
    previous
        The server that was used until now and is gone: its successor is looked for, which serves
        the same home, or stands in its place with a token of its own.

    Raises
    ------
    ServerNotFound
        There is none, or several live ones and nothing to choose by; the message says what to do.
    RequestInvalid
        A URL is none.
    """
    records, ignored = _live_records(runtime_folder, processes)
    if url is not None:
        return (_named(url, token, "the given URL", records, chosen=True, previous=previous),)
    if environ.get("NORMAN_URL"):
        given = token or environ.get("NORMAN_TOKEN")
        place = environ["NORMAN_URL"]
        return (_named(place, given, "NORMAN_URL", records, chosen=True, previous=previous),)
    targets = _of_ancestors(records, processes)
    targets += [
        _recorded(record, "the server of the same home")
        for record in records
        if previous is not None and _same_home(previous, record)
    ]
    if environ.get("JUPYTER_SERVER_URL"):
        given = token or environ.get("JUPYTER_TOKEN") or environ.get("JUPYTERHUB_API_TOKEN")
        place = environ["JUPYTER_SERVER_URL"]
        targets.append(_named(place, given, "JUPYTER_SERVER_URL", records, chosen=False))
    homes = {record.server_id for record in records}
    if len(homes) == 1:  # one server, or several that relay to one
        targets += [_recorded(record, "the only live server") for record in records]
    if not targets:
        raise _none_found(records, ignored)
    return tuple(dict.fromkeys(targets))


def split_url(text: str) -> tuple[str, str | None]:
    """Return the base URL, ending in ``/``, and the token that its query held.

    Raises
    ------
    RequestInvalid
        Not an http or https URL, or one that holds a password.

    Examples
    --------
    >>> split_url("http://127.0.0.1:8888/lab?token=abc")
    ('http://127.0.0.1:8888/', 'abc')
    >>> split_url("https://hub.example/user/ann")
    ('https://hub.example/user/ann/', None)
    """
    # It may be a good URL but for its beginning, token and all: that one is shown nowhere.
    hidden = re.sub(r"(?i)(token=)[^&#\s]*", r"\1…", text)
    shown = hidden if len(hidden) <= 100 else hidden[:97] + "..."
    try:
        parts = urlsplit(text.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise RequestInvalid(
            f"{shown!r} is no URL of a server. Write one like http://127.0.0.1:8888/.", field="url"
        )
    if "@" in parts.netloc:
        raise RequestInvalid(
            "The URL holds a user name or password. Pass the token beside it: token=….",
            field="url",
        )
    tokens = parse_qs(parts.query).get("token")
    path = parts.path
    if tokens:  # copied from Jupyter's start-up message, which leads to a page
        path = re.sub(r"/(lab|tree|notebooks|doc)(/.*)?$", "/", path)
    base = urlunsplit((parts.scheme, parts.netloc, path.rstrip("/") + "/", "", ""))
    return base, tokens[0] if tokens else None


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine and no proxy should stand between.

    Examples
    --------
    >>> is_loopback("http://localhost:8888/"), is_loopback("https://hub.example/")
    (True, False)
    """
    return urlsplit(url).hostname in _LOOPBACK


def _named(
    text: str,
    token: str | None,
    source: str,
    records: Iterable[DiscoveryRecord],
    *,
    chosen: bool,
    previous: Target | None = None,
) -> Target:
    """Describe the server at a URL, with the record of the same server where there is one."""
    url, inner_token = split_url(text)
    token = token or inner_token
    # A token that is not the record's own must stand the server's test: no way around it, except
    # for one that was in the record of this very place, before the server was started anew.
    outdated = None
    if previous is not None and previous.server_id is not None and _same_place(url, previous.url):
        outdated = previous.token
    for record in records:
        if _same_place(url, record.url) and token in (None, record.token, outdated):
            return Target(
                url=url,
                token=record.token,
                server_id=record.server_id,
                socket_path=record.socket_path,
                transfer_path=record.transfer_path,
                source=source,
                chosen=chosen,
            )
    return Target(url=url, token=token, source=source, chosen=chosen)


def _recorded(record: DiscoveryRecord, source: str, *, is_ours: bool = False) -> Target:
    return Target(
        url=record.url,
        token=record.token,
        server_id=record.server_id,
        socket_path=record.socket_path,
        transfer_path=record.transfer_path,
        source=source,
        is_ours=is_ours,
    )


def _of_ancestors(records: Sequence[DiscoveryRecord], processes: Processes) -> list[Target]:
    if not records:
        return []
    by_pid = {record.server_pid: record for record in records}
    return [
        _recorded(by_pid[pid], "the server that started this process", is_ours=True)
        for pid in processes.ancestors()
        if pid in by_pid
    ]


def _same_place(one: str, other: str) -> bool:
    def key(url: str) -> tuple[str, str, int, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return parts.scheme, "loopback" if host in _LOOPBACK else host, port, parts.path.rstrip("/")

    return key(one) == key(other)


def _same_home(target: Target, record: DiscoveryRecord) -> bool:
    """Whether a server serves the home of another: by the id that it kept, or by its socket."""
    if target.server_id is not None and target.server_id == record.server_id:
        return True
    return target.socket_path is not None and target.socket_path == record.socket_path


def _none_found(records: Sequence[DiscoveryRecord], ignored: Sequence[str]) -> ServerNotFound:
    if records:
        listed = ", ".join(
            f"{record.url} (process {record.server_pid})"
            for record in sorted(records, key=lambda record: record.server_started_at)
        )
        return ServerNotFound(
            f"{len(records)} Norman servers are running: {listed}. "
            "Say which: set NORMAN_URL, or pass Norman(url=…)."
        )
    passed_over = "".join(f" {reason}" for reason in ignored)
    return ServerNotFound(f"No Norman server was found. {_HOW_TO}{passed_over}")


def _live_records(
    runtime_folder: Path, processes: Processes
) -> tuple[list[DiscoveryRecord], list[str]]:
    """Read the records of living servers, and why other files were passed over."""
    try:
        found = sorted(runtime_folder.iterdir())
    except OSError:
        return [], []  # no server has ever run here
    records: list[DiscoveryRecord] = []
    ignored: list[str] = []
    for path in found:
        if not _RECORD_NAME.fullmatch(path.name):
            continue
        try:
            record = _read_record(path)
        except (OSError, NormanError) as error:
            ignored.append(f"{path.name} was passed over: {error}")
            continue
        started_at = processes.started_at(record.server_pid)
        if started_at is None or not is_same_process(
            record.server_started_at,
            record.server_stamp,
            started_at,
            processes.stamp(record.server_pid),
        ):
            continue  # left behind by a server that was killed
        records.append(record)
    return records, ignored


def _read_record(path: Path) -> DiscoveryRecord:
    """Read a record that only this user can have written.

    Raises
    ------
    OSError
        It can't be read.
    NormanError
        It is no private file of this user, or malformed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RequestInvalid("it is no regular file.")
        if status.st_uid != os.getuid():
            raise RequestInvalid("it belongs to another user.")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise RequestInvalid(f"others may open it (mode {mode:04o}, not 0600).")
        record = decode(DiscoveryRecord, parse_json(file.read(_RECORD_LIMIT_BYTES)), tolerant=True)
    if path.name != discovery_file_name(record.server_pid):
        raise RequestInvalid(f"it speaks of process {record.server_pid}.")
    split_url(record.url)
    return record
