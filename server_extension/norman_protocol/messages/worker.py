"""The worker channel: the executor has one version loaded and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from norman_protocol.declaration import Declaration
from norman_protocol.messages.base import Message
from norman_protocol.signature import Signature
from norman_protocol.values import Value

__all__ = [
    "Load",
    "Loaded",
    "Predict",
    "Prediction",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Message):
    """Describe and load the version in ``files``. Answered by Loaded or Failure."""

    TYPE: ClassVar[str] = "load"
    id: str
    reference: str
    runtime: str
    files: str
    entry: str
    declaration: Declaration | None = None
    device: str = "cpu"
    threads: int = 0
    log_limit_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Message):
    """The version stands ready in this worker.

    ``signature`` is what the model and its declaration say together.
    """

    TYPE: ClassVar[str] = "loaded"
    id: str
    signature: Signature
    load_s: float
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict(Message):
    """Run the loaded version once. Answered by Prediction or Failure."""

    TYPE: ClassVar[str] = "predict"
    id: str
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Message):
    """The outputs, the time inside the model, and what it printed and logged meanwhile."""

    TYPE: ClassVar[str] = "prediction"
    id: str
    model_s: float
    logs: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
