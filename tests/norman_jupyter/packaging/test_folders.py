from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from norman_jupyter.packaging.folders import default_name, open_bundle
from norman_protocol.errors import BundleInvalid, NameInvalid, TrustRequired

ONNX = b"\x08\x0a:\x00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "model.py").write_text("def predict() -> int: return 1\n")
    return folder


def paths(source: Path) -> list[str]:
    return [file.path for file in open_bundle(source, trusted=True).files]


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_folder_is_listed_with_all_below_it_sorted(folder) -> None:
    write(folder / "weights" / "b.bin")
    write(folder / "weights" / "a" / "ü.bin", b"12345")
    write(folder / "Zoo.txt")
    bundle = open_bundle(folder, trusted=True)
    assert [file.path for file in bundle.files] == [
        "Zoo.txt",
        "model.py",
        "weights/a/ü.bin",
        "weights/b.bin",
    ]
    assert bundle.files[2].size_bytes == 5
    assert (bundle.format.runtime, bundle.format.entry) == ("python", "model.py")
    assert bundle.size_bytes == sum(file.size_bytes for file in bundle.files)


def test_what_tools_leave_behind_is_skipped(folder) -> None:
    for name in ("__pycache__/a.txt", ".git/HEAD", ".ipynb_checkpoints/model.py", ".DS_Store"):
        write(folder / name)
        write(folder / "sub" / name)
    write(folder / ".venv" / "bin" / "python")
    write(folder / "web" / "node_modules" / "left-pad" / "index.js")
    write(folder / "sub" / "__pycache__" / "b.pyc")
    write(folder / "old.pyc")
    write(folder / ".hidden")
    assert paths(folder) == [".hidden", "model.py"]


def test_onnx_file_stands_for_itself_and_needs_no_trust(tmp_path) -> None:
    bundle = open_bundle(write(tmp_path / "net.onnx", ONNX), trusted=False)
    assert [file.path for file in bundle.files] == ["net.onnx"]
    assert bundle.format.runtime == "onnx"


def test_path_may_be_text_relative_or_of_the_home(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_bundle("digits", trusted=True).source == folder
    assert open_bundle("~/digits", trusted=True).source == folder


def test_executable_files_stay_so(folder) -> None:
    write(folder / "tool.sh").chmod(0o755)
    assert {file.path: file.executable for file in open_bundle(folder, trusted=True).files} == {
        "model.py": False,
        "tool.sh": True,
    }


def test_code_needs_trust(folder) -> None:
    with pytest.raises(TrustRequired, match="--trust") as caught:
        open_bundle(folder, trusted=False)
    assert caught.value.path == str(folder)


def test_missing_path_names_the_nearest(folder) -> None:
    with pytest.raises(BundleInvalid, match="Did you mean 'digits'"):
        open_bundle(folder.parent / "digit", trusted=True)


def test_missing_folder_above_is_named(tmp_path) -> None:
    with pytest.raises(BundleInvalid, match="missing' doesn't exist"):
        open_bundle(tmp_path / "missing" / "deep" / "model.onnx", trusted=True)


def test_path_through_a_file_is_missing(folder) -> None:
    with pytest.raises(BundleInvalid, match="no file or folder"):
        open_bundle(folder / "model.py" / "x", trusted=True)


@pytest.mark.parametrize("source", ["", "a\0b", "x" * 5000])
def test_impossible_path_is_refused(source: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleInvalid):
        open_bundle(source, trusted=True)


@pytest.mark.parametrize("skipped", [None, "__pycache__/model.pyc"])
def test_folder_with_nothing_in_it_is_refused(tmp_path, skipped: str | None) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    if skipped:
        write(folder / skipped)
    with pytest.raises(BundleInvalid, match="is empty"):
        open_bundle(folder, trusted=True)


def test_folder_without_a_model_says_what_would_be_one(tmp_path) -> None:
    write(tmp_path / "notes" / "readme.txt")
    with pytest.raises(BundleInvalid, match=r"model\.py"):
        open_bundle(tmp_path / "notes", trusted=True)


def test_link_inside_the_folder_is_followed(folder) -> None:
    write(folder / "data" / "a.bin", b"abc")
    (folder / "link.bin").symlink_to("data/a.bin")
    (folder / "again").symlink_to("data")
    files = {file.path: file.size_bytes for file in open_bundle(folder, trusted=True).files}
    assert files["link.bin"] == files["again/a.bin"] == 3


def test_folder_itself_may_be_a_link(folder) -> None:
    (folder.parent / "current").symlink_to(folder)
    assert paths(folder.parent / "current") == ["model.py"]


@pytest.mark.parametrize("target", ["../secret.txt", "/etc/passwd", ".."])
def test_link_out_of_the_folder_is_refused(folder, target: str) -> None:
    write(folder.parent / "secret.txt")
    (folder / "link").symlink_to(target)
    with pytest.raises(BundleInvalid, match="outside of the folder") as caught:
        open_bundle(folder, trusted=True)
    assert caught.value.path == "link"


def test_neighbour_whose_name_begins_alike_is_outside(folder) -> None:
    write(folder.parent / "digits-private" / "a")
    (folder / "link").symlink_to("../digits-private/a")
    with pytest.raises(BundleInvalid, match="outside"):
        open_bundle(folder, trusted=True)


def test_link_to_nothing_is_refused(folder) -> None:
    (folder / "link").symlink_to("gone.bin")
    with pytest.raises(BundleInvalid, match="doesn't exist"):
        open_bundle(folder, trusted=True)


@pytest.mark.parametrize("target", [".", "..", "link"])
def test_link_that_leads_in_circles_is_refused(folder, target: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(target)
    with pytest.raises(BundleInvalid, match=r"itself|exist"):
        open_bundle(folder, trusted=True)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_regular_file_is_refused(folder, kind: str, monkeypatch) -> None:
    if kind == "pipe":
        os.mkfifo(folder / "thing")
    else:
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("thing")
    with pytest.raises(BundleInvalid, match="'thing' is no regular file"):
        open_bundle(folder, trusted=True)
    with pytest.raises(BundleInvalid, match="neither a file nor a folder"):
        open_bundle(folder / "thing", trusted=True)


def test_device_as_the_path_is_refused_without_reading_it() -> None:
    with pytest.raises(BundleInvalid, match="neither a file nor a folder"):
        open_bundle("/dev/zero", trusted=True)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("net.onnx", "net"),
        ("net.v2.onnx", "net.v2"),
        ("mirror.pt", "mirror"),
        ("mirror.torchscript", "mirror"),
        ("My net (final).ONNX", "My-net-final"),
        ("größe.onnx", "größe"),
        ("__hidden__", "hidden"),
        ("a" * 150, "a" * 100),
        ("model-", "model"),
        ("bert.v2", "bert.v2"),
    ],
)
def test_name_is_made_to_fit(tmp_path, path: str, name: str) -> None:
    assert default_name(tmp_path / path) == name


@pytest.mark.parametrize("path", ["🙂.onnx", "___", "---.onnx"])
def test_name_that_nothing_is_left_of_asks_for_one(tmp_path, path: str) -> None:
    with pytest.raises(NameInvalid, match="--name"):
        default_name(tmp_path / path)


def test_dot_is_named_after_the_current_folder(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert default_name(".") == "digits"
