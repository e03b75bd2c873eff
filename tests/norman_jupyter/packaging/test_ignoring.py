"""What of a folder stays behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from norman_jupyter.packaging.folders import open_bundle
from norman_jupyter.packaging.ignoring import DEFAULT_PATTERNS, read_ignores
from norman_protocol.errors import BundleInvalid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    for path in (
        "model.py",
        "data/keep.csv",
        "data/raw.csv",
        "data/deep/raw.csv",
        "logs/a.log",
        "notes.txt",
        "sub/notes.txt",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x = 1\n")
    return folder


def kept(folder: Path, *lines: str) -> list[str]:
    (folder / ".normanignore").write_text("\n".join(lines), encoding="utf-8")
    return [file.path for file in open_bundle(folder, trusted=True).files]


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ((), set()),
        (("# a comment", "", "*.log"), {"logs/a.log"}),
        (("logs/",), {"logs/a.log"}),
        (("notes.txt",), {"notes.txt", "sub/notes.txt"}),
        (("/notes.txt",), {"notes.txt"}),
        (("data/**/raw.csv",), {"data/raw.csv", "data/deep/raw.csv"}),
        (("data/*", "!data/keep.csv"), {"data/raw.csv", "data/deep/raw.csv"}),
        (("raw.csv/",), set()),
    ],
)
def test_rules_are_those_of_git(folder, lines, missing) -> None:
    everything = set(kept(folder))
    assert everything - set(kept(folder, *lines)) == missing


def test_what_is_below_an_ignored_folder_cannot_come_back(folder) -> None:
    assert "data/keep.csv" not in kept(folder, "data/", "!data/keep.csv")


def test_rules_may_take_in_what_stays_behind_by_default(folder) -> None:
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "tokens.js").write_text("1")
    assert "node_modules/tokens.js" not in kept(folder)
    assert "node_modules/tokens.js" in kept(folder, "!node_modules")


def test_the_rules_themselves_stay_behind(folder) -> None:
    assert ".normanignore" not in kept(folder, "*.log")


def test_defaults_are_the_same_with_and_without_rules(folder) -> None:
    plain = read_ignores(folder)
    (folder / ".normanignore").write_text("nothing-of-this")
    ruled = read_ignores(folder)
    for pattern in DEFAULT_PATTERNS:
        name = pattern.replace("*", "a")
        for path in (name, f"sub/{name}", f"sub/{name}/", f"{name}x", f"x{name}.y"):
            assert plain(path) == ruled(path), path


def test_what_is_ignored_is_not_looked_at(folder) -> None:
    (folder / "logs" / "outside").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    assert kept(folder, "logs/", "pipe")


def test_folder_whose_all_is_ignored_is_refused(folder) -> None:
    with pytest.raises(BundleInvalid, match="all in it is ignored"):
        kept(folder, "*")


@pytest.mark.parametrize("kind", ["folder", "pipe", "bytes", "long", "link"])
def test_rules_that_cannot_be_read_are_refused(folder, kind: str) -> None:
    path = folder / ".normanignore"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"\xff\xfe" if kind == "bytes" else b"#" * ((1 << 20) + 1))
    with pytest.raises(BundleInvalid) as caught:
        open_bundle(folder, trusted=True)
    assert caught.value.path == ".normanignore"


def test_line_that_is_no_pattern_is_refused(folder) -> None:
    with pytest.raises(BundleInvalid, match="no pattern"):
        kept(folder, "!")
