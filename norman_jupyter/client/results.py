"""The answer to a call, as a mapping that shows itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from norman_protocol.arrays import value_to_object
from norman_protocol.errors import OutputInvalid
from norman_protocol.messages import Result

__all__ = ["InvokeResult", "read_result"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class InvokeResult(Mapping[str, Any]):
    """What a model answered: a mapping from output name to value.

    A tensor is a NumPy array (a NumPy scalar where its shape is ``()``; of dtype ``object``
    holding ``str`` for text), text a ``str``, a file ``bytes``, anything else plain Python.
    Arrays are read-only views of the received bytes: ``.copy()`` gives one to change.

    Attributes
    ----------
    outputs
        The values by name, in the order of the signature.
    id
        Of the invocation: what was recorded is found under it.
    version
        The version that answered, such as ``digits@2``.
    latency_ms
        The call in milliseconds, from the first byte sent to the last one received, measured here.
    timings
        Where that went, each in milliseconds too: ``queue`` (waiting for the replica), ``model``
        (inside the model), ``transfer`` (all the rest: the way there and back).
    logs
        What the model printed and logged during this call, possibly shortened.

    Examples
    --------
    >>> result = InvokeResult(outputs={"label": "seven"}, id="018f", version="digits@2",
    ...                       latency_ms=1.5, timings={"queue": 0.1, "model": 1.0, "transfer": 0.4})
    >>> result["label"], result.value, list(result)
    ('seven', 'seven', ['label'])
    """

    outputs: Mapping[str, Any]
    id: str
    version: str
    latency_ms: float
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    logs: str = ""

    @property
    def value(self) -> Any:
        """The only output.

        Raises
        ------
        OutputInvalid
            There is none, or more than one; the message names them.
        """
        if len(self.outputs) != 1:
            names = ", ".join(map(repr, self.outputs)) or "none"
            raise OutputInvalid(
                f"{self.version} gives {len(self.outputs)} outputs ({names}), so .value is not "
                "defined. Take one by its name: result[name].",
                invocation_id=self.id,
            )
        return next(iter(self.outputs.values()))

    def __getitem__(self, name: str) -> Any:
        try:
            return self.outputs[name]
        except KeyError:
            names = ", ".join(map(repr, self.outputs)) or "none"
            raise KeyError(f"no output {name!r}; the outputs are {names}") from None

    def __contains__(self, name: object) -> bool:
        return name in self.outputs

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __repr__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's signature; it filters by itself
        from norman_jupyter.previews import render_result

        return render_result(self)


def read_result(result: Result, latency_s: float) -> InvokeResult:
    """Turn the message into what the caller gets.

    Raises
    ------
    ProtocolViolation, InputInvalid
        A value can't be read here (InputInvalid: its element type needs ml_dtypes).
    """
    timings = result.timings
    return InvokeResult(
        outputs={name: value_to_object(value) for name, value in result.values.items()},
        id=result.invocation_id,
        version=result.reference,
        latency_ms=latency_s * 1e3,
        timings={
            "queue": timings.queue_s * 1e3,
            "model": timings.model_s * 1e3,
            "transfer": max(0.0, latency_s - timings.queue_s - timings.model_s) * 1e3,
        },
        logs=result.logs,
    )
