"""The files of a model that a dictionary gives one by one: fetched, named, made a bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from norman_bundle.sniffing import HEAD_BYTES, find_onnx_fault, find_torchscript_fault
from norman_bundle.trust import require_trust
from norman_jupyter.client.effects import Steps, work
from norman_jupyter.client.metering import Meter, OnProgress
from norman_jupyter.client.sources import (
    SourceFailed,
    copy_stream,
    copy_url,
    file_path,
    resolve_source,
)
from norman_jupyter.client.web import WebLimits, is_url, url_file_name
from norman_jupyter.packaging.configuration import (
    Asset,
    Configuration,
    Layer,
    join_layers,
    read_layer,
)
from norman_jupyter.packaging.folders import LocalBundle, LocalFile, list_file, tell_format
from norman_jupyter.packaging.opening import Opened
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid, ConfigurationInvalid
from norman_protocol.references import parse_name

__all__ = [
    "ASSET_LIMITS",
    "NamedModel",
    "collect_assets",
    "fetch_model",
    "read_model",
    "staging_folder",
]

ASSET_LIMITS: Final = WebLimits(size_bytes=64 << 30, total_s=4 * 3600.0)
"""Of a file of a model: larger, and slower, than what a call takes."""

_WEIGHTS: Final = ("weights", "model")
_BYTES: Final = (bytes, bytearray, memoryview)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model whose files a configuration names; none of them is here yet."""

    name: str
    configuration: Configuration


@contextlib.contextmanager
def staging_folder() -> Iterator[Path]:
    """Give a folder for what has no file of its own, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="norman-assets-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_model(
    config: Mapping[str, Any] | str | os.PathLike[str], keywords: Mapping[str, Any]
) -> NamedModel:
    """Read a configuration that names a model's files; blocks.

    Parameters
    ----------
    keywords
        Keys that count before the configuration's; those that are None are absent.

    Raises
    ------
    ConfigurationInvalid
        The configuration can't be followed.
    NameInvalid
        Its name can't be a model's.
    """
    layer = read_layer(config)
    said = join_layers([layer, Layer(place="the call", content=keywords)])
    if said.name is None:
        raise ConfigurationInvalid(f"'name' in {layer.place} is missing.", field="name")
    assets = tuple(_anchor(asset, layer.folder) for asset in said.assets)
    return NamedModel(
        name=parse_name(said.name), configuration=dataclasses.replace(said, assets=assets)
    )


def fetch_model(
    named: NamedModel, folder: Path, tell: OnProgress, *, trusted: bool
) -> Steps[Opened]:
    """Bring the files of a model together, as `collect_assets` does."""
    said = named.configuration
    bundle, declaration = yield from collect_assets(
        said.assets, said.declaration, folder, tell, trusted=trusted
    )
    said = dataclasses.replace(said, declaration=declaration)
    return Opened(name=named.name, bundle=bundle, configuration=said)


def _anchor(asset: Asset, folder: Path | None) -> Asset:
    """Take a path that a file of configuration names as relative to that file."""
    data = asset.data
    if folder is None or not isinstance(data, str) or asset.source not in (None, "File"):
        return asset
    if is_url(data):
        return asset
    return dataclasses.replace(asset, data=folder / file_path(data), source="File")


def collect_assets(
    assets: Sequence[Asset],
    declaration: Declaration | None,
    folder: Path,
    tell: OnProgress,
    *,
    trusted: bool,
) -> Steps[tuple[LocalBundle, Declaration | None]]:
    """Bring the assets of a model together.

    A file of this machine stays where it is; bytes, links and streams are written into a folder.
    An asset is called in the bundle as its name says, with the suffix of where it comes from where
    the name has none: ``weights`` from ``./model.pt`` is ``weights.pt``.

    Parameters
    ----------
    folder
        Takes files; it must stay until the bundle is uploaded.
    tell
        Is told of each link and stream, which may take long.

    Returns
    -------
    The bundle, and the declaration, which names the file of the weights where that isn't told by
    its suffix or by being the only one.

    Raises
    ------
    BundleInvalid
        An asset can't be had, two are called the same, or no format fits.
    TrustRequired
        Loading runs code, and that was not allowed.
    """
    if not assets:
        raise BundleInvalid(
            "There are no 'assets': a list of {'asset_name', 'data'}, such as "
            "{'asset_name': 'weights', 'data': './model.pt'}."
        )
    # How large they are shows when they are here.
    meter = Meter(tell=tell, stage="receiving", total_bytes=0, message="")
    files: dict[str, LocalFile] = {}
    titles: dict[str, str] = {}
    for index, asset in enumerate(assets):
        file = yield from _collect(asset, folder / str(index), meter)
        if file.path in files:
            raise BundleInvalid(
                f"The assets {titles[file.path]!r} and {asset.name!r} would both be the file "
                f"{file.path!r}. Rename one.",
                path=file.path,
            )
        files[file.path], titles[file.path] = file, asset.name
    listed = tuple(sorted(files.values(), key=lambda file: file.path))
    declaration = yield from work(partial(_name_weights, listed, declaration))
    found = yield from work(partial(tell_format, listed, declaration))
    require_trust(found, trusted=trusted, path=found.entry)
    return LocalBundle(source=folder, files=listed, format=found), declaration


def _collect(asset: Asset, place: Path, meter: Meter) -> Steps[LocalFile]:
    try:
        return (yield from _collect_from(asset, place, meter))
    except SourceFailed as error:
        raise BundleInvalid(f"Asset {asset.name!r}: {error}", path=asset.name) from error
    except OSError as error:
        raise BundleInvalid(
            f"Asset {asset.name!r} can't be kept in {str(place.parent)!r}: "
            f"{error.strerror or error}. Is the disk full? TMPDIR names another folder.",
            path=asset.name,
        ) from error


def _collect_from(asset: Asset, place: Path, meter: Meter) -> Steps[LocalFile]:
    data = asset.data
    source = resolve_source(data, asset.source)
    if source == "Primitive" and asset.source is None and isinstance(data, str):
        source = "File"  # a path that leads nowhere is a mistake, not the text of a file
    if source == "File" and not isinstance(data, _BYTES):
        path = file_path(data)
        return (yield from work(partial(list_file, _bundle_path(asset.name, path.name), path)))
    is_fetched = source in ("Link", "Stream")
    if is_fetched:
        meter.message = f"fetching the asset {asset.name}"
        meter.begin()
    with place.open("wb") as file:
        if source == "Link":
            yield from copy_url(data, file.write, ASSET_LIMITS)
        elif source == "Stream":
            yield from copy_stream(data, file.write, ASSET_LIMITS.size_bytes)
        else:
            yield from work(partial(_write, file, data, asset.name))
    if is_fetched:
        meter.add(place.stat().st_size)
    path_in_bundle = yield from work(
        partial(_path_of_content, asset.name, _origin_name(data, source), place)
    )
    return (yield from work(partial(list_file, path_in_bundle, place)))


def _write(file: BinaryIO, data: Any, name: str) -> None:
    if isinstance(data, str):
        data = data.encode()
    if not isinstance(data, _BYTES):
        raise BundleInvalid(
            f"Asset {name!r} is bytes, a path, a URL or an object with read(), not "
            f"{type(data).__qualname__}.",
            path=name,
        )
    file.write(data)


def _origin_name(data: Any, source: str) -> str:
    """Return what the data was called where it comes from, if that is known."""
    if source == "Link":
        return url_file_name(data) or ""
    name = getattr(data, "name", None)
    return Path(name).name if source == "Stream" and isinstance(name, str) else ""


def _bundle_path(name: str, origin: str) -> str:
    """Return an asset's path in the bundle.

    Examples
    --------
    >>> _bundle_path("weights", "model.pt"), _bundle_path("model.onnx", "x.bin")
    ('weights.pt', 'model.onnx')
    """
    suffix = PurePosixPath(origin).suffix
    return name if PurePosixPath(name).suffix or not suffix else f"{name}{suffix.lower()}"


def _path_of_content(name: str, origin: str, place: Path) -> str:
    path = _bundle_path(name, origin)
    if PurePosixPath(path).suffix:
        return path
    with place.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if find_torchscript_fault(head) is None:
        return f"{path}.pt"
    return f"{path}.onnx" if find_onnx_fault(head) is None else path


def _name_weights(
    files: Sequence[LocalFile], declaration: Declaration | None
) -> Declaration | None:
    """Name the TorchScript file of several assets, where their names say which it is.

    Logos and licences lie beside it; an ``.onnx`` or a ``model.py`` tells itself.
    """
    said = declaration or Declaration()
    if said.entry is not None or said.runtime not in (None, "torchscript"):
        return declaration
    if any(file.path.endswith(".onnx") or file.path == "model.py" for file in files):
        return declaration
    programs = [file.path for file in files if _is_program(file.source)]
    named = [path for path in programs if PurePosixPath(path).stem.lower() in _WEIGHTS]
    chosen = programs if len(programs) == 1 else named
    if len(chosen) != 1:
        return declaration
    return dataclasses.replace(said, runtime="torchscript", entry=chosen[0])


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return find_torchscript_fault(file.read(HEAD_BYTES)) is None
