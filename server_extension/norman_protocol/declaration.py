"""What a configuration says of a model: its format, and its inputs and outputs as people know them.

A model describes itself as far as it can (`norman_worker` reads its signature); a declaration says
the rest, in the words of its users: titles, encodings, the tensor that an image becomes.
`declared_signature` joins the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from norman_protocol.decoding import JsonValue
from norman_protocol.media import Modality

__all__ = ["Declaration", "DeclaredParameter", "OutputFormat"]

OutputFormat: TypeAlias = Literal["binary", "json", "text"]
"""What outputs that are no files become where a caller asks for bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredParameter:
    """What is said of one input or output; what is None or empty is left to the model.

    Attributes
    ----------
    title
        The name that callers use; any text.
    parameter
        The model's own name for it; None where that is the title.
    rate_parameter
        The model's own name for the sample rate or frame rate that goes with a sound or video.
    encoding
        A name of `norman_protocol.media.ENCODINGS`.
    modality
        Where the encoding doesn't say it.
    dtype, shape
        Of a tensor; a text in the shape names an open size, None is open without a name.
    layout
        Fields of `norman_protocol.media.Layout` that differ from what follows from the model and
        the modality.
    default
        What a call that leaves the input out means, as JSON; None: it must be given.
    hidden
        Whether forms leave it out. Needs a default.
    labels
        What the places along the last axis of a tensor stand for.
    """

    title: str
    parameter: str | None = None
    rate_parameter: str | None = None
    encoding: str | None = None
    modality: Modality | None = None
    dtype: str | None = None
    shape: tuple[int | str | None, ...] | None = None
    layout: dict[str, JsonValue] = field(default_factory=dict)
    default: JsonValue = None
    hidden: bool = False
    description: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a configuration says of a version; part of what tells versions apart.

    Attributes
    ----------
    runtime
        The loader of its format; None where the files tell it.
    entry
        The file that the loader opens, relative to the bundle; None where the files tell it.
    inputs, outputs
        In the order of the model's own where that has no names. Inputs and outputs of the model
        that are not among them keep their own names.
    output_format
        What tensors become where a caller asks for bytes: a ``.npy`` file (``binary``) or JSON.
    """

    runtime: str | None = None
    entry: str | None = None
    inputs: tuple[DeclaredParameter, ...] = ()
    outputs: tuple[DeclaredParameter, ...] = ()
    output_format: OutputFormat | None = None
