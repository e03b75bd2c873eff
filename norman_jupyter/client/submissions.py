"""Calls that the server keeps: one may wait for them, or come back later by their id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from norman_jupyter.client.results import InvokeResult

__all__ = ["BlockingSubmission", "Submission"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A call that was submitted with `Norman.submit`; ``await`` gives its `InvokeResult`.

    Attributes
    ----------
    id
        Of the invocation. It is recorded already: `Norman.invocation`, `Norman.cancel` and
        `Norman.replay` take it, from any process.
    """

    id: str
    _fetch: Callable[[float | None], Awaitable[InvokeResult]] = field(repr=False)

    async def wait(self, timeout_s: float | None = None) -> InvokeResult:
        """Return what the model answered, when it has.

        Raises
        ------
        TimedOut
            It goes on after ``timeout_s``; wait again, or cancel it.
        NormanError
            Whatever the call ended with.
        """
        return await self._fetch(timeout_s)

    def __await__(self) -> Generator[Any, None, InvokeResult]:
        return self.wait().__await__()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingSubmission:
    """A call that was submitted with `BlockingNorman.submit`; see `Submission`.

    Attributes
    ----------
    id
        Of the invocation.
    """

    id: str
    _fetch: Callable[[float | None], InvokeResult] = field(repr=False)

    def wait(self, timeout_s: float | None = None) -> InvokeResult:
        """Return what the model answered, when it has; see `Submission.wait`."""
        return self._fetch(timeout_s)
