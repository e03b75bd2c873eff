"""Assets of a dictionary into a bundle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from stepping import finish
from website import Page, Website

from norman_jupyter.client.assets import collect_assets, staging_folder
from norman_jupyter.client.progress import Progress
from norman_jupyter.packaging.configuration import Asset
from norman_jupyter.packaging.folders import LocalBundle
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid, TrustRequired

PROGRAM = b"PK\x03\x04" + bytes(100)
"""Begins as what torch.jit.save writes."""

ONNX = b"\x08\x0a:\x00"
LOGO = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "staging"
    path.mkdir()
    return path


def collect(
    folder: Path, *assets: Asset, declaration: Declaration | None = None, trusted: bool = True
) -> tuple[LocalBundle, Declaration | None]:
    return finish(collect_assets(assets, declaration, folder, lambda _: None, trusted=trusted))


def contents(bundle: LocalBundle) -> dict[str, bytes]:
    return {file.path: file.source.read_bytes() for file in bundle.files}


def test_every_source_gives_its_bytes(folder: Path, tmp_path: Path, site: Website) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    site.pages["/labels.txt"] = Page(body=b"cat\ndog\n")
    bundle, declaration = collect(
        folder,
        Asset(name="weights", data=str(tmp_path / "model.onnx")),
        Asset(name="labels", data=f"{site.url}/labels.txt?v=2"),
        Asset(name="logo.png", data=LOGO),
        Asset(name="notes.txt", data="zwölf", source="Primitive"),
        Asset(name="licence", data=io.StringIO("free"), source="Stream"),
    )
    assert contents(bundle) == {
        "weights.onnx": ONNX,
        "labels.txt": b"cat\ndog\n",
        "logo.png": LOGO,
        "notes.txt": "zwölf".encode(),
        "licence": b"free",
    }
    assert [file.path for file in bundle.files] == sorted(contents(bundle))
    assert (bundle.format.runtime, bundle.format.entry) == ("onnx", "weights.onnx")
    assert declaration is None


def test_a_file_is_uploaded_from_where_it_lies(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    bundle, _ = collect(folder, Asset(name="weights", data=tmp_path / "model.onnx"))
    assert bundle.files[0].source == tmp_path / "model.onnx"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "data", "path"),
    [
        ("weights", PROGRAM, "weights.pt"),
        ("weights", ONNX, "weights.onnx"),
        ("weights.bin", PROGRAM, "weights.bin"),
    ],
)
def test_bytes_are_called_by_what_they_are(folder: Path, name: str, data: bytes, path: str) -> None:
    bundle, _ = collect(folder, Asset(name=name, data=data))
    assert bundle.files[0].path == path


def test_an_open_file_lends_its_suffix(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "net.PT").write_bytes(PROGRAM)
    with (tmp_path / "net.PT").open("rb") as stream:
        bundle, _ = collect(folder, Asset(name="weights", data=stream))
    assert bundle.files[0].path == "weights.pt"


def test_the_weights_are_found_beside_a_logo(folder: Path) -> None:
    assets = (Asset(name="Logo", data=LOGO), Asset(name="File", data=PROGRAM))
    bundle, declaration = collect(folder, *assets)
    assert declaration == Declaration(runtime="torchscript", entry="File.pt")
    assert bundle.format.entry == "File.pt"
    torchscript = Declaration(runtime="torchscript")
    assert collect(folder, *assets, declaration=torchscript)[1] == declaration


def test_of_several_programs_the_weights_are_the_model(folder: Path) -> None:
    assets = (Asset(name="Weights", data=PROGRAM), Asset(name="other", data=PROGRAM))
    assert collect(folder, *assets)[0].format.entry == "Weights.pt"
    chosen = Declaration(entry="other.pt")
    assert collect(folder, *assets, declaration=chosen)[0].format.entry == "other.pt"
    with pytest.raises(BundleInvalid, match="Several TorchScript files"):
        collect(folder, Asset(name="a", data=PROGRAM), Asset(name="b", data=PROGRAM))


def test_code_needs_trust(folder: Path) -> None:
    source = Asset(name="model.py", data=b"def predict() -> int:\n    return 1\n")
    assert collect(folder, source)[0].format.runtime == "python"
    with pytest.raises(TrustRequired, match=r"model\.py"):
        collect(folder, source, trusted=False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("./modle.onnx", "Did you mean 'model.onnx'"),
        (Path("missing/model.onnx"), "There is no file"),
        (Path(), "is a folder"),
        (3, "is bytes, a path, a URL"),
    ],
)
def test_an_asset_that_cannot_be_had_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, said: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(ONNX)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleInvalid, match=said):
        collect(folder, Asset(name="weights", data=data))


def test_a_broken_link_or_stream_names_the_asset(folder: Path, site: Website) -> None:
    class Broken:
        def read(self, size_bytes: int) -> bytes:
            raise OSError(f"no {size_bytes} bytes")

    with pytest.raises(BundleInvalid, match=r"Asset 'weights': There is nothing at .*status 404"):
        collect(folder, Asset(name="weights", data=f"{site.url}/model.pt"))
    with pytest.raises(BundleInvalid, match="Asset 'weights': its stream raised OSError"):
        collect(folder, Asset(name="weights", data=Broken()))
    with pytest.raises(BundleInvalid, match="Asset 'weights': source 'Link' takes"):
        collect(folder, Asset(name="weights", data="ftp://a/b", source="Link"))


def test_two_assets_of_one_path_are_refused(folder: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"'weights' and 'weights\.pt' would both be"):
        collect(folder, Asset(name="weights", data=PROGRAM), Asset(name="weights.pt", data=PROGRAM))


def test_no_assets_and_no_model_are_refused(folder: Path) -> None:
    with pytest.raises(BundleInvalid, match="no 'assets'"):
        collect(folder)
    with pytest.raises(BundleInvalid, match="No known model format"):
        collect(folder, Asset(name="logo.png", data=LOGO))


def test_what_takes_long_is_told(folder: Path, site: Website) -> None:
    site.pages["/model.pt"] = Page(body=PROGRAM)
    told: list[Progress] = []
    assets = (
        Asset(name="weights", data=f"{site.url}/model.pt"),
        Asset(name="logo.png", data=LOGO),
        Asset(name="notes", data=io.StringIO("x")),
    )
    finish(collect_assets(assets, None, folder, told.append, trusted=True))
    first, second = "fetching the asset weights", "fetching the asset notes"
    size_bytes = len(PROGRAM)
    assert [(one.message, one.done_bytes) for one in told] == [
        (first, 0),
        (first, size_bytes),
        (second, size_bytes),
        (second, size_bytes + 1),
    ]
    assert {(one.stage, one.total_bytes) for one in told} == {("receiving", 0)}


def test_the_staging_folder_goes() -> None:
    with staging_folder() as folder:
        (folder / "a").write_bytes(b"x")
    assert not folder.exists()
