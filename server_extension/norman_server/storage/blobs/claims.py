"""Blobs that are on their way in: clean-up leaves them alone until they are noted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

__all__ = ["Claims"]


class Claims:
    """Who is storing what, within the one process that has the home.

    A blob's bytes are in their place before the registry notes them. In between they look like
    rubbish; a claim says that they aren't.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claimed: Counter[str] = Counter()
        self._unnamed = 0

    @contextmanager
    def hold(self, digests: Collection[str] | None) -> Iterator[None]:
        """Claim blobs until they are noted; None claims whatever the digest proves to be.

        Examples
        --------
        >>> claims = Claims()
        >>> with claims.hold(["ab"]):
        ...     claims.unless_held("ab", lambda: None)
        False
        """
        with self._lock:
            if digests is None:
                self._unnamed += 1
            else:
                self._claimed.update(digests)
        try:
            yield
        finally:
            with self._lock:
                if digests is None:
                    self._unnamed -= 1
                else:
                    self._claimed.subtract(digests)
                    self._claimed += Counter()  # drops those that nobody claims any more

    def unless_held(self, digest: str, action: Callable[[], object]) -> bool:
        """Do something to a blob that nobody claims, before anybody can; say whether it was done.

        The action is short: every claim waits for it.
        """
        with self._lock:
            if self._unnamed or self._claimed[digest]:
                return False
            action()
            return True
