"""Carries out steps of the client that need no server."""

from __future__ import annotations

from typing import Any, TypeVar

from norman_jupyter.client.effects import Read, Steps, Work

__all__ = ["finish"]

T = TypeVar("T")


def finish(steps: Steps[T]) -> T:
    """Carry steps out on this thread and return their outcome."""
    try:
        effect = next(steps)
        while True:
            try:
                outcome: Any
                if isinstance(effect, Read):
                    sizes = () if effect.size_bytes is None else (effect.size_bytes,)
                    outcome = effect.stream.read(*sizes)
                else:
                    assert isinstance(effect, Work), f"{effect} needs a server"
                    outcome = effect.run()
            except Exception as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(outcome)
    except StopIteration as end:
        answer: T = end.value
        return answer
