"""Signatures: the typed inputs and outputs of a version, and whether given values fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import prod

from norman_protocol.decoding import JsonValue
from norman_protocol.errors import InputInvalid
from norman_protocol.media import MEDIA, Layout, Modality
from norman_protocol.values import Value, describe_value

__all__ = [
    "Modality",
    "Parameter",
    "Signature",
    "check_inputs",
    "describe_parameter",
    "layout_shape",
    "model_parameters",
    "model_signature",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One input or output.

    Attributes
    ----------
    modality
        What it is to a person.
    dtype, shape
        For tensors. The dtype is a name of `DTYPES`, None where any will do. A size in the shape
        is a number, a symbol (such as ``batch``) or None where any will do; the whole shape is
        None where even the rank is free.
    required, default
        Whether it may be left out, and what the model then takes (for showing: the model's own
        code applies it).
    nullable
        Whether null (None) is a value of it.
    encoding
        A name of `norman_protocol.media.ENCODINGS`: what files of it are (an input takes other
        encodings of its modality too), what an output is written as. None where that is open.
    layout
        For images, sound and video: the tensor that the model gets or gives. None where the model
        takes the file itself.
    parameter
        The model's own name for it, where that is another one.
    rate_parameter
        The model's own name for the sample rate (Hz, an integer) or frame rate (1/s, a float)
        that goes with a sound or video; None where the model has none.
    hidden
        Whether forms leave it out; its default applies.
    labels
        What the places along the last axis of a tensor stand for, such as names of classes.
    """

    name: str
    modality: Modality
    dtype: str | None = None
    shape: tuple[int | str | None, ...] | None = None
    required: bool = True
    default: JsonValue = None
    nullable: bool = False
    description: str = ""
    encoding: str | None = None
    layout: Layout | None = None
    parameter: str | None = None
    rate_parameter: str | None = None
    hidden: bool = False
    labels: tuple[str, ...] = ()

    @property
    def own_name(self) -> str:
        """The model's own name for it.

        Examples
        --------
        >>> Parameter(name="Photo", modality=Modality.FILE, parameter="x").own_name
        'x'
        """
        return self.parameter or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The typed inputs and outputs of a version, in their order."""

    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()


# json stands for each modality: a list may become a tensor, {"base64": "…"} a file. bytes stand for
# text: who names a file of notes means what it says. The worker converts them and checks the rest.
_KINDS: dict[Modality, tuple[str, ...]] = {
    Modality.TENSOR: ("tensor", "json"),
    Modality.TEXT: ("text", "json", "bytes"),
    Modality.INTEGER: ("json", "tensor"),
    Modality.FLOAT: ("json", "tensor"),
    Modality.BOOLEAN: ("json", "tensor"),
    Modality.JSON: ("json", "text", "tensor"),
    Modality.FILE: ("bytes", "json"),
    # A tensor is a medium that is decoded already, in the layout that the model takes.
    Modality.IMAGE: ("bytes", "json", "tensor"),
    Modality.AUDIO: ("bytes", "json", "tensor"),
    Modality.VIDEO: ("bytes", "json", "tensor"),
}


def describe_parameter(parameter: Parameter) -> str:
    """Say in a few words what a parameter takes.

    Examples
    --------
    >>> describe_parameter(Parameter(name="x", modality=Modality.TENSOR, dtype="float32",
    ...                              shape=("batch", 64)))
    'float32[batch,64]'
    """
    if parameter.modality in MEDIA and parameter.encoding is not None:
        return f"{parameter.modality.value} ({parameter.encoding})"
    if parameter.modality is not Modality.TENSOR:
        return str(parameter.modality.value)
    dtype = parameter.dtype or "tensor"
    if parameter.shape is None:
        return dtype if parameter.dtype is None else f"{dtype}[…]"
    sizes = ",".join("?" if size is None else str(size) for size in parameter.shape)
    return f"{dtype}[{sizes}]"


def model_signature(signature: Signature) -> Signature:
    """Return what the model itself takes and gives, with its own names: media as tensors.

    Examples
    --------
    >>> image = Parameter(name="Photo", modality=Modality.IMAGE, layout=Layout(), parameter="x")
    >>> describe_parameter(model_signature(Signature(inputs=(image,))).inputs[0])
    'float32[1,3,?,?]'
    """
    return Signature(
        inputs=tuple(own for one in signature.inputs for own in model_parameters(one)),
        outputs=tuple(own for one in signature.outputs for own in model_parameters(one)),
    )


def model_parameters(parameter: Parameter) -> tuple[Parameter, ...]:
    """Return what one parameter is to the model: itself, or a tensor and maybe its rate."""
    name = parameter.own_name
    if parameter.layout is None:
        # What has no layout is a file to the model, whatever it is to a person.
        modality = Modality.FILE if parameter.modality in MEDIA else parameter.modality
        return (replace(parameter, name=name, parameter=None, modality=modality),)
    tensor = Parameter(
        name=name,
        modality=Modality.TENSOR,
        dtype=parameter.layout.dtype,
        shape=layout_shape(parameter.modality, parameter.layout),
        required=parameter.required,
        description=parameter.description,
    )
    if parameter.rate_parameter is None:
        return (tensor,)
    modality = Modality.INTEGER if parameter.modality is Modality.AUDIO else Modality.FLOAT
    rate = Parameter(name=parameter.rate_parameter, modality=modality, required=parameter.required)
    return tensor, rate


def layout_shape(modality: Modality, layout: Layout) -> tuple[int | None, ...]:
    """Return the shape of the tensor that a layout makes; None is a size that each file has.

    Examples
    --------
    >>> layout_shape(Modality.IMAGE, Layout(height=8, width=8, channels="L", flatten=True))
    (1, 64)
    """
    sizes: dict[str, int | None] = {"N": 1, "H": layout.height, "W": layout.width}
    if modality is not Modality.AUDIO:
        sizes["C"] = len(layout.channels)
    elif layout.mono:
        sizes["C"] = 1
    shape = [sizes.get(axis) for axis in layout.axes]
    if not layout.flatten:
        return tuple(shape)
    batch = shape[: layout.axes.startswith("N")]
    rest = [size for size in shape[len(batch) :] if size is not None]
    return (*batch, prod(rest) if len(rest) + len(batch) == len(shape) else None)


def check_inputs(signature: Signature, values: Mapping[str, Value]) -> None:
    """Check names, kinds, dtypes and shapes of the values for one call.

    Raises
    ------
    InputInvalid
        An input is unknown (with the nearest names), missing, or of another kind, dtype or shape.
    """
    known = {parameter.name: parameter for parameter in signature.inputs}
    for name, value in values.items():
        parameter = known.get(name)
        if parameter is None:
            raise _unknown_input(name, signature)
        _check_value(parameter, value)
    for parameter in signature.inputs:
        if parameter.required and parameter.name not in values:
            raise InputInvalid(
                f"Input {parameter.name!r} ({describe_parameter(parameter)}) is missing.",
                input=parameter.name,
                expected=describe_parameter(parameter),
            )


def _unknown_input(name: str, signature: Signature) -> InputInvalid:
    names = [parameter.name for parameter in signature.inputs]
    nearest = get_close_matches(name, names, n=3, cutoff=0.4)
    if nearest:
        hint = f"Did you mean {' or '.join(map(repr, nearest))}?"
    else:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        hint = f"The inputs are {shown}." if names else "The model takes no inputs."
    return InputInvalid(
        f"There is no input {name[:60]!r}. {hint}", input=name, nearest=nearest or names
    )


def _check_value(parameter: Parameter, value: Value) -> None:
    if value.kind not in _KINDS[parameter.modality]:
        raise _misfit(parameter, value, "")
    if value.kind != "tensor":
        return
    if parameter.modality in (Modality.INTEGER, Modality.FLOAT, Modality.BOOLEAN):
        if value.shape not in ((), (1,)):
            raise _misfit(parameter, value, " Send one number.")
        return
    if parameter.modality in MEDIA and parameter.layout is None:
        raise _misfit(parameter, value, " The model takes the file itself.")
    own = model_parameters(parameter)[0]
    if own.modality is not Modality.TENSOR:
        return
    if own.dtype is not None and own.dtype != value.dtype:
        raise _misfit(parameter, value, _conversion_hint(own.dtype, value.dtype or ""))
    if not _shape_fits(own.shape, value.shape or ()):
        raise _misfit(parameter, value, "")


def _conversion_hint(dtype: str, given: str) -> str:
    """Say how an array of another type becomes what is taken, without losing what it says."""
    if dtype == "string":
        return " Send an array of str."
    if given == "string":
        return f" Send numbers; .astype({dtype!r}) reads text that spells them."
    if given.startswith("complex") and not dtype.startswith("complex"):
        return (
            f" Send its real part or its magnitude, for example numpy.abs(array).astype({dtype!r})."
        )
    if given.startswith(("float", "bfloat")) and dtype.startswith(("int", "uint")):
        return f" Round it first, for example with .round().astype({dtype!r})."
    return f" Convert it, for example with .astype({dtype!r})."


def _shape_fits(wanted: tuple[int | str | None, ...] | None, given: tuple[int, ...]) -> bool:
    if wanted is None:
        return True
    if len(wanted) != len(given):
        return False
    return all(
        not isinstance(size, int) or size == actual
        for size, actual in zip(wanted, given, strict=True)
    )


def _misfit(parameter: Parameter, value: Value, hint: str) -> InputInvalid:
    expected, received = describe_parameter(parameter), describe_value(value)
    if parameter.layout is not None:
        expected += f", or decoded as {describe_parameter(model_parameters(parameter)[0])}"
    return InputInvalid(
        f"Input {parameter.name!r} takes {expected}, not {received}.{hint}",
        input=parameter.name,
        modality=parameter.modality.value,
        expected=expected,
        received=received,
    )
