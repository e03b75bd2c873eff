"""What TAB offers, as a function of the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_jupyter.magics.completion import complete, list_paths, norman_line
from norman_jupyter.magics.options import COMMANDS


class Facts:
    def model_names(self, prefix, *, can_serve=False):
        return ("answers", "digits") if can_serve else ("answers", "digits", "digits-old")

    def selectors(self, model, *, can_serve=False):
        if model != "digits":
            return ()
        return ("1", "active") if can_serve else ("2", "1", "active", "latest")

    def aliases(self, model):
        return ("active", "production") if model == "digits" else ()

    def input_names(self, reference):
        return ("image", "top") if reference.startswith("digits") else ()


PATHS = ("model.onnx", "my model/", "seven.png")
VARIABLES = {"img": 1, "images": 2, "_hidden": 3}


def offers(line: str):
    found = complete(
        line,
        facts=Facts(),
        variables=VARIABLES,
        paths=lambda prefix: [path for path in PATHS if path.startswith(prefix)],
    )
    assert line.endswith(found.fragment)
    return found.fragment, [candidate.text for candidate in found.candidates]


@pytest.mark.parametrize(
    ("line", "fragment", "texts"),
    [
        ("", "", [*(command.name for command in COMMANDS), "--help"]),
        ("s", "s", ["search", "show", "status"]),
        ("--", "--", ["--help"]),
        ("nosuch ", "", []),
        (
            "upload -",
            "-",
            [
                "--name",
                "--version-label",
                "--description",
                "--long-description",
                "--tag",
                "--trust",
                "--no-activate",
                "--config",
                "--dry-run",
                "--json",
                "--help",
            ],
        ),
        ("upload ./m --name d --tag a --t", "--t", ["--tag", "--trust"]),
        ("upload ./m --trust --n", "--n", ["--name", "--no-activate"]),
        ("upload ./m --name di", "di", ["digits", "digits-old"]),
        ("upload ./m --tag ", "", []),
        (
            "upload ./m ",
            "",
            [
                "--name",
                "--version-label",
                "--description",
                "--long-description",
                "--tag",
                "--trust",
                "--no-activate",
                "--config",
                "--dry-run",
                "--json",
                "--help",
            ],
        ),
        ("upload m", "m", ["model.onnx", "my\\ model/"]),
        ("upload 'my", "my", ["my model/"]),
        ("upload my\\ m", "my\\ m", ["my\\ model/"]),
        ("upload {im", "im", ["images", "img"]),
        ("models --search an", "an", ["answers"]),
        ("status ", "", ["--json", "--help"]),
        ("show d", "d", ["digits", "digits-old"]),
        ("show digits@", "digits@", ["digits@2", "digits@1", "digits@active", "digits@latest"]),
        ("show digits@la", "digits@la", ["digits@latest"]),
        ("show digits x", "x", []),
        ("alias digits@3 pro", "pro", ["production"]),
        ("alias digits ", "", ["active", "production"]),
        ("alias digits production --", "--", ["--why", "--delete", "--json", "--help"]),
        ("rollback digits --alias ", "", ["active", "production"]),
        ("rollback --alias ", "", []),
        ("versions d", "d", ["digits", "digits-old"]),
        ("diff digits@1 digits@l", "digits@l", ["digits@latest"]),
        ("edit digits@1 --ta", "--ta", ["--tag"]),
        ("logs digits-", "digits-", ["digits-old"]),
        ("invoke d", "d", ["digits"]),
        ("invoke digits@", "digits@", ["digits@1", "digits@active"]),
        ("invoke digits ", "", ["image=", "top="]),
        ("invoke digits@2 image=img ", "", ["top="]),
        ("invoke --timeout 5 digits t", "t", ["top="]),
        ("invoke unknown ", "", []),
        ("invoke digits image=", "", ["images", "img", "model.onnx", "my\\ model/", "seven.png"]),
        ("invoke digits image=im", "im", ["images", "img"]),
        ("invoke digits image=@s", "s", ["seven.png"]),
        ("invoke digits image='s", "s", ["seven.png"]),
        ("invoke digits image={img + im", "im", ["images", "img"]),
        ("invoke digits image={img.sha", "", []),
        ("invoke digits image=[im", "im", ["images", "img"]),
        ("invoke 'unbalanced", "'unbalanced", []),
        ("invoke digits] x", "x", []),
    ],
)
def test_completion_of_a_line(line, fragment, texts):
    assert offers(line) == (fragment, texts)


@given(st.text(max_size=40))
def test_any_line_has_an_answer(line):
    offers(line)
    offers(f"invoke digits {line}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%norman up", "up"),
        ("  %norman ", ""),
        ("r = %norman invoke d", "invoke d"),
        ("a, b = %norman show x=1", "show x=1"),
        ("%normandy up", None),
        ("%norman", None),
        ("print('%norman up", None),
        ("# %norman up", None),
        ("norman up", None),
        ("x = 5 % norman up", None),
    ],
)
def test_lines_that_are_ours_are_told_from_others(text, expected):
    assert norman_line(text) == expected


def test_paths_are_listed_as_they_would_be_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.onnx").write_bytes(b"")
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    assert list_paths("mo") == ["model.onnx", "model/"]
    assert list_paths("./model/") == ["./model/a.onnx"]
    assert list_paths("~/model/a") == ["~/model/a.onnx"]
    assert list_paths(f"{tmp_path}/model.") == [f"{tmp_path}/model.onnx"]
    assert list_paths(".h") == [".hidden"]
    assert ".hidden" not in list_paths("")


@pytest.mark.parametrize("prefix", ["nowhere/", "a\x00b/", "x" * 5000 + "/"])
def test_paths_that_cannot_be_are_none(prefix):
    assert list_paths(prefix) == []


def test_paths_of_a_huge_folder_are_bounded(tmp_path):
    for index in range(450):
        (tmp_path / f"{index}").touch()
    assert len(list_paths(f"{tmp_path}/")) == 400
