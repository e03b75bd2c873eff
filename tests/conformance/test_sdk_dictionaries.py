"""The Norman SDK's dictionaries, end to end: both drivers, both ways, on a real server."""

from __future__ import annotations

import asyncio
import io
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import RunningServer
from website import Page, Website, open_website

from norman_jupyter import (
    BlockingNorman,
    BundleInvalid,
    InputInvalid,
    LoadFailed,
    Norman,
    OutputInvalid,
    TrustRequired,
    WebLimits,
)

COMBINATIONS = [
    pytest.param((transport, driver), id=f"{transport}-{driver}")
    for transport in ("local", "rest")
    for driver in ("blocking", "asyncio")
]


class Client:
    """Either client, called as the blocking one; streams of either are lists of pieces."""

    def __init__(self, driver: str, **arguments: Any) -> None:
        self._runner = asyncio.Runner() if driver == "asyncio" else None
        self._client: Any = (
            BlockingNorman(**arguments) if self._runner is None else Norman(**arguments)
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        if self._runner is None:
            return method
        runner = self._runner
        return lambda *args, **kwargs: runner.run(method(*args, **kwargs))

    def drain(self, stream: Any) -> list[bytes]:
        async def collect() -> list[bytes]:
            return [piece async for piece in stream]

        return list(stream) if self._runner is None else self._runner.run(collect())

    def close(self) -> None:
        if self._runner is None:
            self._client.close()
        else:
            self._runner.run(self._client.close())
            self._runner.close()


@pytest.fixture(params=COMBINATIONS)
def norman(
    request: pytest.FixtureRequest,
    norman_server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Client]:
    transport, driver = request.param
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(norman_server.root / "runtime"))
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    arguments: dict[str, Any] = {"transport": transport}
    if transport == "rest":
        arguments |= {"url": norman_server.url, "token": norman_server.token}
    client = Client(driver, **arguments, web_limits=WebLimits(size_bytes=1 << 20, redirects=3))
    yield client
    client.close()


@pytest.fixture
def site() -> Iterator[Website]:
    with open_website() as site:
        yield site


@pytest.fixture(scope="session")
def echo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdk") / "sdk-echo"
    folder.mkdir()
    (folder / "model.py").write_text(
        textwrap.dedent(
            """
            from typing import TypedDict
            import numpy as np

            class Echo(TypedDict, total=False):
                file: bytes
                text: str
                count: int
                share: float
                tensor: np.ndarray

            def predict(
                file: bytes | None = None, text: str | None = None, count: int | None = None,
                share: float | None = None, tensor: np.ndarray | None = None,
            ) -> Echo:
                given = {
                    "file": file, "text": text, "count": count, "share": share, "tensor": tensor
                }
                return {name: value for name, value in given.items() if value is not None}
            """
        )
    )
    (folder / "norman.toml").write_text(
        textwrap.dedent(
            """
            version_label = "as configured"
            output_format = "Binary"

            [[inputs]]
            display_title = "A File"
            parameter = "file"

            [[inputs]]
            display_title = "The Text"
            data_encoding = "utf8"
            receive_format = "Primitive"
            parameters = [{ parameter_name = "text", data_encoding = "utf8" }]

            [[outputs]]
            display_title = "Same File"
            parameter = "file"
            """
        )
    )
    return folder


@pytest.fixture
def echo(norman: Client, echo_folder: Path) -> str:
    """The same files again are the same version."""
    norman.upload(echo_folder, trust=True)
    return "sdk-echo"


def call(model: str, **data: Any) -> dict[str, Any]:
    titles = {"file": "A File", "text": "The Text"}
    inputs = [{"display_title": titles.get(name, name), "data": one} for name, one in data.items()]
    return {"model_name": model, "inputs": inputs}


def test_the_guides_image_reverser(norman: Client, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torchscripts import save

    (tmp_path / "model.pt").write_bytes(save("mirror"))
    signature = {"data_encoding": "png", "receive_format": "File"}
    version = norman.upload_model(
        {
            "name": "image_reverser_model",
            "version_label": "beta",
            "short_description": "A simple model that mirrors images.",
            "long_description": "Demonstrates image reversal for onboarding.",
            "assets": [{"asset_name": "weights", "data": str(tmp_path / "model.pt")}],
            "inputs": [
                {
                    "display_title": "Input Image",
                    **signature,
                    "parameters": [{"parameter_name": "image", "data_encoding": "png"}],
                }
            ],
            "outputs": [
                {
                    "display_title": "Output Image",
                    **signature,
                    "parameters": [{"parameter_name": "mirror_image", "data_encoding": "png"}],
                }
            ],
        }
    )
    assert (version.name, version.label, version.runtime) == (
        "image_reverser_model",
        "beta",
        "torchscript",
    )
    pixels = np.random.default_rng(7).integers(0, 256, (24, 37, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    for data in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        io.BytesIO((tmp_path / "photo.png").read_bytes()),
        (tmp_path / "photo.png").read_bytes(),
        pixels,
    ):
        response = norman.invoke(
            {
                "model_name": "image_reverser_model",
                "inputs": [{"display_title": "Input Image", "data": data}],
            }
        )
        assert list(response) == ["Output Image"]
        assert isinstance(response["Output Image"], bytes)
        mirrored = Image.open(io.BytesIO(response["Output Image"]))
        assert mirrored.format == "PNG"
        np.testing.assert_array_equal(np.asarray(mirrored), pixels[:, ::-1])


def test_every_source_and_every_output(
    norman: Client, echo: str, tmp_path: Path, site: Website
) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0from a file")
    site.pages["/a.bin"] = Page(body=b"\0from a link")
    for data, expected in (
        (tmp_path / "a.bin", b"\0from a file"),
        (f"{site.url}/a.bin", b"\0from a link"),
        (io.BytesIO(b"\0from a stream"), b"\0from a stream"),
        (b"\0itself", b"\0itself"),
    ):
        assert norman.invoke(call(echo, file=data)) == {"Same File": expected}
    response = norman.invoke(
        call(echo, text="zwölf", count=7, share=0.5, tensor=np.ones((2, 1), np.int64))
    )
    assert response["text"] == "zwölf".encode()
    assert (response["count"], response["share"]) == (b"7", b"0.5")
    array = np.load(io.BytesIO(response["tensor"]), allow_pickle=False)
    assert array.tolist() == [[1], [1]]
    again = norman.invoke(
        call(echo, count=response["count"], tensor=io.BytesIO(response["tensor"]))
    )
    assert again == {"count": response["count"], "tensor": response["tensor"]}


def test_a_text_of_an_existing_path_is_its_file_unless_said(
    norman: Client, echo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("what is in it")
    monkeypatch.chdir(tmp_path)
    given = {"display_title": "The Text", "data": "notes.txt"}
    asked = {"model_name": f"{echo}@latest", "inputs": [given]}
    assert norman.invoke(asked) == {"text": b"what is in it"}
    given["source"] = "Primitive"
    assert norman.invoke(asked) == {"text": b"notes.txt"}


def test_outputs_come_as_streams_where_asked(norman: Client, echo: str) -> None:
    data = bytes(range(256)) * 3000
    asked = call(echo, file=data, text="t")
    asked["outputs"] = [
        {"display_title": "Same File", "consume_mode": "stream"},
        {"display_title": "text", "consume_mode": "bytes"},
    ]
    response = norman.invoke(asked)
    pieces = norman.drain(response["Same File"])
    assert len(pieces) > 1
    assert b"".join(pieces) == data
    assert response["text"] == b"t"


def test_json_is_how_tensors_come_by_default(norman: Client, echo_folder: Path) -> None:
    norman.upload(echo_folder, name="sdk-echo-json", trust=True, output_format="Json")
    response = norman.invoke(call("sdk-echo-json", tensor=[[1.5, 2.0]]))
    assert json.loads(response["tensor"]) == [[1.5, 2.0]]


def test_wrong_links_are_told_and_nothing_is_sent(norman: Client, echo: str, site: Website) -> None:
    site.pages["/loop"] = Page(status=302, headers={"Location": "/loop"})
    site.pages["/large"] = Page(body=bytes((1 << 20) + 1))
    before = norman.invocations(model=echo, limit=1).items
    for path, said in (
        ("/missing.png", "status 404"),
        ("/loop", "redirects more than 3 times"),
        ("/large", "larger than the 1048576 bytes"),
    ):
        with pytest.raises(InputInvalid, match=f"Input 'A File': .*{said}.*not sent") as caught:
            norman.invoke(call(echo, file=f"{site.url}{path}"))
        assert caught.value.input == "A File"
    assert norman.invocations(model=echo, limit=1).items == before


def test_a_stream_that_raises_midway_is_told_and_nothing_is_sent(norman: Client, echo: str) -> None:
    class Broken:
        def __init__(self) -> None:
            self.pieces = [b"abc", b"de"]

        def read(self, size_bytes: int) -> bytes:
            if not self.pieces:
                raise OSError(f"the cable, before {size_bytes} bytes more")
            return self.pieces.pop()

    before = norman.invocations(model=echo, limit=1).items
    with pytest.raises(InputInvalid, match=r"'A File': its stream raised OSError after 5 bytes"):
        norman.invoke(call(echo, file=Broken()))
    assert norman.invocations(model=echo, limit=1).items == before


def test_titles_that_the_model_lacks_name_the_nearest(
    norman: Client, echo: str, site: Website
) -> None:
    asked = call(echo, file=f"{site.url}/a.bin")
    asked["inputs"][0]["display_title"] = "A Flie"
    with pytest.raises(InputInvalid, match=r"no input 'A Flie'\. Did you mean 'A File'"):
        norman.invoke(asked)
    assert site.asked == []  # nothing is fetched for a call that can't be made
    asked = call(echo, text="t") | {"outputs": [{"display_title": "Same Flie"}]}
    with pytest.raises(OutputInvalid, match=r"no output 'Same Flie'\. Did you mean 'Same File'"):
        norman.invoke(asked)
    twice = call(echo, text="t")
    twice["inputs"] *= 2
    with pytest.raises(InputInvalid, match="Two inputs are called 'The Text'"):
        norman.invoke(twice)


def test_the_folders_configuration_is_part_of_the_version(
    norman: Client, echo_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = f"sdk-configured-{request.node.callspec.id}"
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in echo_folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    first = norman.upload(folder, name=name, trust=True)
    assert (first.number, first.label) == (1, "as configured")
    assert [one.name for one in first.signature.inputs][:2] == ["A File", "The Text"]
    assert first.declaration is not None
    assert first.declaration.output_format == "binary"
    again = norman.upload(folder, name=name, trust=True)
    assert (again.number, again.created) == (1, False)
    toml = folder / "norman.toml"
    toml.write_text(toml.read_text().replace("The Text", "Words"))
    changed = norman.upload(folder, name=name, trust=True)
    assert changed.number == 2
    by_keyword = norman.upload(
        folder, name=name, trust=True, inputs=[{"display_title": "Other", "parameter": "text"}]
    )
    assert by_keyword.number == 3
    assert "Other" in [one.name for one in by_keyword.signature.inputs]


def test_a_model_of_bytes_links_and_streams(
    norman: Client, site: Website, request: pytest.FixtureRequest
) -> None:
    site.pages["/words.txt"] = Page(body=b"one two")
    name = f"sdk-assets-{request.node.callspec.id}"
    source = "from pathlib import Path\ndef predict() -> str:\n    here = Path(__file__).parent\n"
    source += "    return (here / 'words.txt').read_text() + (here / 'more.txt').read_text()\n"
    said = {
        "name": name,
        "assets": [
            {"asset_name": "model.py", "data": source.encode()},
            {"asset_name": "words", "data": f"{site.url}/words.txt"},
            {"asset_name": "more.txt", "data": io.StringIO(" three")},
        ],
        "user_added_tags": [{"name": "demo"}],
        "model_class": "text",
    }
    with pytest.raises(TrustRequired):
        norman.upload_model(said)
    said["assets"][2]["data"] = io.StringIO(" three")
    version = norman.upload_model(said, trust=True, label="by hand")
    assert (version.tags, version.label) == (("demo", "class:text"), "by hand")
    assert [entry.path for entry in version.manifest.files] == ["model.py", "more.txt", "words.txt"]
    assert norman.invoke(name).value == "one two three"
    with pytest.raises(BundleInvalid, match="Asset 'words': There is nothing at"):
        norman.upload_model(
            {"name": name, "assets": [{"asset_name": "words", "data": f"{site.url}/x"}]}
        )


def test_a_declaration_that_the_model_contradicts_is_refused(
    norman: Client, echo_folder: Path
) -> None:
    with pytest.raises(LoadFailed, match=r"no input 'tex'.*Did you mean 'text'"):
        norman.upload(
            echo_folder,
            name="sdk-wrong",
            trust=True,
            inputs=[{"display_title": "The Text", "parameter": "tex"}],
        )


def test_coroutines_are_read_by_the_asyncio_client_alone(
    norman_server: RunningServer, echo_folder: Path
) -> None:
    class Stream:
        def __init__(self) -> None:
            self.pieces = [b"b", b"a"]

        async def read(self, size_bytes: int = -1) -> bytes:
            await asyncio.sleep(0)
            return self.pieces.pop()[:size_bytes] if self.pieces else b""

    async def ask() -> Any:
        async with Norman(norman_server.url, norman_server.token) as client:
            await client.upload(echo_folder, trust=True)
            return await client.invoke(call("sdk-echo", file=Stream()))

    assert asyncio.run(ask()) == {"Same File": b"ab"}
    with (
        BlockingNorman(norman_server.url, norman_server.token) as client,
        pytest.raises(InputInvalid, match=r"is a coroutine\. Call with await"),
    ):
        client.invoke(call("sdk-echo", file=Stream()))
