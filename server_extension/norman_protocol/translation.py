"""What callers send, in their words, against what the model takes, in its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.values import Value

__all__ = ["Translation"]

_UTF16 = "utf16"
_SUBTITLES = ("srt", "vtt", "ass")  # whose rules are checked in both directions
_LABEL_CHARACTERS = 32 * 1024


@dataclass(frozen=True, slots=True)
class Translation:
    """The names of one signature, and which of its values a codec must turn.

    Attributes
    ----------
    trivial
        Whether callers and model say the same, so that every call passes as it is.
    labels
        By the names of outputs: what the places along their last axis stand for. They go with each
        answer, so that those of a vocabulary are left out.
    """

    signature: Signature
    trivial: bool = field(init=False)
    labels: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        said = (*self.signature.inputs, *self.signature.outputs)
        object.__setattr__(self, "trivial", all(map(_is_plain, said)))
        labels = {one.name: one.labels for one in self.signature.outputs if one.labels}
        few = {name: texts for name, texts in labels.items() if _are_few(texts)}
        object.__setattr__(self, "labels", few)

    def to_decode(self, values: Mapping[str, Value]) -> tuple[Parameter, ...]:
        """Return the inputs whose values are files that the model takes as something else."""
        return tuple(
            parameter
            for parameter in self.signature.inputs
            if parameter.name in values and _needs_decoder(parameter, values[parameter.name])
        )

    def inputs(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return inputs that need no decoder by the model's own names."""
        names = {one.name: one.own_name for one in self.signature.inputs}
        return {names.get(name, name): value for name, value in values.items()}

    def own_name(self, title: str) -> str:
        """Return the model's own name for the input of this title."""
        return next((one.own_name for one in self.signature.inputs if one.name == title), title)

    def title_of(self, own_name: str) -> str | None:
        """Return the title of the input that the model knows by this name."""
        names = {one.own_name: one.name for one in self.signature.inputs}
        return names.get(own_name)

    def to_encode(self, values: Mapping[str, Value]) -> tuple[Parameter, ...]:
        """Return the outputs whose values, by the model's own names, callers get as files."""
        return tuple(
            parameter
            for parameter in self.signature.outputs
            if parameter.own_name in values
            and _needs_encoder(parameter, values[parameter.own_name])
        )

    def outputs(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return outputs that need no encoder by their titles; files say their encoding."""
        known = {one.own_name: one for one in self.signature.outputs}
        titled = {}
        for name, value in values.items():
            parameter = known.get(name)
            if parameter is None:
                titled[name] = value
            elif parameter.encoding is not None and value.kind in ("bytes", "text"):
                titled[parameter.name] = replace(value, encoding=parameter.encoding)
            else:
                titled[parameter.name] = value
        return titled

    def taken(self, parameters: tuple[Parameter, ...]) -> frozenset[str]:
        """Return the model's own names that a codec takes for these outputs."""
        return frozenset(
            name
            for parameter in parameters
            for name in (parameter.own_name, parameter.rate_parameter)
            if name is not None
        )


def _are_few(labels: tuple[str, ...]) -> bool:
    return sum(map(len, labels)) <= _LABEL_CHARACTERS


def _is_plain(parameter: Parameter) -> bool:
    return parameter.parameter is None and parameter.layout is None and parameter.encoding is None


def _needs_decoder(parameter: Parameter, value: Value) -> bool:
    if parameter.layout is None:
        if parameter.modality is not Modality.TEXT or parameter.encoding is None:
            return False
        return value.kind == "bytes" or (value.kind == "text" and parameter.encoding in _SUBTITLES)
    # A list is a tensor that is decoded already; an object is a file in base64.
    return value.kind == "bytes" or (
        value.kind == "json" and bytes(memoryview(value.buffer)[:64]).lstrip()[:1] == b"{"
    )


def _needs_encoder(parameter: Parameter, value: Value) -> bool:
    if parameter.layout is not None:
        return value.kind == "tensor"
    return value.kind == "text" and parameter.encoding in (_UTF16, *_SUBTITLES)
