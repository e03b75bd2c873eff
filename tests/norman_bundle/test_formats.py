"""Which format a bundle has, told from names and heads; and what is refused, with what words."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from norman_bundle.formats import Format, describe_formats, detect_format
from norman_bundle.sniffing import HEAD_BYTES, find_onnx_fault, find_source_fault
from norman_protocol.declaration import Declaration
from norman_protocol.errors import BundleInvalid, ConfigurationInvalid

SOURCE = b"import json\n\n\ndef predict(x: float) -> float:\n    return x\n"


def make_onnx(weights: int = 12, **options: str) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weights])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.zeros((weights, 1), np.float32), "w")],
    )
    model = helper.make_model(graph, producer_name="norman tests", **options)
    return model.SerializeToString()


def reader(files: dict[str, bytes]) -> Callable[[str, int], bytes]:
    def read_head(path: str, limit_bytes: int) -> bytes:
        assert 0 < limit_bytes <= 4096, "the head that is read must stay bounded"
        return files[path][:limit_bytes]

    return read_head


def detect(files: dict[str, bytes]) -> Format:
    return detect_format(list(files), reader(files))


def test_folder_with_model_py_is_python_and_runs_code() -> None:
    found = detect({"model.py": SOURCE, "labels.txt": b"a"})
    assert found == Format(runtime="python", entry="model.py", runs_code=True)


@pytest.mark.parametrize("name", ["digits.onnx", "Digits.ONNX", "modèle 1.onnx"])
@pytest.mark.parametrize("weights", [12, 5000], ids=["within the head", "longer than the head"])
def test_the_one_onnx_file_is_the_entry_and_runs_no_code(name: str, weights: int) -> None:
    found = detect({name: make_onnx(weights), "weights.bin": b"\0" * 8})
    assert found == Format(runtime="onnx", entry=name, runs_code=False)


def test_model_py_wins_over_onnx_beside_it() -> None:
    assert detect({"model.py": SOURCE, "model.onnx": make_onnx()}).runtime == "python"


def test_model_onnx_wins_among_several() -> None:
    files = {"a.onnx": make_onnx(), "model.onnx": make_onnx(), "z.onnx": make_onnx()}
    assert detect(files).entry == "model.onnx"


def test_several_onnx_files_are_refused_by_name() -> None:
    with pytest.raises(BundleInvalid, match=r"'a\.onnx', 'z\.onnx'.*model\.onnx"):
        detect({"z.onnx": make_onnx(), "a.onnx": make_onnx()})


def test_hidden_onnx_files_are_no_models() -> None:
    assert detect({"._a.onnx": b"\0\5", "a.onnx": make_onnx()}).entry == "a.onnx"
    with pytest.raises(BundleInvalid, match="No known model format"):
        detect({".onnx": make_onnx()})


def test_no_files_are_refused() -> None:
    with pytest.raises(BundleInvalid) as caught:
        detect({})
    assert "no files" in caught.value.message
    assert describe_formats() in caught.value.message


def test_unknown_format_says_what_was_seen_and_what_is_known() -> None:
    files = {f"part{index}.pkl": b"x" for index in range(9)}
    with pytest.raises(BundleInvalid) as caught:
        detect(files)
    message = caught.value.message
    assert "'part0.pkl'" in message
    assert "'part4.pkl', and 4 more" in message
    assert describe_formats() in message


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("digits/model.py", "upload the folder 'digits' itself"),
        ("a/b/digits.onnx", "upload the folder 'a/b' itself"),
        ("Model.py", "must be spelt model.py"),
    ],
)
def test_near_miss_says_how_to_mend_it(path: str, hint: str) -> None:
    with pytest.raises(BundleInvalid, match=hint):
        detect({path: SOURCE})


def test_a_hostile_name_stays_short_and_quoted_in_the_message() -> None:
    with pytest.raises(BundleInvalid) as caught:
        detect({"x" * 900 + "\x1b[2J": b""})
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 400


def zip_bytes() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("data.pkl", b"x" * 100)
    return archive.getvalue()


LOOKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"not a model\n", "text"),
    "text of a date": (b"2024-01-01 to 2025-01-01\n" * 3, "text"),
    "long text": ("ü".encode() * 5000, "text"),
    "json": (b'{"ir_version": 8}', "JSON"),
    "html": (b"\n<!DOCTYPE html><html>404</html>", "HTML"),
    "zip": (zip_bytes(), "ZIP"),
    "pickle 2": (b"\x80\x02cbuiltins\neval\n(S'1'\ntR.", "pickle"),
    "pickle 4": (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.", "pickle"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0\0", "HDF5"),
    "safetensors": (b'\x40\0\0\0\0\0\0\0{"a":', "safetensors"),
    "ort": (b"\x20\0\0\0ORTM\0\0", "ORT format"),
    "tflite": (b"\x20\0\0\0TFL3\0\0", "TensorFlow Lite"),
    "zeros": (bytes(100), "zero bytes"),
    "tar": (b"a.onnx".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
}


@pytest.mark.parametrize(("content", "words"), LOOKS.values(), ids=LOOKS)
def test_onnx_file_that_is_something_else_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BundleInvalid) as caught:
        detect({"digits.onnx": content})
    assert words in caught.value.message
    assert caught.value.path == "digits.onnx"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x08\x0a:", "cut off"),
        (b"\x08\x0a:\x05abc", "cut off"),
        (b"\x08", "cut off"),
        (b"\x08\x0a", "no graph"),
        (b"\x08\0:\0", "IR version 0"),
        (b"\x08\xff\xff\xff\xff\x0f:\0", "IR version 4294967295"),
        (b"\x0a\x03abc", "doesn't begin"),
        (b"\x08\x0a\x3d\0\0\0\0", "doesn't begin"),
        (b"\x08\x0a\x0f\0\0\0\0", "doesn't begin"),
        (b"\x08\x0a\x02\x01", "doesn't begin"),
        (b"\x98\x06\x01:\0", "doesn't begin"),
        (b"\xff" * 40, "cut off"),
        (b"\x08" + b"\xff" * 40, "cut off"),
    ],
)
def test_malformed_protobuf_is_refused(content: bytes, words: str) -> None:
    fault = find_onnx_fault(content)
    assert fault is not None
    assert words in fault


def test_every_cut_of_a_small_model_up_to_the_end_of_its_graph_is_refused() -> None:
    content = make_onnx()
    assert find_onnx_fault(content) is None
    opset = onnx.load_model_from_string(content).opset_import[0].SerializeToString()
    graph_end = content.rindex(opset) - 2  # its tag and its length
    assert not [end for end in range(graph_end) if find_onnx_fault(content[:end]) is None]


def test_fields_of_a_newer_onnx_are_passed_over() -> None:
    future = bytes([30 << 3 & 0x7F | 0x80 | 2, (30 << 3) >> 7, 2]) + b"ab"
    assert find_onnx_fault(make_onnx() + future) is None


def test_models_with_every_optional_field_are_accepted() -> None:
    model = onnx.load_model_from_string(make_onnx(doc_string="what it does", domain="org.example"))
    model.producer_version = "1"
    model.model_version = 7
    helper.set_model_props(model, {"author": "somebody"})
    assert find_onnx_fault(model.SerializeToString()) is None


SOURCES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty file"),
    "nul": (b"x = 1\0", "NUL"),
    "control": (b"x = '\x01'", "control characters"),
    "latin-1": ("# caf\xe9\n".encode("latin-1"), "save it as UTF-8"),
    "utf-16": ("x = 1\n".encode("utf-16"), "UTF-16"),
    "pickle": (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.", "pickle"),
    "zip": (zip_bytes(), "ZIP"),
    "html": (b"<html></html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "ends inside a character": (b"# \xc3", "save it as UTF-8"),
}


@pytest.mark.parametrize(("content", "words"), SOURCES.values(), ids=SOURCES)
def test_model_py_that_is_no_source_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BundleInvalid) as caught:
        detect({"model.py": content})
    assert words in caught.value.message
    assert caught.value.path == "model.py"


@pytest.mark.parametrize(
    "content",
    [
        SOURCE,
        b"\xef\xbb\xbf" + SOURCE,
        b"#!/usr/bin/env python\r\nx = 1\r\n",
        b"{}\n",
        b"[1]\n",
        b"x = 1\n\x0c\nclass A: ...\n",
        b"# " + "語".encode() * 2000,
        b"#" * (HEAD_BYTES - 1) + "語".encode(),
    ],
    ids=["plain", "bom", "crlf", "dict", "list", "form feed", "long", "head ends in a character"],
)
def test_source_in_utf8_is_accepted(content: bytes) -> None:
    assert find_source_fault(content[:HEAD_BYTES]) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_get_an_answer_in_words(head: bytes) -> None:
    for fault in (find_onnx_fault(head), find_source_fault(head)):
        assert fault is None or (fault and fault.isprintable())


@given(st.text(max_size=200))
def test_text_is_never_taken_for_a_model_unless_it_holds_control_characters(text: str) -> None:
    printable = "".join(character for character in text if character.isprintable())
    assert find_onnx_fault(printable.encode("utf-8", "ignore")) is not None


# A ZIP archive as torch writes it: the pickle of the values first, its name padded.
ARCHIVE = b"PK\x03\x04" + bytes(26) + b"m/data.pklFB\x14\x00" + b"Z" * 20
PROGRAM = ARCHIVE + b"\x80\x02c__torch__\nMirror\nq\x00)\x81}"
CHECKPOINT = ARCHIVE + b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01ctorch._utils\n"


@pytest.mark.parametrize("name", ["mirror.pt", "Mirror.PTH", "m.ts", "m.torchscript"])
def test_the_one_torchscript_file_is_the_entry_and_runs_no_python(name: str) -> None:
    found = detect({name: PROGRAM, "norman.toml": b""})
    assert found == Format(runtime="torchscript", entry=name, runs_code=False)


def test_onnx_wins_over_torchscript_beside_it() -> None:
    assert detect({"a.onnx": make_onnx(), "b.pt": PROGRAM}).runtime == "onnx"


def test_model_pt_wins_among_several() -> None:
    assert detect({"a.pt": PROGRAM, "model.pt": PROGRAM}).entry == "model.pt"
    with pytest.raises(BundleInvalid, match=r"Several TorchScript files.*'a\.pt', 'b\.pt'"):
        detect({"a.pt": PROGRAM, "b.pt": PROGRAM})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CHECKPOINT, "a checkpoint, weights without the code"),
        (b"hello", "looks like text"),
        (b"", "an empty file"),
        (b"\x80\x04\x95", "a Python pickle"),
    ],
)
def test_what_is_no_program_is_told(content: bytes, said: str) -> None:
    with pytest.raises(BundleInvalid, match=f"'m.pt' is no TorchScript program: .*{said}"):
        detect({"m.pt": content})


def declared(files: dict[str, bytes], **said: str) -> Format:
    return detect_format(list(files), reader(files), Declaration(**said))


def test_what_is_declared_counts_before_names() -> None:
    files = {"weights": PROGRAM}
    assert declared(files, runtime="torchscript").entry == "weights"
    files = {"a.pt": PROGRAM, "b.pt": PROGRAM, "model.py": SOURCE}
    assert declared(files, entry="b.pt").runtime == "torchscript"
    assert declared(files, runtime="torchscript", entry="a.pt").entry == "a.pt"
    assert declared(files).runtime == "python"


def test_a_declared_runtime_or_entry_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"no runtime 'torchscrip'.*torchscript\?"):
        declared({"m.pt": PROGRAM}, runtime="torchscrip")
    with pytest.raises(ConfigurationInvalid, match=r"no file 'model\.pt' to enter by.*'m\.pt'"):
        declared({"m.pt": PROGRAM}, entry="model.pt")
    with pytest.raises(BundleInvalid, match=r"no model\.py"):
        declared({"m.pt": PROGRAM}, runtime="python")
