"""What a configuration says of a model: the Norman SDK's dictionary, norman.toml, keywords."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from norman_bundle.formats import RUNTIMES
from norman_jupyter.packaging.parameters import read_parameters
from norman_jupyter.packaging.tables import Table
from norman_protocol.declaration import Declaration
from norman_protocol.declared import check_declaration
from norman_protocol.decoding import parse_json
from norman_protocol.errors import ConfigurationInvalid, RequestInvalid

__all__ = [
    "ASSET_KEYS",
    "CONFIGURATION_FILE",
    "MODEL_KEYS",
    "OUTPUT_FORMATS",
    "SOURCES",
    "Asset",
    "Configuration",
    "Layer",
    "join_layers",
    "read_configuration",
    "read_folder_layer",
    "read_layer",
    "upload_keywords",
]

CONFIGURATION_FILE: Final = "norman.toml"
"""In a model's folder: what its upload says of it. It is one of the files of the version."""

SOURCES: Final = ("File", "Link", "Primitive", "Stream")
OUTPUT_FORMATS: Final = ("Binary", "Json", "Text")

MODEL_KEYS: Final = (
    "name",
    "version_label",
    "model_class",
    "short_description",
    "long_description",
    "assets",
    "inputs",
    "outputs",
    "model_type",
    "output_format",
    "hosting_location",
    "url",
    "request_type",
    "http_headers",
    "user_added_tags",
    "runtime",
    "entry",
)
ASSET_KEYS: Final = ("asset_name", "data", "source")
_MODEL_TYPES: Final = {"Pytorch_jit": "torchscript", "Transformer_hf": None, "Api": None}
_MEANWHILE: Final = {
    "Transformer_hf": "Write a model.py that loads it (a class Model with load and predict), and "
    "upload the folder with trust=True.",
    "Api": "Write a model.py that calls it (a plain function predict), and upload the folder with "
    "trust=True.",
}
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of a model as a dictionary gives it.

    Attributes
    ----------
    name
        What it is called; its path in the bundle is made of it.
    data
        Its bytes, or where they are.
    source
        How to read ``data``, one of `SOURCES`; None where that is to be told from it.
    """

    name: str
    data: Any
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What was said of a model; None or empty where nothing was."""

    name: str | None = None
    label: str | None = None
    description: str | None = None
    long_description: str | None = None
    tags: tuple[str, ...] = ()
    assets: tuple[Asset, ...] = ()
    declaration: Declaration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A dictionary of a configuration, and where it was written.

    ``folder`` is that of its file, which the paths of its assets are relative to; None for a
    dictionary, whose paths are relative to the current folder.
    """

    place: str
    content: Mapping[str, Any]
    folder: Path | None = None


def read_layer(source: Mapping[str, Any] | str | os.PathLike[str]) -> Layer:
    """Return a configuration that was given: itself, or the TOML or JSON of a file.

    Raises
    ------
    ConfigurationInvalid
        It is no dictionary, or its file can't be read.
    """
    if isinstance(source, Mapping):
        return Layer(place="the configuration", content=source)
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigurationInvalid(
            "A configuration is a dictionary or the path of a .toml or .json file, not "
            f"{type(source).__qualname__}.",
            field="config",
        )
    path = Path(source).expanduser()
    return Layer(place=path.name, content=_read_file(path), folder=path.parent)


def read_folder_layer(folder: Path) -> Layer | None:
    """Return the configuration that lies in a model's folder; None where none does.

    Raises
    ------
    ConfigurationInvalid
        It can't be read, or names assets: those are the folder's files.
    """
    path = folder / CONFIGURATION_FILE
    if not os.path.lexists(path):
        return None
    content = _read_file(path)
    if "assets" in content:
        raise ConfigurationInvalid(
            f"{CONFIGURATION_FILE} has no 'assets': a model's files are those of its folder.",
            field="assets",
        )
    return Layer(place=CONFIGURATION_FILE, content=content)


def upload_keywords(
    *,
    name: str | None = None,
    label: str | None = None,
    description: str | None = None,
    long_description: str | None = None,
    tags: Iterable[str] = (),
    inputs: Sequence[Mapping[str, Any]] | None = None,
    outputs: Sequence[Mapping[str, Any]] | None = None,
    runtime: str | None = None,
    entry: str | None = None,
    output_format: str | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments of an upload under the keys of a configuration.

    Examples
    --------
    >>> said = upload_keywords(label="first", tags="mine")
    >>> {key: value for key, value in said.items() if value is not None}
    {'version_label': 'first', 'user_added_tags': ['mine']}
    """
    listed = [tags] if isinstance(tags, str) else [*tags]
    return {
        "name": name,
        "version_label": label,
        "short_description": description,
        "long_description": long_description,
        "user_added_tags": listed or None,
        "inputs": inputs,
        "outputs": outputs,
        "runtime": runtime,
        "entry": entry,
        "output_format": output_format,
    }


def join_layers(layers: Iterable[Layer]) -> Configuration:
    """Join configurations, each key from the last that has it, and read what comes of it.

    Raises
    ------
    ConfigurationInvalid
        One of them, or what they say together, can't be followed.

    Examples
    --------
    >>> base = Layer(place="norman.toml", content={"name": "digits", "version_label": "first"})
    >>> over = Layer(place="the call", content={"version_label": "second"})
    >>> joined = join_layers([base, over])
    >>> joined.name, joined.label
    ('digits', 'second')
    """
    joined: dict[str, Any] = {}
    places: list[str] = []
    for layer in layers:
        read_configuration(layer)
        said = {key: value for key, value in layer.content.items() if value is not None}
        if "runtime" in said or "model_type" in said:  # two words for one thing
            joined.pop("runtime", None)
            joined.pop("model_type", None)
        joined.update(said)
        places.append(layer.place)
    found = read_configuration(Layer(place=" with ".join(places) or "nothing", content=joined))
    if found.declaration is not None:
        check_declaration(found.declaration)
    return found


def read_configuration(layer: Layer) -> Configuration:
    """Read one configuration.

    Raises
    ------
    ConfigurationInvalid
        A key or a value isn't known (the message names the nearest), has another type, or
        contradicts another.

    Examples
    --------
    >>> photo = {"display_title": "Photo", "data_encoding": "png", "receive_format": "File",
    ...          "parameters": [{"parameter_name": "image", "data_encoding": "png"}]}
    >>> found = read_configuration(Layer(place="it", content={"name": "m", "inputs": [photo]}))
    >>> found.declaration.inputs[0].title, found.declaration.inputs[0].parameter
    ('Photo', 'image')
    """
    table = Table(layer.content, layer.place, MODEL_KEYS)
    _refuse_remote(table)
    declaration = Declaration(
        runtime=_runtime(table),
        entry=_entry(table),
        inputs=read_parameters(table, "inputs"),
        outputs=read_parameters(table, "outputs"),
        output_format=_output_format(table),
    )
    return Configuration(
        name=table.text("name") or table.get("name"),  # an empty one is no name, not an absent one
        label=table.text("version_label"),
        description=table.text("short_description"),
        long_description=table.text("long_description"),
        tags=_tags(table),
        assets=_assets(table),
        declaration=declaration if declaration != Declaration() else None,
    )


def _read_file(path: Path) -> dict[str, Any]:
    shown = path.name
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _unreadable(shown, "is no regular file")
        if status.st_size > _MAX_FILE_BYTES:
            raise _unreadable(shown, f"is longer than {_MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(shown, f"can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise _unreadable(shown, "is no text in UTF-8") from None
    try:
        content = parse_json(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unreadable(shown, f"is no TOML: {error}") from error
    except RequestInvalid as error:
        raise _unreadable(shown, f"is no JSON: {error.message}") from error
    if not isinstance(content, dict):
        raise _unreadable(shown, "holds no object with keys")
    return content


def _unreadable(name: str, reason: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"The configuration {name!r} {reason.rstrip('.')}.", field=name)


def _refuse_remote(table: Table) -> None:
    """Refuse what only a model that runs elsewhere has; its keys may stand there empty."""
    location = table.choice("hosting_location", ("Internal", "External"))
    table.choice("request_type", ("Get", "Post", "Put", "Patch", "Delete"))
    for key in ("url", "http_headers"):
        if table.get(key):
            raise table.refuse(
                key,
                "is for models that run elsewhere (model_type 'Api'), which can't be uploaded "
                f"yet. {_MEANWHILE['Api'].rstrip('.')}, or take the key out",
            )
    if location == "External":
        raise table.refuse(
            "hosting_location",
            f"can't be 'External' yet: models run at this server. {_MEANWHILE['Api'].rstrip('.')}",
        )


def _runtime(table: Table) -> str | None:
    runtime = table.choice("runtime", RUNTIMES)
    model_type = table.choice("model_type", tuple(_MODEL_TYPES))
    if model_type is None:
        return runtime
    meant = _MODEL_TYPES[model_type]
    if meant is None:
        raise table.refuse(
            "model_type",
            f"can't be {model_type!r} yet: that comes later. {_MEANWHILE[model_type].rstrip('.')}",
        )
    if runtime not in (None, meant):
        raise table.refuse("model_type", f"means the runtime {meant}, and 'runtime' is {runtime}")
    return meant


def _entry(table: Table) -> str | None:
    entry = table.text("entry")
    if entry is None:
        return None
    parts = entry.split("/")
    if "\\" in entry or any(part in ("", ".", "..") for part in parts):
        raise table.refuse("entry", "is the path of a file in the model's folder, with '/'")
    return entry


def _output_format(table: Table) -> Any:
    found = table.choice("output_format", OUTPUT_FORMATS)
    return None if found is None else found.lower()


def _tags(table: Table) -> tuple[str, ...]:
    """Return the tags: texts or the SDK's ``{"name": …}``, and the model's class as one more."""
    found = [
        item
        if isinstance(item, str)
        else Table(item, f"user_added_tags[{index}] of {table.place}", ("name",)).needed_text(
            "name"
        )
        for index, item in enumerate(table.items("user_added_tags"))
    ]
    model_class = table.text("model_class")
    if model_class is not None:
        found.append(f"class:{model_class}")
    return tuple(dict.fromkeys(found))


def _assets(table: Table) -> tuple[Asset, ...]:
    assets: dict[str, Asset] = {}
    for entry in table.tables("assets", ASSET_KEYS):
        asset = Asset(
            name=entry.needed_text("asset_name"),
            data=entry.get("data"),
            source=entry.choice("source", SOURCES),
        )
        if asset.data is None:
            raise entry.refuse("data", "is missing: bytes, a path, a URL or an object with read()")
        if asset.name in assets:
            raise entry.refuse("asset_name", f"{asset.name!r} stands twice")
        assets[asset.name] = asset
    return tuple(assets.values())
