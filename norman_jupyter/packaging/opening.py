"""From what a caller names to what is published: files, and all that is said of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from norman_jupyter.packaging.configuration import (
    Configuration,
    Layer,
    join_layers,
    read_folder_layer,
    read_layer,
)
from norman_jupyter.packaging.folders import LocalBundle, default_name, open_bundle
from norman_protocol.errors import BundleInvalid, ConfigurationInvalid
from norman_protocol.references import parse_name

__all__ = ["Opened", "open_configured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is going to be published."""

    name: str
    bundle: LocalBundle
    configuration: Configuration


def open_configured(
    source: str | os.PathLike[str],
    *,
    config: Mapping[str, Any] | str | os.PathLike[str] | None,
    keywords: Mapping[str, Any],
    trusted: bool,
) -> Opened:
    """List the files at a path and read what is said of them.

    Parameters
    ----------
    source
        A file or a folder; a folder's ``norman.toml`` is read.
    config
        A configuration, or its file, that counts before ``norman.toml``, key by key.
    keywords
        Keys that count before both; those that are None are absent.

    Raises
    ------
    ConfigurationInvalid
        A configuration can't be followed; the message says which.
    BundleInvalid, TrustRequired
        As `norman_jupyter.packaging.folders.open_bundle`.
    NameInvalid
        The name can't be a model's.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise BundleInvalid(
            f"A path is uploaded (text or Path), not a {type(source).__qualname__}."
        )
    layers: list[Layer] = []
    folder_layer = _folder_layer(Path(source))
    if folder_layer is not None:
        layers.append(folder_layer)
    if config is not None:
        layers.append(read_layer(config))
    layers.append(Layer(place="the call", content=keywords))
    configuration = join_layers(layers)
    if configuration.assets:
        raise ConfigurationInvalid(
            "A path is uploaded as it is; 'assets' are for upload_model(configuration).",
            field="assets",
        )
    name = None if configuration.name is None else parse_name(configuration.name)
    bundle = open_bundle(source, trusted=trusted, declaration=configuration.declaration)
    if name is None:
        name = default_name(bundle.source)
    return Opened(name=name, bundle=bundle, configuration=configuration)


def _folder_layer(source: Path) -> Layer | None:
    try:
        folder = source.expanduser()
        if not folder.is_dir():
            return None
    except (OSError, RuntimeError, ValueError):
        return None  # what is wrong with the path, opening it says
    return read_folder_layer(folder)
