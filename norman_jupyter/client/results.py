"""The answer to a call, as a mapping that shows itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from norman_jupyter.client.media import read_media
from norman_protocol.arrays import value_to_object
from norman_protocol.errors import OutputInvalid
from norman_protocol.messages import Result, Timings
from norman_protocol.values import Value

__all__ = ["InvokeResult", "read_result", "read_value"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class InvokeResult(Mapping[str, Any]):
    """What a model answered: a mapping from output name to value.

    A tensor is a NumPy array (a NumPy scalar where its shape is ``()``; of dtype ``object``
    holding ``str`` for text), text a ``str``, a file ``bytes``, a picture, sound or video `Media`
    (bytes that know their encoding), anything else plain Python.
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
        Where that went, each in milliseconds too: ``queue`` (waiting for the replica), ``codec``
        (decoding and encoding media; only where there were any), ``model`` (inside the model),
        ``transfer`` (all the rest: the way there and back).
    labels
        By the names of outputs: what the places along their last axis stand for, such as names of
        classes, where the version says so.
    record_link
        Path of the call's record on the server that shows this notebook; None where the server
        is another one, or the outputs were too large to be recorded.
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
    labels: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    record_link: str | None = None

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


def read_result(result: Result, latency_s: float, record_link: str | None = None) -> InvokeResult:
    """Turn the message into what the caller gets.

    Parameters
    ----------
    record_link
        Where a browser that shows the notebook finds the record.

    Raises
    ------
    ProtocolViolation, InputInvalid
        A value can't be read here (InputInvalid: its element type needs ml_dtypes).
    """
    return InvokeResult(
        outputs={name: read_value(name, value) for name, value in result.values.items()},
        id=result.invocation_id,
        version=result.reference,
        latency_ms=latency_s * 1e3,
        timings=_split_latency(result.timings, latency_s),
        logs=result.logs,
        labels=result.labels,
        record_link=record_link,
    )


def read_value(name: str, value: Value) -> Any:
    """Turn one output into what the caller gets.

    Raises
    ------
    ProtocolViolation, RequestInvalid, InputInvalid
        As for `norman_protocol.arrays.value_to_object`.
    """
    media = read_media(value, name)
    return value_to_object(value) if media is None else media


def _split_latency(timings: Timings, latency_s: float) -> dict[str, float]:
    known = {"queue": timings.queue_s, "codec": timings.codec_s, "model": timings.model_s}
    if not timings.codec_s:
        del known["codec"]
    rest_s = max(0.0, latency_s - sum(known.values()))
    return {name: seconds * 1e3 for name, seconds in (*known.items(), ("transfer", rest_s))}
