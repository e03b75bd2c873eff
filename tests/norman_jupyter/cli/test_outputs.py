"""Outputs of a call: in a pipe as they are, in files whole, on a terminal never as bytes."""

from __future__ import annotations

import io
import json
import os
import stat
import threading

import numpy as np
import pytest

from norman_jupyter.cli.outputs import deliver, read_targets
from norman_jupyter.cli.terminal import OutputFailed, Terminal
from norman_jupyter.client.results import InvokeResult
from norman_protocol.errors import RequestInvalid


class Stream(io.TextIOWrapper):
    """A pipe, or a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def written(self) -> bytes:
        return self.buffer.getvalue()


def result_of(**outputs) -> InvokeResult:
    return InvokeResult(
        outputs=outputs, id="0123", version="m@1", latency_ms=1.5, timings={"model": 1.0}
    )


def give(result: InvokeResult, *targets: str, is_terminal: bool = False, as_json: bool = False):
    out, err = Stream(is_terminal=is_terminal), Stream(is_terminal=is_terminal)
    terminal = Terminal(
        stdin=Stream(is_terminal=is_terminal), stdout=out, stderr=err, environ={"TERM": "xterm"}
    )
    deliver(result, read_targets(targets, None), terminal, as_json=as_json)
    return out.written, err.written.decode()


@pytest.mark.parametrize(
    ("output", "written"),
    [
        (b"\x89PNG\x00\xff", b"\x89PNG\x00\xff"),
        ("hello", b"hello\n"),
        ("hello\n", b"hello\n"),
        ("\x1b[31mred", b"\x1b[31mred\n"),
        (3, b"3\n"),
        (None, b"null\n"),
        ({"a": ["ü"]}, '{"a": ["ü"]}\n'.encode()),
        (np.array([[1, 2]], np.int8), b"[[1, 2]]\n"),
        (np.array([0.5, np.inf], np.float32), b"[0.5, null]\n"),
        (np.float64(2.5), b"2.5\n"),
    ],
)
def test_a_single_output_goes_down_a_pipe_as_it_is(output, written):
    assert give(result_of(y=output)) == (written, "")


def test_several_outputs_go_down_a_pipe_as_json():
    out, _ = give(result_of(label="seven", raw=b"\x00", scores=np.array([0.5])))
    assert json.loads(out) == {
        "label": "seven",
        "raw": {"base64": "AA==", "file_name": None},
        "scores": {"dtype": "float64", "shape": [1], "data": [0.5]},
    }


def test_no_outputs_are_nothing():
    assert give(result_of()) == (b"", "")


def test_outputs_go_to_files_and_the_rest_where_it_would_go(tmp_path):
    result = result_of(raw=b"\x00\xff", text="hi", x=np.array([[1.5]]), y=np.array([2]))
    out, err = give(
        result,
        f"raw={tmp_path}/raw.bin",
        f"x={tmp_path}/x.npy",
        f"y={tmp_path}/y=1.json",
    )
    assert (out, err) == (b"hi\n", "")
    assert (tmp_path / "raw.bin").read_bytes() == b"\x00\xff"
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [[1.5]])
    assert json.loads((tmp_path / "y=1.json").read_text()) == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.bin", "x.npy", "y=1.json"]


def test_the_only_output_needs_no_name(tmp_path):
    assert give(result_of(y="text"), f"{tmp_path}/y.txt") == (b"", "")
    assert (tmp_path / "y.txt").read_text() == "text"
    with pytest.raises(RequestInvalid, match="which output"):
        give(result_of(a=1, b=2), f"{tmp_path}/y.txt")


def test_standard_output_can_be_named():
    out, _ = give(result_of(a=b"\x00", b="rest"), "a=-")
    assert out == b"\x00"


def test_json_tells_what_went_to_files(tmp_path):
    out, _ = give(result_of(a=b"\x00", b=7), f"a={tmp_path}/a", as_json=True)
    document = json.loads(out)
    assert document["outputs"] == {"a": {"file": f"{tmp_path}/a", "size_bytes": 1}, "b": 7}
    assert document["id"] == "0123"


def test_a_file_keeps_its_mode_and_a_link_stays(tmp_path):
    (tmp_path / "real").write_bytes(b"before, and longer")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    give(result_of(a=b"after"), f"{tmp_path}/link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    give(result_of(a=b"new"), f"{tmp_path}/new")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    give(result_of(a=b"through"), str(pipe))
    reader.join(60)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputFailed, match="no array"):
        give(result_of(a=np.array(["text"], object)), f"{tmp_path}/a.npy")
    with pytest.raises(OutputFailed, match="can't be written"):
        give(result_of(a=b"x"), "/proc/no-such-file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (["a=x", "a=y"], "'a' is given two files"),
        (["x", "y"], "given two files"),
        (["a="], "needs a file"),
        (["a=/"], "is a folder"),
        (["a=/nosuch/x"], "there is no folder /nosuch"),
        (["a=-", "b=-"], "Only one output"),
        (["lable=x"], "Did you mean label?"),
        (["x"], "which output?"),
        (["n" * 300], "File name too long"),
        (["a=~nobody-of-this-name/x"], "Could not determine home"),
    ],
)
def test_wrong_targets_are_told_before_the_call(given, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestInvalid, match=part.replace("?", r"\?")):
        read_targets(given, ["label", "a", "b"])


def test_a_terminal_shows_a_text_whole_and_harmless():
    out, err = give(result_of(y=f"\x1b]0;title\x07{'long ' * 2000}end"), is_terminal=True)
    assert out.startswith(b"long long")
    assert out.endswith(b"end\n")
    assert "m@1 · 1.5 ms · id 0123" in err


def test_a_terminal_never_gets_bytes():
    out, err = give(result_of(raw=b"\x89PNG\r\n\x1a\n\x00\x9b"), is_terminal=True)
    assert not set(out) & {0x00, 0x1A, 0x1B}
    assert "--output raw=FILE" in err
    with pytest.raises(RequestInvalid, match="pipe it on"):
        give(result_of(raw=b"\x00"), "raw=-", is_terminal=True)


def test_a_terminal_shows_several_outputs_small():
    out, _ = give(result_of(a=np.zeros((100, 100)), b="hi"), is_terminal=True)
    assert b"100" in out
    assert b"id 0123" in out
    assert len(out) < 1000
