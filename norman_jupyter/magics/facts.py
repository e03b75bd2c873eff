"""What completion asks the server: answered soon or not at all, and remembered for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from norman_jupyter.magics.connection import Client, ClientHolder
from norman_protocol.errors import NormanError
from norman_protocol.signature import describe_parameter

if TYPE_CHECKING:
    from norman_protocol.rest import ModelSummary

__all__ = ["ServerFacts"]

_PAGE = 200
_PAGES = 5
_OFFERED = 100

_Names: TypeAlias = tuple[str, ...]
_Pairs: TypeAlias = tuple[tuple[str, str], ...]
_T = TypeVar("_T", _Names, _Pairs)
_Question: TypeAlias = tuple[str, str, bool]


class _Answer:
    """One question's answer so far, and whether it is being asked."""

    __slots__ = ("arrived", "asked_at", "names", "pending")

    def __init__(self) -> None:
        self.names: tuple[Any, ...] = ()
        self.asked_at = float("-inf")
        self.pending = False
        self.arrived = threading.Event()


class ServerFacts:
    """Names of models, versions and inputs, for completion.

    Each question is asked in a thread and waited for shortly: TAB must never hang on a server.
    An answer that comes later is there for the next TAB; without one there are no names.

    Parameters
    ----------
    wait_s
        How long TAB may wait.
    fresh_s
        How long an answer is taken as true.
    clock
        Monotonic, in seconds.
    """

    def __init__(
        self,
        connection: ClientHolder,
        *,
        wait_s: float,
        fresh_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._wait_s = wait_s
        self._fresh_s = fresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[_Question, _Answer] = {}

    def model_names(self, prefix: str, *, can_serve: bool = False) -> _Names:
        """Return names of models that begin so.

        Parameters
        ----------
        can_serve
            Only those with a version that is ready, those that a bare name invokes first.
        """

        def ask(client: Client) -> _Names:
            models = _models_with(client, prefix, can_serve=can_serve)
            if can_serve:
                models.sort(key=lambda model: model.active is None)
            return tuple(model.name for model in models)

        return self._answer(("models", prefix, can_serve), ask)

    def selectors(self, model: str, *, can_serve: bool = False) -> _Names:
        """Return what may stand behind ``model@``: the newest versions first.

        Parameters
        ----------
        can_serve
            Only those that are ready.
        """

        def ask(client: Client) -> _Names:
            detail = client.model(model)
            offered = {str(version.number): version.state == "ready" for version in detail.versions}
            if detail.model.active is not None:
                offered["active"] = True
            for version in detail.versions:
                offered.update((alias, version.state == "ready") for alias in version.aliases)
            offered["latest"] = offered.get(str(detail.model.latest), False)
            return tuple(name for name, is_ready in offered.items() if is_ready or not can_serve)

        return self._answer(("selectors", model, can_serve), ask)

    def aliases(self, model: str) -> _Names:
        """Return the aliases of a model that can be set."""

        def ask(client: Client) -> _Names:
            return tuple(item.alias for item in client.aliases(model, limit=100).items)

        return self._answer(("aliases", model, False), ask)

    def input_names(self, reference: str) -> _Names:
        """Return the names of a version's inputs."""
        return tuple(name for name, _ in self.input_types(reference))

    def input_types(self, reference: str) -> _Pairs:
        """Return the names of a version's inputs, each with what it takes."""

        def ask(client: Client) -> _Pairs:
            signature = client.version(reference).signature
            inputs = () if signature is None else signature.inputs
            return tuple((item.name, describe_parameter(item)) for item in inputs)

        return self._answer(("inputs", reference, False), ask)

    def invocation_ids(self) -> _Names:
        """Return the ids of the latest invocations, newest first."""

        def ask(client: Client) -> _Names:
            return tuple(item.id for item in client.invocations(limit=50).items)

        return self._answer(("invocations", "", False), ask)

    def forget(self) -> None:
        """Drop every answer: something was changed."""
        with self._lock:
            self._answers.clear()

    def _answer(self, question: _Question, ask: Callable[[Client], _T]) -> _T:
        with self._lock:
            answer = self._answers.setdefault(question, _Answer())
            if self._clock() - answer.asked_at < self._fresh_s and not answer.pending:
                return answer.names
            if not answer.pending:
                answer.pending = True
                answer.arrived.clear()
                # A daemon: a server that never answers must not keep the kernel from ending.
                threading.Thread(
                    target=self._ask, args=(answer, ask), name="norman-completion", daemon=True
                ).start()
        answer.arrived.wait(self._wait_s)
        return answer.names

    def _ask(self, answer: _Answer, ask: Callable[[Client], tuple[Any, ...]]) -> None:
        try:
            answer.names = self._connection.use(ask)
        except (NormanError, OSError):
            answer.names = ()  # no server, no such model: nothing to offer, and no place to say so
        finally:
            answer.asked_at = self._clock()
            answer.pending = False
            answer.arrived.set()


def _models_with(client: Client, prefix: str, *, can_serve: bool) -> list[ModelSummary]:
    """Return models whose names begin so; a search finds them among others that hold the text."""
    found: list[ModelSummary] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = client.models(search=prefix or None, limit=_PAGE, cursor=cursor)
        found += [
            model
            for model in page.items
            if model.name.startswith(prefix)
            and (not can_serve or model.active is not None or model.state == "ready")
        ]
        cursor = page.next_cursor
        if cursor is None or len(found) >= _OFFERED:
            break
    return found
