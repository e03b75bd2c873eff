"""The states of versions and invocations, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from norman_protocol.errors import Conflict
from norman_protocol.messages import InvocationState, VersionState

__all__ = [
    "INVOCATION_FOLLOWERS",
    "OPEN_INVOCATION_STATES",
    "VERSION_FOLLOWERS",
    "check_version_move",
    "invocation_ends",
    "version_sources",
]

VERSION_FOLLOWERS: Final[Mapping[VersionState, frozenset[VersionState]]] = {
    "loading": frozenset({"ready", "failed"}),
    "failed": frozenset({"loading"}),
    "ready": frozenset(),
}
"""A failed version is retried by uploading the same thing again; a ready one stays ready."""

INVOCATION_FOLLOWERS: Final[Mapping[InvocationState, frozenset[InvocationState]]] = {
    "queued": frozenset(
        {"running", "succeeded", "failed", "cancelled", "timed_out", "interrupted"}
    ),
    "running": frozenset({"succeeded", "failed", "cancelled", "timed_out", "interrupted"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "timed_out": frozenset(),
    "interrupted": frozenset(),
}

OPEN_INVOCATION_STATES: Final[frozenset[InvocationState]] = frozenset(
    state for state, followers in INVOCATION_FOLLOWERS.items() if followers
)
"""States that another one must follow."""


def version_sources(target: VersionState) -> frozenset[VersionState]:
    """Return the states from which a version may move to ``target``: what is compared, then set.

    Examples
    --------
    >>> version_sources("loading")
    frozenset({'failed'})
    """
    return frozenset(state for state, followers in VERSION_FOLLOWERS.items() if target in followers)


def check_version_move(reference: str, current: VersionState, target: VersionState) -> None:
    """Pass where a version may move to ``target``.

    Raises
    ------
    Conflict
        It may not: somebody else moved it meanwhile.
    """
    if target not in VERSION_FOLLOWERS[current]:
        raise Conflict(
            f"{reference} is {current} and can't become {target}: something else changed it "
            "meanwhile. Look at it again.",
            name=reference,
        )


def invocation_ends(current: InvocationState, target: InvocationState) -> bool:
    """Say whether ``target`` ends an invocation in the state ``current``, which happens once.

    Examples
    --------
    >>> invocation_ends("queued", "succeeded"), invocation_ends("interrupted", "succeeded")
    (True, False)
    """
    return target in INVOCATION_FOLLOWERS[current] and not INVOCATION_FOLLOWERS[target]
