"""``norman invoke`` beside a real server: words and files in, files and pipes out."""

from __future__ import annotations

import json

import numpy as np

from norman_protocol.decoding import decode
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
