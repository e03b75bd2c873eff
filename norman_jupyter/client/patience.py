"""Waiting out a server that went away: requests that may be repeated are, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from norman_jupyter.client.effects import HttpAnswer, HttpRequest, Steps, pause
from norman_jupyter.client.rest import raise_for_error
from norman_protocol.errors import (
    ExecutorUnavailable,
    Interrupted,
    NormanError,
    ServerNotFound,
    Unauthenticated,
)

__all__ = ["Call", "Patience", "patiently"]

Call: TypeAlias = Callable[[HttpRequest], Steps[HttpAnswer]]
"""Sends a request to the server, or to its successor."""

_SHORTEST_S: Final = 0.1
_LONGEST_S: Final = 2.0
_TOGETHER_S: Final = 30.0
_UNAVAILABLE: Final = 503


class Patience:
    """How long a server that was there is waited for, from the last time that it did something.

    Only one that is known to have been there: an upload begins by greeting it.
    """

    def __init__(self) -> None:
        self._next_s = _SHORTEST_S
        self._left_s = _TOGETHER_S
        self._lost = False

    def renew(self) -> None:
        """Begin anew: the server did something."""
        self._next_s, self._left_s, self._lost = _SHORTEST_S, _TOGETHER_S, False

    def wait(self, error: NormanError) -> Steps[None]:
        """Wait before the next attempt.

        Raises
        ------
        NormanError
            The error given, where waiting doesn't help, or did not for long enough.
        """
        gone = isinstance(error, (ServerNotFound, Interrupted, ExecutorUnavailable))
        # A server that starts listens before it has told its new token.
        starting = self._lost and isinstance(error, Unauthenticated)
        if not (gone or starting) or self._left_s <= 0:
            raise error
        self._lost = True
        yield from pause(self._next_s)
        self._left_s -= self._next_s
        self._next_s = min(2 * self._next_s, _LONGEST_S)


def patiently(call: Call) -> Call:
    """Repeat what ``call`` sends while the server is away.

    For requests that do no harm when they come twice.
    """

    def steps(request: HttpRequest) -> Steps[HttpAnswer]:
        patience = Patience()
        while True:
            try:
                answer = yield from call(request)
                if answer.status == _UNAVAILABLE:
                    raise_for_error(answer)
            except NormanError as error:
                failure = error
            else:
                return answer
            yield from patience.wait(failure)

    return steps
