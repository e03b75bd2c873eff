"""The codec channel: the executor has files of media decoded and encoded, away from itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from norman_protocol.media import MediaLimits
from norman_protocol.messages.base import Message
from norman_protocol.signature import Parameter
from norman_protocol.values import Value

__all__ = ["Decode", "Decoded", "Encode", "Encoded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(Message):
    """Turn files into what the model takes. Answered by Decoded or Failure.

    ``values`` go by the names of ``parameters``, each of which has a layout or is text.
    """

    TYPE: ClassVar[str] = "decode"
    id: str
    parameters: tuple[Parameter, ...]
    limits: MediaLimits = field(default_factory=MediaLimits)
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded(Message):
    """The tensors (and rates, and text) by the model's own names."""

    TYPE: ClassVar[str] = "decoded"
    id: str
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode(Message):
    """Turn what the model gave into files. Answered by Encoded or Failure.

    ``values`` go by the model's own names for ``parameters``.
    """

    TYPE: ClassVar[str] = "encode"
    id: str
    parameters: tuple[Parameter, ...]
    limits: MediaLimits = field(default_factory=MediaLimits)
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded(Message):
    """The files by the names of the parameters; each value says its encoding."""

    TYPE: ClassVar[str] = "encoded"
    id: str
    values: Mapping[str, Value] = field(default_factory=dict)
