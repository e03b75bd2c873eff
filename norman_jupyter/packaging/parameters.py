"""Inputs and outputs as a configuration writes them, into what is declared of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, Literal

from norman_jupyter.packaging.tables import Table, choose
from norman_protocol.declaration import DeclaredParameter
from norman_protocol.decoding import JsonValue, decode, dump_json, parse_json
from norman_protocol.errors import ConfigurationInvalid, RequestInvalid
from norman_protocol.media import MEDIA, Encoding, Layout, Modality, encoding_named
from norman_protocol.tensors import DTYPES
from norman_protocol.values import MAX_NAME_CHARACTERS

__all__ = [
    "LAYOUT_KEYS",
    "PARAMETER_KEYS",
    "RECEIVE_FORMATS",
    "SIGNATURE_KEYS",
    "read_parameters",
]

RECEIVE_FORMATS: Final = ("File", "Link", "Primitive")

SIGNATURE_KEYS: Final = (
    "display_title",
    "data_modality",
    "data_domain",
    "data_encoding",
    "receive_format",
    "hidden",
    "default_value",
    "http_location",
    "parameters",
    "parameter",
    "rate_parameter",
    "layout",
    "labels",
    "dtype",
    "shape",
    "description",
)
"""Keys of an input or output: the Norman SDK's, then ours."""

PARAMETER_KEYS: Final = ("parameter_name", "data_encoding", "data_domain")
LAYOUT_KEYS: Final = tuple(field.name for field in fields(Layout))
_MODALITIES: Final = tuple(one.value for one in Modality)
_RATED: Final = (Modality.AUDIO, Modality.VIDEO)
_NUMBERS: Final = (Modality.INTEGER, Modality.FLOAT)
_WRITTEN_AS_TEXT: Final = (*_NUMBERS, Modality.BOOLEAN, Modality.JSON)


def read_parameters(
    configuration: Table, key: Literal["inputs", "outputs"]
) -> tuple[DeclaredParameter, ...]:
    """Read the inputs or the outputs of a configuration.

    Raises
    ------
    ConfigurationInvalid
        A key or value isn't known (with the nearest ones), two have one title, or what is said of
        one contradicts itself.
    """
    declared: dict[str, DeclaredParameter] = {}
    for table in configuration.tables(key, SIGNATURE_KEYS):
        one = _read_parameter(table, is_input=key == "inputs")
        if one.title in declared:
            raise ConfigurationInvalid(
                f"Two {key} are called {one.title!r}. Callers go by 'display_title': give each "
                "its own.",
                field=one.title,
            )
        declared[one.title] = one
    return tuple(declared.values())


def _read_parameter(table: Table, *, is_input: bool) -> DeclaredParameter:
    names, rate = _own_names(table)
    title = table.text("display_title") or names
    if title is None:
        raise table.refuse("display_title", "is missing: callers go by it")
    if len(title) > MAX_NAME_CHARACTERS:
        raise table.refuse("display_title", f"is longer than {MAX_NAME_CHARACTERS} characters")
    encoding, modality = _encoding(table)
    if rate is not None and modality not in _RATED:
        raise table.refuse(
            "parameters",
            f"names a rate ({rate!r}), which only sound and video have; {title!r} is "
            f"{modality.value if modality else 'neither'}",
        )
    _check_receive_format(table, modality)
    return DeclaredParameter(
        title=title,
        parameter=None if names == title else names,
        rate_parameter=rate,
        encoding=None if encoding is None else encoding.name,
        modality=modality if encoding is None else None,
        dtype=_dtype(table),
        shape=_shape(table),
        layout=_layout(table, modality),
        default=_default(table, modality),
        hidden=_hidden(table, is_input=is_input),
        description=table.text("description") or table.text("data_domain") or "",
        labels=table.texts("labels"),
    )


def _own_names(table: Table) -> tuple[str | None, str | None]:
    """Return the model's own name for the value, and for the rate that goes with it.

    The dictionary's first parameter is the value. A second one, of integer or float, is the rate
    of a sound or video: there is nothing else that two parameters of one file could be.
    """
    entries = table.tables("parameters", PARAMETER_KEYS)
    short, rate = table.text("parameter"), table.text("rate_parameter")
    if entries and (short or rate):
        raise table.refuse("parameters", "says the same as 'parameter' and 'rate_parameter'")
    if len(entries) > 2:
        raise table.refuse(
            "parameters", "has more than two entries: the value, and maybe the rate of a medium"
        )
    whole = _encoding(table)[1]
    for index, entry in enumerate(entries):
        _check_parameter_encoding(entry, whole, is_rate=index == 1)
    if entries:
        short = entries[0].needed_text("parameter_name")
    if len(entries) == 2:
        rate = entries[1].needed_text("parameter_name")
    if rate is not None and rate == short:
        raise table.refuse("parameters", f"names {rate!r} twice")
    return short, rate


def _check_parameter_encoding(entry: Table, whole: Modality | None, *, is_rate: bool) -> None:
    """Check what the model takes against the signature: a medium may be a tensor or its file."""
    entry.text("data_domain")
    name = entry.text("data_encoding")
    if name is None:
        return
    modality = _named(entry, name, None).modality
    if is_rate:
        if modality not in _NUMBERS:
            raise entry.refuse("data_encoding", f"is that of a rate: integer or float, not {name}")
        return
    allowed = {whole, Modality.TENSOR, Modality.FILE} if whole in MEDIA else {whole}
    if whole is not None and modality not in allowed:
        raise entry.refuse(
            "data_encoding",
            f"is {name}, which is {modality.value}, but the signature's is {whole.value}",
        )


def _encoding(table: Table) -> tuple[Encoding | None, Modality | None]:
    said = table.text("data_modality")
    modality = None
    if said is not None:
        value = choose(said, _MODALITIES, key="data_modality", place=table.place)
        modality = Modality(value)
    name = table.text("data_encoding")
    if name is None:
        return None, modality
    encoding = _named(table, name, modality)
    return encoding, encoding.modality


def _named(table: Table, name: str, modality: Modality | None) -> Encoding:
    try:
        return encoding_named(name, modality)
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(
            f"'data_encoding' in {table.place}: {error.message}",
            field="data_encoding",
            nearest=error.nearest,
        ) from None


def _check_receive_format(table: Table, modality: Modality | None) -> None:
    """Check how the model is said to receive a value; what isn't inline is bytes to us."""
    table.text("http_location")  # of models that run elsewhere: it says nothing here
    form = table.choice("receive_format", RECEIVE_FORMATS)
    if form == "Primitive" and modality in {*MEDIA, Modality.FILE}:
        raise table.refuse(
            "receive_format",
            f"can't be 'Primitive' for {modality.value if modality else 'a file'}: say 'File'",
        )


def _dtype(table: Table) -> str | None:
    if "dtype" not in table:
        return None
    return table.choice("dtype", [*DTYPES])


def _shape(table: Table) -> tuple[int | str | None, ...] | None:
    if "shape" not in table:
        return None
    return tuple(_size(table, size) for size in table.items("shape"))


def _size(table: Table, size: Any) -> int | str | None:
    """Read one size; TOML has no null, so that an open one without a name is written "?"."""
    if size is None or size == "?":
        return None
    if isinstance(size, str) and size.strip():
        return size
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    raise table.refuse(
        "shape", 'holds sizes: whole numbers, names such as "batch", or "?" for an open one'
    )


def _layout(table: Table, modality: Modality | None) -> dict[str, JsonValue]:
    if "layout" not in table:
        return {}
    if modality is not None and modality not in MEDIA:
        raise table.refuse(
            "layout", f"is the tensor that a file of a medium becomes; this is {modality.value}"
        )
    layout = Table(table.get("layout"), f"'layout' of {table.place}", LAYOUT_KEYS)
    said = {key: layout.get(key) for key in LAYOUT_KEYS if key in layout}
    plain = {key: [*value] if _is_list(value) else value for key, value in said.items()}
    for key in ("mean", "std"):  # one number is that of every channel
        if isinstance(plain.get(key), (int, float)) and not isinstance(plain[key], bool):
            plain[key] = [plain[key]]
    try:
        decode(Layout, plain)
    except RequestInvalid as error:
        raise table.refuse("layout", f"can't be read: {error.message.rstrip('.')}") from None
    return plain


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _default(table: Table, modality: Modality | None) -> JsonValue:
    """Read a default; a number that is written as text, as the SDK has it, becomes the number."""
    value = table.get("default_value")
    if value is None:
        return None
    try:
        if isinstance(value, str) and modality in _WRITTEN_AS_TEXT:
            return parse_json(value)
        return parse_json(dump_json(value))
    except RequestInvalid as error:
        reason = f"is no {modality.value} as JSON" if modality else "can't be written as JSON"
        raise table.refuse("default_value", f"{reason}: {error.message.rstrip('.')}") from None


def _hidden(table: Table, *, is_input: bool) -> bool:
    hidden = table.flag("hidden")
    if hidden and is_input and "default_value" not in table:
        raise table.refuse("hidden", "needs a 'default_value': nobody can give a hidden input")
    return hidden
