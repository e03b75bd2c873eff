"""What TAB offers, as a function of the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from norman_jupyter.magics.completion import complete, complete_body, list_paths, norman_line
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

    def input_types(self, reference):
        if reference == "titled":
            return (("Input Image", "image (png)"), ("it's", "text"))
        inputs = (("image", "float32[n,64]"), ("top", "integer"))
        return inputs if reference.startswith("digits") else ()


PATHS = ("model.onnx", "my model/", "seven.png")
VARIABLES = {"img": 1, "images": 2, "_hidden": 3}


def offered(line: str, **options):
    return complete(
        line,
        facts=Facts(),
        variables=VARIABLES,
        paths=lambda prefix: [path for path in PATHS if path.startswith(prefix)],
        environment=["HUB_TOKEN", "HOME", "PATH"],
        **options,
    )


def offers(line: str, **options):
    found = offered(line, **options)
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
        ("invoke digits --over im", "im", ["images", "img"]),
        ("invoke digits --over s", "s", ["seven.png"]),
        ("invoke digits --over {im", "im", ["images", "img"]),
        ("invoke digits --into im", "im", ["images", "img"]),
        ("invoke digits --ov", "--ov", ["--over"]),
        ("invoke titled ", "", ["'Input Image'=", '"it\'s"=']),
        ("invoke titled Inp", "Inp", ["'Input Image'="]),
        ("invoke titled 'Input I", "'Input I", ["'Input Image'="]),
        ("invoke titled 'Input Image'=im", "im", ["images", "img"]),
        ("invoke titled 'Input Image'=img ", "", ['"it\'s"=']),
        ("connect --token-env H", "H", ["HOME", "HUB_TOKEN"]),
        ("config t", "t", ["token_env=", "timeout=", "trust="]),
        ("config model=d", "d", ["digits"]),
        ("config model=digits@a", "digits@a", ["digits@active"]),
        ("config token_env=HU", "HU", ["HUB_TOKEN"]),
        ("config timeout=", "", []),
        ("last ", "", ["--json", "--help"]),
        ("invoke 'unbalanced", "'unbalanced", []),
        ("invoke digits] x", "x", []),
    ],
)
def test_completion_of_a_line(line, fragment, texts):
    assert offers(line) == (fragment, texts)


@pytest.mark.parametrize(
    ("line", "fragment", "texts"),
    [
        ("invoke i", "i", ["image="]),
        ("invoke ", "", ["image=", "top=", "answers", "digits"]),
        ("invoke image=im", "im", ["images", "img"]),
        ("invoke image=img t", "t", ["top="]),
        ("invoke answers ", "", []),
        ("show d", "d", ["digits", "digits-old"]),
    ],
)
def test_inputs_of_the_default_model_may_stand_first(line, fragment, texts):
    assert offers(line, default_model="digits@1") == (fragment, texts)


def test_inputs_say_what_they_take():
    candidates = offered("invoke digits ").candidates
    assert [candidate.kind for candidate in candidates] == ["float32[n,64]", "integer"]


@pytest.mark.parametrize(
    ("text", "fragment", "texts"),
    [
        ('%%norman invoke digits\n{"', "", ['image"', 'top"']),
        ('%%norman invoke digits@2 top=1\n{\n  "im', "im", ['image"']),
        ('%%norman invoke digits\n{"image": [1], "t', "t", ['top"']),
        ('%%norman invoke digits\n{"image": "t', "", []),
        ('%%norman invoke\n{"to', "to", ['top"']),
        ('%%norman invoke top=1\n{"im', "im", ['image"']),
        ('%%norman invoke "\n{"im', "im", ['image"']),
        ("%%norman invoke digits\nOnce upon", "", []),
        ('%norman invoke digits\n{"im', "", []),
        ('%%norman models\n{"im', "", []),
    ],
)
def test_keys_of_a_cell_s_object_are_completed(text, fragment, texts):
    found = complete_body(text, facts=Facts(), default_model="digits")
    assert (found.fragment, [one.text for one in found.candidates]) == (fragment, texts)


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
        ("%%norman in", "in"),
        ("x = %%norman in", None),
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
