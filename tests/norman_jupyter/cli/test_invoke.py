"""``norman invoke`` beside a real server: words and files in, files and pipes out."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image, ImageOps

from norman_protocol.decoding import decode
from norman_protocol.identifiers import new_id
from norman_protocol.rest import InvokeAnswer


def test_text_in_and_text_out(norman, upload):
    name = upload("echo")
    assert norman.succeed("invoke", name, "text=42") == "42\n"
    assert norman.succeed("invoke", f"{name}@1", "text=Wie spät?", "--timeout", "30") == (
        "Wie spät?\n"
    )
    (norman.folder / "notes.txt").write_text("from a file\n")
    assert norman.succeed("invoke", name, "text=@notes.txt") == "from a file\n"
    assert norman.succeed("invoke", name, "-", stdin=b'{"text": "@ann"}') == "@ann\n"


def test_bytes_travel_through_pipes_as_they_are(norman, upload):
    name = upload("copy")
    data = bytes(range(256)) * 100
    done = norman("invoke", name, "file=@-", stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")
    (norman.folder / "in.bin").write_bytes(data)
    assert norman.succeed("invoke", name, "file=in.bin", "-o", "out.bin") == ""
    assert (norman.folder / "out.bin").read_bytes() == data


def test_arrays_come_from_words_and_files(norman, upload):
    name = upload("reverse")
    assert norman.succeed("invoke", name, "x=[[1, 2], [3, 4]]") == "[[3, 4], [1, 2]]\n"
    array = np.arange(3, dtype=np.float32)
    np.save(norman.folder / "x.npy", array)
    norman.succeed("invoke", name, "x=@x.npy", "--output", "y.npy")
    written = np.load(norman.folder / "y.npy")
    np.testing.assert_array_equal(written, array[::-1])
    assert written.dtype == array.dtype


def test_several_outputs_are_one_document(norman, upload):
    name = upload("answer")
    outputs = json.loads(norman.succeed("invoke", name, "text=a", "times=2", "loud=true"))
    assert outputs["text"] == "AA"
    assert outputs["count"] == 2
    assert outputs["scores"] == {"dtype": "float32", "shape": [1, 2], "data": [[0.5, None]]}
    answer = json.loads(norman.succeed("invoke", name, "text=a", "--json"))
    assert decode(InvokeAnswer, answer, tolerant=True).reference == f"{name}@1"
    assert norman.succeed("invoke", name, "text=a", "-o", "text=-") == "a\n"


def test_wrong_inputs_are_told(norman, upload):
    name = upload("answer")
    assert "Did you mean 'text'" in norman.fail("invoke", name, "txet=a")
    line = norman.fail("invoke", name, "text=a", "times=two")
    assert "takes integer" in line
    assert "it is no JSON" in line
    assert "no KEY=VALUE" in norman.fail("invoke", name, "text", status=2)
    assert "Did you mean count?" in norman.fail("invoke", name, "text=a", "-o", "coutn=x", status=2)
    assert "number above zero" in norman.fail("invoke", name, "--timeout", "no", status=2)
    assert "nosuch" in norman.fail("invoke", "nosuch", "text=a")


MIRROR = """\
import numpy as np
from numpy.typing import NDArray


def predict(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image[..., ::-1]
"""
MIRROR_CONFIG = """\
[[inputs]]
display_title = "Photo"
data_encoding = "png"
parameters = [{ parameter_name = "image" }]

[[outputs]]
display_title = "Mirrored"
data_encoding = "png"
parameters = [{ parameter_name = "output" }]
"""


def test_a_picture_goes_through_a_pipe_and_comes_back_mirrored(norman):
    name = f"mirror-{new_id()[-12:]}"
    folder = norman.folder / "mirror"
    folder.mkdir()
    (folder / "model.py").write_text(MIRROR)
    (folder / "norman.toml").write_text(MIRROR_CONFIG)
    looked = json.loads(norman.succeed("upload", "mirror", "--dry-run", "--json"))
    assert [item["name"] for item in looked["signature"]["inputs"]] == ["Photo"]
    assert "Photo" in norman.succeed("upload", "mirror", "--dry-run")
    assert norman.succeed("upload", "mirror", "--trust", "--name", name) == f"{name}@1\n"

    picture = Image.fromarray(np.random.default_rng(4).integers(0, 256, (5, 7, 3), np.uint8))
    picture.save(norman.folder / "cat.png")
    mirrored = np.asarray(ImageOps.mirror(picture))

    piped = norman("invoke", name, "Photo=@-", stdin=(norman.folder / "cat.png").read_bytes())
    assert piped.returncode == 0, piped.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(piped.stdout))), mirrored)
    norman.succeed("invoke", name, "Photo=cat.png", "-o", "Mirrored=tac.png")
    np.testing.assert_array_equal(np.asarray(Image.open(norman.folder / "tac.png")), mirrored)
    answer = json.loads(norman.succeed("invoke", name, "Photo=cat.png", "--json"))
    assert answer["outputs"]["Mirrored"]["encoding"] == "png"
    assert "doesn't exist" in norman.fail("invoke", name, "Photo=cta.png")
    (norman.folder / "text.png").write_text("no picture")
    assert "Photo" in norman.fail("invoke", name, "Photo=text.png")


def test_a_project_says_what_holds_where_a_line_does_not(norman, upload, tmp_path):
    name = upload("echo")
    (norman.folder / "pyproject.toml").write_text(f'[tool.norman]\nmodel = "{name}"\n')
    assert norman.succeed("invoke", "text=hi") == "hi\n"
    assert "echoing hi" in norman.succeed("logs")
    assert "echo" in norman.succeed("invoke", name, "text=echo")
    (norman.folder / "pyproject.toml").write_text('[tool.norman]\nurl = "http://127.0.0.1:9/"\n')
    assert "127.0.0.1:9" in norman.fail("status")
    told = norman.fail("status", "--token-env", "PATH", status=2)
    assert "a token goes only to one that you named yourself" in told
    (norman.folder / "pyproject.toml").write_text("[tool.norman]\nmodle = 'x'\n")
    assert "Did you mean model" in norman.fail("models")
    assert norman.succeed("models", "--help")
