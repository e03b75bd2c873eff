"""What an upload would be, told without a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from website import Page, open_website

from norman_jupyter import (
    BlockingNorman,
    BundleInvalid,
    ConfigurationInvalid,
    Inspection,
    NameInvalid,
    Norman,
    ServerNotFound,
)
from norman_jupyter.client.inspection import InspectedFile
from norman_protocol.decoding import dump_json, encode
from norman_protocol.media import Modality

PROGRAM = b"PK\x03\x04" + bytes(1000)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is to be found, let alone asked."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("NORMAN_URL", "http://127.0.0.1:9/")


def inspect(*arguments: Any, **keywords: Any) -> Inspection:
    with BlockingNorman() as client:
        return client.inspect(*arguments, **keywords)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "model.pt").write_bytes(PROGRAM)
    (folder / "README.md").write_text("Mirrors.")
    (folder / "norman.toml").write_text(
        'name = "mirror"\nversion_label = "first"\nuser_added_tags = ["demo"]\n'
        'short_description = "Mirrors."\nmodel_type = "Pytorch_jit"\n'
        '[[inputs]]\ndisplay_title = "Photo"\ndata_encoding = "png"\nparameter = "image"\n'
    )
    return folder


def test_a_folder_with_a_configuration_is_inspected(mirror: Path) -> None:
    found = inspect(mirror)
    assert (found.name, found.label, found.tags) == ("mirror", "first", ("demo",))
    assert (found.runtime, found.entry) == ("torchscript", "model.pt")
    assert [file.path for file in found.files] == ["README.md", "model.pt", "norman.toml"]
    assert found.files[1] == InspectedFile(path="model.pt", size_bytes=len(PROGRAM))
    assert found.size_bytes == sum(file.size_bytes for file in found.files)
    assert not found.is_described
    assert found.signature is not None
    (photo,) = found.signature.inputs
    assert (photo.name, photo.parameter, photo.modality) == ("Photo", "image", Modality.IMAGE)
    assert found.expected_memory_bytes == 250_000_000 + len(PROGRAM)


def test_both_clients_tell_the_same(mirror: Path) -> None:
    async def ask() -> Inspection:
        async with Norman() as client:
            return await client.inspect(mirror)

    assert asyncio.run(ask()) == inspect(mirror)


def test_keywords_and_configuration_count(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"name": "other", "version_label": "second"}))
    found = inspect(
        mirror,
        config=tmp_path / "c.json",
        label="third",
        inputs=[{"display_title": "Picture", "data_encoding": "jpeg"}],
    )
    assert (found.name, found.label) == ("other", "third")
    assert found.signature is not None
    assert [one.name for one in found.signature.inputs] == ["Picture"]


def test_a_dictionary_is_inspected(mirror: Path) -> None:
    said = {"name": "m", "assets": [{"asset_name": "weights", "data": mirror / "model.pt"}]}
    for found in (inspect(said), inspect(config=said)):
        assert (found.name, found.entry) == ("m", "weights.pt")
    assert inspect(said, name="n").name == "n"


def test_assets_of_a_file_lie_beside_it(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"name": "m", "assets": [{"asset_name": "weights", "data": "mirror/model.pt"}]}
    (tmp_path / "m.json").write_text(json.dumps(said))
    monkeypatch.chdir(mirror)
    assert inspect(config=tmp_path / "m.json").entry == "weights.pt"


def test_the_graph_of_an_onnx_file_is_described(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", 1, [1, 8, 8])
    answer = helper.make_tensor_value_info("y", 1, [1, 8, 8])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [answer])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    found = inspect(tmp_path / "m.onnx")
    assert found.is_described
    assert not found.needs_trust
    assert found.trust_findings == ()
    assert found.signature is not None
    assert found.signature.inputs[0].shape == (1, 8, 8)
    with pytest.raises(ConfigurationInvalid, match="image"):
        inspect(tmp_path / "m.onnx", inputs=[{"display_title": "image", "dtype": "float32"}])


def test_code_is_found_and_needs_trust(tmp_path: Path) -> None:
    for name in ("model.py", "helpers/net.py", "net.pkl", "fast.so", "labels.txt"):
        path = tmp_path / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def predict() -> int:\n    return 1\n")
    found = inspect(tmp_path / "m")
    assert found.needs_trust
    assert [one.path for one in found.trust_findings] == [
        "model.py",
        "fast.so",
        "helpers/net.py",
        "net.pkl",
    ]
    assert found.signature is None


def test_it_is_json(mirror: Path) -> None:
    document = json.loads(dump_json(encode(inspect(mirror))))
    assert document["signature"]["inputs"][0]["modality"] == "image"
    assert document["declaration"]["runtime"] == "torchscript"


def test_it_shows_itself_and_escapes(mirror: Path) -> None:
    (mirror / "<script>.txt").write_text("x")
    found = inspect(mirror, label="<b>bold</b>", inputs=[{"display_title": "<img src=x>"}])
    shown = found._repr_mimebundle_()
    assert "<script" not in shown["text/html"]
    assert "<img" not in shown["text/html"]
    assert "<b>bold" not in shown["text/html"]
    for text in (shown["text/plain"], shown["text/html"]):
        for part in ("mirror", "torchscript", "Nothing was sent", "model.pt", "about 250.0 MB"):
            assert part in text


def test_many_files_stay_a_short_card(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def predict() -> int:\n    return 1\n")
    for index in range(300):
        (tmp_path / f"part{index}.py").write_text("x = 1\n")
    shown = inspect(tmp_path)._repr_mimebundle_()
    assert len(shown["text/plain"].splitlines()) < 40
    assert "and 289 files more" in shown["text/plain"]


def test_what_cannot_be_uploaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="no file or folder"):
        inspect(tmp_path / "nothing")
    with pytest.raises(BundleInvalid, match="nothing to inspect"):
        inspect()
    with pytest.raises(ConfigurationInvalid, match="'name' in the configuration is missing"):
        inspect({"assets": [{"asset_name": "w", "data": PROGRAM}]})
    with pytest.raises(NameInvalid):
        inspect({"name": "a/b", "assets": [{"asset_name": "w", "data": PROGRAM}]})
    (tmp_path / "m.pt").write_bytes(PROGRAM)
    with pytest.raises(ConfigurationInvalid, match="upload_model"):
        inspect(tmp_path / "m.pt", config={"assets": [{"asset_name": "w", "data": b"x"}]})


def test_nothing_is_fetched_for_a_server_that_isnt_there() -> None:
    with open_website() as site:
        site.pages["/model.pt"] = Page(body=PROGRAM)
        said = {
            "name": "m",
            "assets": [{"asset_name": "weights", "data": f"{site.url}/model.pt"}],
        }
        with BlockingNorman() as client, pytest.raises(ServerNotFound):
            client.upload_model(said, trust=True)
        assert site.asked == []
        assert inspect(said).entry == "weights.pt"
