"""What may be loaded in this process, and that it leaves no trace there."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from norman_bundle.manifest import bundle_digest
from norman_jupyter import InputInvalid, LoadFailed, Media, NotReady, RuntimeMissing, TrustRequired
from norman_jupyter.client.loaded import LoadedModel
from norman_jupyter.client.loading import cache_folder, check_loadable
from norman_jupyter.packaging.onnx_session import open_session
from norman_jupyter.packaging.python_module import load_python
from norman_protocol.rest import FileEntry, Manifest, Origin, TrustRecord, VersionDetail
from norman_protocol.signature import Modality, Parameter, Signature

MANIFEST = Manifest(files=(FileEntry(path="model.py", digest="0" * 64, size_bytes=10),))
SIGNATURE = Signature(outputs=(Parameter(name="output", modality=Modality.JSON),))


def make_version(**changes: Any) -> VersionDetail:
    trust = TrustRecord(user="ann", trusted_at="now", bundle_digest=bundle_digest(MANIFEST))
    version = VersionDetail(
        id="v",
        reference="m@1",
        name="m",
        number=1,
        state="ready",
        active=True,
        label=None,
        description=None,
        tags=(),
        runtime="python",
        entry="model.py",
        interpreter=None,
        signature=SIGNATURE,
        manifest=MANIFEST,
        bundle_digest=bundle_digest(MANIFEST),
        size_bytes=10,
        load_s=None,
        created_at="now",
        created_by="ann",
        origin=Origin(),
        trust=trust,
        error=None,
    )
    return dataclasses.replace(version, **changes)


def test_trusted_code_may_be_loaded() -> None:
    assert check_loadable(make_version()) is SIGNATURE


@pytest.mark.parametrize(
    "trust", [None, TrustRecord(user="ann", trusted_at="now", bundle_digest="1" * 64)]
)
def test_code_that_nobody_trusted_is_refused(trust: TrustRecord | None) -> None:
    with pytest.raises(TrustRequired, match="--trust"):
        check_loadable(make_version(trust=trust))


def test_trust_in_other_files_than_these_is_none() -> None:
    other = Manifest(files=(dataclasses.replace(MANIFEST.files[0], digest="1" * 64),))
    with pytest.raises(TrustRequired):
        check_loadable(make_version(manifest=other))


def test_data_needs_no_trust() -> None:
    assert check_loadable(make_version(runtime="onnx", trust=None)) is SIGNATURE


def test_runtime_of_a_newer_server_is_missing_here() -> None:
    with pytest.raises(RuntimeMissing, match="'gguf'"):
        check_loadable(make_version(runtime="gguf"))


def test_version_that_never_loaded_is_not_ready() -> None:
    with pytest.raises(NotReady, match="m@1 is failed"):
        check_loadable(make_version(signature=None, state="failed"))


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_cache_is_in_the_home_unless_a_folder_is_named(monkeypatch, tmp_path, named: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_folder(make_version()).parent == tmp_path / ".cache" / "norman" / "bundles"


def test_onnxruntime_that_is_missing_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissing, match="pip install onnxruntime") as caught:
        open_session(tmp_path / "m.onnx", SIGNATURE, "m@1")
    assert caught.value.package == "onnxruntime"


def test_graph_of_elements_that_numpy_lacks_is_left_to_the_server(tmp_path) -> None:
    parameter = Parameter(name="x", modality=Modality.TENSOR, dtype="bfloat16")
    with pytest.raises(LoadFailed, match="a tensor of bfloat16"):
        open_session(tmp_path / "m.onnx", Signature(inputs=(parameter,)), "m@1")


def test_file_that_is_no_graph_fails_to_load(tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x0a:\x00")
    with pytest.raises(LoadFailed, match=r"can't open m\.onnx"):
        open_session(tmp_path / "m.onnx", Signature(), "m@1")


def write(folder: Path, **sources: str) -> Path:
    folder.mkdir()
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return folder


def test_models_with_modules_of_one_name_see_their_own(tmp_path) -> None:
    source = "import part\ndef predict() -> int:\n    import later\n    return part.N + later.N\n"
    models = [
        load_python(
            write(tmp_path / f"m{n}", model=source, part=f"N = {n}", later=f"N = {n}0"),
            "model.py",
            f"m@{n}",
        )
        for n in (1, 2)
    ]
    assert [model.predict({})["output"] for model in models] == [11, 22]
    assert [model.predict({})["output"] for model in reversed(models)] == [22, 11]


def test_notebooks_modules_stay_its_own(tmp_path) -> None:
    before = dict(sys.modules), list(sys.path)
    source = "import json, part\ndef predict() -> int:\n    return json.dumps(part.N)\n"
    folder = write(tmp_path / "m", model=source, part="N = 1", textwrap="raise OSError")
    model = load_python(folder, "model.py", "m@1")
    assert model.predict({}) == {"output": "1"}
    assert sys.modules["textwrap"] is textwrap
    assert "part" not in sys.modules
    assert "model" not in sys.modules
    assert sys.path == before[1]


def test_code_that_raises_leaves_no_trace(tmp_path) -> None:
    before = list(sys.path)
    folder = write(tmp_path / "m", model="import part\nraise KeyError('weights')", part="N = 1")
    with pytest.raises(LoadFailed, match="m@1 raised KeyError") as caught:
        load_python(folder, "model.py", "m@1")
    assert isinstance(caught.value.__cause__, KeyError)
    assert sys.path == before
    assert "part" not in sys.modules


def test_loaded_model_shows_what_it_takes_and_gives(tmp_path) -> None:
    model = LoadedModel("m@1", SIGNATURE, None, lambda given: {"output": 1})
    assert repr(model) == "<m@1 in this process: () → (output: json)>"
    assert model() == {"output": 1}


def test_loaded_model_takes_and_gives_pictures_as_the_service_does() -> None:
    photo = Parameter(name="photo", modality=Modality.IMAGE, encoding="png")
    signature = Signature(inputs=(photo,), outputs=(photo,))
    model = LoadedModel("m@1", signature, None, lambda given: {"photo": given["photo"]})
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for given in (pixels, Image.fromarray(pixels)):
        answer = model(photo=given)["photo"]
        assert isinstance(answer, Media)
        assert np.array_equal(answer.array(), pixels)
    assert model(photo=answer)["photo"] == answer
    with pytest.raises(InputInvalid, match="takes the file itself"):
        model(photo=pixels.astype(np.float32))
