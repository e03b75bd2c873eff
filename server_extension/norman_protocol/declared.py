"""What a model says of itself, joined with what its configuration declares: one signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from typing import Final

from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.decoding import JsonValue, decode, dump_json
from norman_protocol.errors import ConfigurationInvalid, RequestInvalid
from norman_protocol.media import (
    MEDIA,
    Layout,
    Modality,
    check_layout,
    default_layout,
    encoding_named,
)
from norman_protocol.signature import (
    Parameter,
    Signature,
    describe_parameter,
    layout_shape,
    model_parameters,
)
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value

__all__ = ["check_declaration", "declared_defaults", "declared_signature"]

_SCALARS: Final = {
    Modality.INTEGER: "int64",
    Modality.FLOAT: "float32",
    Modality.BOOLEAN: "bool",
}
_FULL_RANGES: Final = {
    "uint8": (0.0, 255.0),
    "int8": (-128.0, 127.0),
    "uint16": (0.0, 65_535.0),
    "int16": (-32_768.0, 32_767.0),
    "int32": (-(2.0**31), 2.0**31 - 1),
}
_CHANNELS: Final = {1: "L", 3: "RGB", 4: "RGBA"}
_AXES: Final[dict[Modality, dict[int, tuple[str, ...]]]] = {
    Modality.IMAGE: {2: ("HW",), 3: ("CHW", "HWC"), 4: ("NCHW", "NHWC")},
    Modality.AUDIO: {1: ("T",), 2: ("CT",), 3: ("NCT",)},
    Modality.VIDEO: {3: ("THW",), 4: ("TCHW", "THWC"), 5: ("NTCHW", "NTHWC")},
}
_EXACT: Final = {Modality.IMAGE: "png", Modality.AUDIO: "wav", Modality.VIDEO: "mp4"}
_LAYOUT_FIELDS: Final = tuple(field.name for field in fields(Layout))


def check_declaration(declaration: Declaration) -> None:
    """Refuse a declaration that is wrong whatever the model is.

    Raises
    ------
    ConfigurationInvalid
        A title stands twice, an encoding is none of its modality, a layout contradicts itself…
    """
    for parameters, what in ((declaration.inputs, "input"), (declaration.outputs, "output")):
        _check_titles(parameters, what)
        for declared in parameters:
            modality = _modality(declared)
            _check_declared(declared, modality, what)
            if modality in MEDIA and declared.layout:
                check_layout(
                    modality, _layout_over(default_layout(modality), declared), declared.title
                )


def declared_signature(
    described: Signature, declaration: Declaration | None, *, positional: bool = False
) -> Signature:
    """Join what a model describes with what is declared.

    Parameters
    ----------
    described
        With the model's own names.
    positional
        Whether the model takes its inputs in an order and gives its outputs in one, so that what
        is declared under names that it doesn't know stands for its places.

    Raises
    ------
    ConfigurationInvalid
        The two contradict each other.

    Examples
    --------
    >>> described = Signature(inputs=(Parameter(name="x", modality=Modality.TENSOR,
    ...                                         dtype="uint8", shape=(1, None, None, 3)),))
    >>> photo = DeclaredParameter(title="Photo", parameter="x", encoding="png")
    >>> found = declared_signature(described, Declaration(inputs=(photo,))).inputs[0]
    >>> found.name, found.layout.axes, found.layout.high
    ('Photo', 'NHWC', 255.0)
    """
    if declaration is None:
        return described
    check_declaration(declaration)
    signature = Signature(
        inputs=tuple(_join(described.inputs, declaration.inputs, "input", positional)),
        outputs=tuple(_join(described.outputs, declaration.outputs, "output", positional)),
    )
    for parameters, what in ((signature.inputs, "input"), (signature.outputs, "output")):
        _check_joined(parameters, what)
    return signature


def declared_defaults(signature: Signature, declaration: Declaration) -> dict[str, Value]:
    """Return the declared defaults by the model's own names; its code knows those of its own.

    Parameters
    ----------
    signature
        As `declared_signature` joined it.
    """
    titles = {one.title for one in declaration.inputs if one.default is not None}
    return {
        one.own_name: Value(kind="json", buffer=dump_json(one.default))
        for one in signature.inputs
        if one.name in titles
    }


# --- which declared parameter is which of the model's -------------------------------------------


def _join(
    described: Sequence[Parameter],
    declared: Sequence[DeclaredParameter],
    what: str,
    positional: bool,
) -> Iterator[Parameter]:
    """Give the parameters in the model's order; what it doesn't describe at all is all declared."""
    if not described:
        for one in declared:
            yield _merge(None, one, one.parameter or one.title)
        return
    own = {parameter.name: parameter for parameter in described}
    names = _own_names(list(own), declared, what, positional)
    by_name = dict(zip(names, declared, strict=True))
    rates = {one.rate_parameter for one in declared}
    for one in declared:
        if one.rate_parameter is not None and one.rate_parameter not in own:
            raise _unknown(one.rate_parameter, one.title, list(own), what)
    for name, parameter in own.items():
        if name in by_name:
            yield _merge(parameter, by_name[name], name)
        elif name not in rates:
            yield parameter


def _own_names(
    own: Sequence[str], declared: Sequence[DeclaredParameter], what: str, positional: bool
) -> list[str]:
    wanted = [one.parameter or one.title for one in declared]
    if positional and not set(wanted) & set(own):
        if len(wanted) > len(own):
            raise ConfigurationInvalid(
                f"{len(wanted)} {what}s are declared, and the model has {len(own)}: "
                f"{', '.join(own)}.",
                field=declared[len(own)].title,
            )
        return list(own[: len(wanted)])
    for place, (name, one) in enumerate(zip(wanted, declared, strict=True)):
        if name not in own:
            raise _unknown(name, one.title, own, what)
        if name in wanted[:place]:
            raise ConfigurationInvalid(
                f"Two {what}s are declared for the model's {name[:60]!r}.", field=one.title
            )
    return wanted


def _unknown(name: str, title: str, own: Sequence[str], what: str) -> ConfigurationInvalid:
    nearest = get_close_matches(name, own, n=3, cutoff=0.4)
    hint = (
        f"Did you mean {' or '.join(map(repr, nearest))}?"
        if nearest
        else f"Its {what}s are {', '.join(own[:10])}{', …' if len(own) > 10 else ''}."
    )
    if what == "output" and [*own] == ["output"]:  # what a predict without annotation gives
        hint += (
            " A model.py names several by what predict is annotated to return: a TypedDict, "
            "a dataclass or a NamedTuple."
        )
    return ConfigurationInvalid(
        f"The model has no {what} {name[:60]!r}, which {title[:60]!r} is declared for. {hint}",
        field=title,
        nearest=nearest or list(own[:10]),
    )


# --- one parameter ------------------------------------------------------------------------------


def _merge(own: Parameter | None, declared: DeclaredParameter, name: str) -> Parameter:
    modality = _modality(declared) or (own.modality if own is not None else Modality.TENSOR)
    base = own or Parameter(name=name, modality=modality)
    merged = replace(
        base,
        name=declared.title,
        parameter=None if declared.title == name else name,
        modality=modality,
        dtype=declared.dtype or base.dtype,
        shape=base.shape if declared.shape is None else declared.shape,
        required=base.required and declared.default is None,
        default=base.default if declared.default is None else declared.default,
        description=declared.description or base.description,
        encoding=_encoding(declared, modality),
        hidden=declared.hidden,
        labels=declared.labels,
    )
    _check_agreement(own, merged, declared)
    if modality in MEDIA:
        return _with_layout(own, merged, declared)
    if own is not None and own.modality is Modality.TENSOR and modality in _SCALARS:
        dtype = declared.dtype or own.dtype or _SCALARS[modality]
        return replace(merged, modality=Modality.TENSOR, dtype=dtype, shape=merged.shape or ())
    return merged


def _with_layout(
    own: Parameter | None, merged: Parameter, declared: DeclaredParameter
) -> Parameter:
    """Say which tensor a medium is, unless the model takes the file itself."""
    takes_file = own is not None and own.modality is Modality.FILE
    if takes_file and not declared.layout and declared.rate_parameter is None:
        return replace(merged, dtype=None, shape=None)
    fitting = _fitting_layout(merged, flat=declared.layout.get("flatten") is True)
    layout = _layout_over(fitting, declared)
    check_layout(merged.modality, layout, declared.title)
    made = layout_shape(merged.modality, layout)
    wanted = merged.shape
    if wanted is not None and not _agree(made, wanted):
        raise ConfigurationInvalid(
            f"The layout of {declared.title!r} makes a tensor of shape {_write_shape(made)}, and "
            f"the model's is {_write_shape(wanted)}. Declare axes, height, width or flatten "
            "accordingly.",
            field=declared.title,
        )
    if merged.dtype is not None and merged.dtype != layout.dtype:
        raise ConfigurationInvalid(
            f"The layout of {declared.title!r} has dtype {layout.dtype}, and the model's is "
            f"{merged.dtype}.",
            field=declared.title,
        )
    return replace(
        merged, dtype=None, shape=None, layout=layout, rate_parameter=declared.rate_parameter
    )


def _fitting_layout(parameter: Parameter, *, flat: bool) -> Layout:
    """Return the modality's layout, with what the tensor's dtype and shape say of it."""
    layout = default_layout(parameter.modality)
    dtype = parameter.dtype or layout.dtype
    low, high = _FULL_RANGES.get(dtype, (layout.low, layout.high))
    layout = replace(layout, dtype=dtype, low=low, high=high)
    shape = parameter.shape
    if flat:
        batch = "N" if len(shape or ("batch", None)) == 2 else ""
        return replace(layout, axes=batch + layout.axes.removeprefix("N"))
    choices = _AXES[parameter.modality].get(len(shape or ()), ())
    if shape is None or not choices:
        return layout
    axes = next((one for one in choices if _channels_at(one, shape) in _CHANNELS), choices[0])
    sizes = {
        letter: size if isinstance(size, int) else None
        for letter, size in zip(axes, shape, strict=True)
    }
    if parameter.modality is Modality.AUDIO:
        return replace(layout, axes=axes, mono=axes == "T" or sizes.get("C") == 1)
    channels = _CHANNELS.get(sizes.get("C", 1) or 0, layout.channels)
    return replace(
        layout, axes=axes, channels=channels, height=sizes.get("H"), width=sizes.get("W")
    )


def _channels_at(axes: str, shape: Sequence[int | str | None]) -> int | str | None:
    return shape[axes.index("C")] if "C" in axes else None


def _layout_over(base: Layout, declared: DeclaredParameter) -> Layout:
    """Return a layout with what is declared of it."""
    given = declared.layout
    for key in given:
        if key not in _LAYOUT_FIELDS:
            nearest = get_close_matches(key, _LAYOUT_FIELDS, n=1, cutoff=0.4)
            hint = f"Did you mean {nearest[0]}?" if nearest else f"There are {_list_fields()}."
            raise ConfigurationInvalid(
                f"The layout of {declared.title!r} has no {key[:60]!r}. {hint}",
                field=declared.title,
                nearest=nearest,
            )
    if declared.dtype is not None and "dtype" not in given:
        given = {**given, "dtype": declared.dtype}
    dtype = given.get("dtype")
    ranges: Mapping[str, JsonValue] = {}
    if isinstance(dtype, str) and dtype != base.dtype and dtype in _FULL_RANGES:
        low, high = _FULL_RANGES[dtype]
        ranges = {"low": low, "high": high}
    known: dict[str, JsonValue] = {**asdict(base), "mean": list(base.mean), "std": list(base.std)}
    try:
        return decode(Layout, {**known, **ranges, **given})
    except RequestInvalid as error:
        raise ConfigurationInvalid(
            f"The layout of {declared.title!r}: {error.message}", field=declared.title
        ) from None


def _list_fields() -> str:
    return ", ".join(_LAYOUT_FIELDS)


def _modality(declared: DeclaredParameter) -> Modality | None:
    if declared.encoding is None:
        return declared.modality
    found = encoding_named(declared.encoding, declared.modality).modality
    # A container of video may hold nothing but sound: both words are said, and fit.
    return declared.modality or found


def _encoding(declared: DeclaredParameter, modality: Modality) -> str | None:
    """Return what files of it are; those of a medium without a word on it are the exact ones."""
    if modality not in MEDIA and modality is not Modality.TEXT:
        return None
    if declared.encoding is None:
        return _EXACT.get(modality)
    return encoding_named(declared.encoding, declared.modality).name


# --- contradictions -----------------------------------------------------------------------------


def _check_titles(declared: Sequence[DeclaredParameter], what: str) -> None:
    seen = set[str]()
    for one in declared:
        if not one.title.strip():
            raise ConfigurationInvalid(f"An {what} has no title. Give each one.", field="title")
        if one.title in seen:
            raise ConfigurationInvalid(
                f"Two {what}s are titled {one.title[:60]!r}. Give each a title of its own.",
                field=one.title,
            )
        seen.add(one.title)


def _check_declared(declared: DeclaredParameter, modality: Modality | None, what: str) -> None:
    fault = None
    if declared.layout and modality not in MEDIA:
        fault = "only images, sound and video have a layout: say its encoding, such as png"
    elif declared.rate_parameter is not None and modality not in (Modality.AUDIO, Modality.VIDEO):
        fault = "only sound and video have a rate"
    elif declared.dtype is not None and declared.dtype not in DTYPES:
        nearest = get_close_matches(declared.dtype, DTYPES, n=1, cutoff=0.4)
        fault = f"there is no dtype {declared.dtype[:40]!r}" + (
            f"; did you mean {nearest[0]}?" if nearest else ""
        )
    elif declared.hidden and declared.default is None and what == "input":
        fault = "a hidden input needs a default value"
    elif declared.default is not None and what == "output":
        fault = "an output has no default value"
    elif declared.default is not None and modality in MEDIA:
        fault = f"{modality.value if modality else 'it'} can't have a default value"
    if fault is not None:
        raise ConfigurationInvalid(f"{declared.title[:60]!r}: {fault}.", field=declared.title)


def _check_agreement(own: Parameter | None, merged: Parameter, declared: DeclaredParameter) -> None:
    """Refuse another modality, dtype or shape than the model's own."""
    if own is None or own.modality is merged.modality or own.modality is Modality.JSON:
        agrees = True
    elif merged.modality in MEDIA:
        agrees = own.modality in (Modality.TENSOR, Modality.FILE)
    else:
        agrees = merged.modality in _SCALARS and own.modality is Modality.TENSOR
    if own is not None and own.dtype is not None and merged.dtype != own.dtype:
        agrees = False
    if own is not None and own.shape is not None and not _agree(merged.shape or (), own.shape):
        agrees = False
    if own is not None and not agrees:
        said = describe_parameter(replace(merged, layout=None))
        raise ConfigurationInvalid(
            f"{declared.title[:60]!r} is declared as {said}, and the model's {own.name[:60]!r} is "
            f"{describe_parameter(own)}.",
            field=declared.title,
        )


def _check_joined(parameters: Sequence[Parameter], what: str) -> None:
    """Refuse a title that another parameter has, and a model's name that stands for two."""
    titles = [parameter.name for parameter in parameters]
    names = [own.name for one in parameters for own in model_parameters(one)]
    for found, word in ((titles, "titled"), (names, "declared for the model's")):
        twice = next((name for name in found if found.count(name) > 1), None)
        if twice is not None:
            raise ConfigurationInvalid(f"Two {what}s are {word} {twice[:60]!r}.", field=twice)


def _agree(made: Sequence[int | str | None], wanted: Sequence[int | str | None]) -> bool:
    return len(made) == len(wanted) and all(
        not isinstance(one, int) or not isinstance(other, int) or one == other
        for one, other in zip(made, wanted, strict=True)
    )


def _write_shape(shape: Sequence[int | str | None]) -> str:
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"
