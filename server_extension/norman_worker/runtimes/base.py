"""What every runtime can do."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from norman_protocol.signature import Signature
from norman_protocol.values import Value

__all__ = ["Runtime", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to load, and how.

    Attributes
    ----------
    files
        The version's folder, absolute. Read-only.
    entry
        The file in it to begin with, relative with ``/``.
    device
        Where the model computes, such as ``cpu``.
    threads
        Threads that one call may use; 0 leaves it to the framework.
    """

    files: Path
    entry: str
    device: str = "cpu"
    threads: int = 0

    @property
    def path(self) -> Path:
        """The entry's path."""
        return self.files / self.entry


class Runtime(abc.ABC):
    """Loads one version of one format; used from one thread: describe, load, predict, predict…

    Whatever a model raises passes through; the session turns it into the right error.

    Attributes
    ----------
    POSITIONAL
        Whether the model's own names count for little: it takes inputs and gives outputs in an
        order, so that a declaration may stand for places.
    """

    POSITIONAL: ClassVar[bool] = False

    def __init__(self, source: Source) -> None:
        self.source = source

    @abc.abstractmethod
    def describe(self) -> Signature:
        """Read the typed inputs and outputs.

        Raises
        ------
        RuntimeMissing
            This interpreter lacks the package that loads this format.
        LoadFailed
            The files aren't what the format wants.
        """

    @abc.abstractmethod
    def adopt(self, signature: Signature) -> None:
        """Take calls by what the configuration says beside the model; after `describe`.

        Parameters
        ----------
        signature
            With the model's own names: its inputs with the dtypes and shapes that were declared.
        """

    @abc.abstractmethod
    def load(self) -> None:
        """Make the version ready to answer.

        Raises
        ------
        LoadFailed
            It can't be.
        """

    @abc.abstractmethod
    def predict(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Run the version once.

        Raises
        ------
        InputInvalid
            An input doesn't fit the signature.
        OutputInvalid
            The model answered something that its signature or the wire can't carry.
        """
