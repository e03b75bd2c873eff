"""Defaults: what may be set, by whom, and what counts."""

from __future__ import annotations

import pytest

from norman_jupyter.client.settings import SETTINGS, Settings, parse_setting, read_project
from norman_protocol.errors import ConfigurationInvalid


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("url", "http://127.0.0.1:8888", "http://127.0.0.1:8888/"),
        ("model", "digits@3", "digits@3"),
        ("timeout", "2.5", 2.5),
        ("timeout", 2, 2.0),
        ("in_flight", "8", 8),
        ("token_env", "HUB_TOKEN", "HUB_TOKEN"),
        ("trust", "false", False),
        ("trust", False, False),
    ],
)
def test_values_are_read_from_text_and_from_toml(name, given, expected):
    assert parse_setting(name, given, where="here") == expected


@pytest.mark.parametrize(
    ("name", "given", "part"),
    [
        ("url", "127.0.0.1:8888", "is no URL of a server"),
        ("url", "http://h/?token=secret", "token_env=NAME"),
        ("url", 5, "text is needed"),
        ("model", "a b", "model takes a reference"),
        ("timeout", "soon", "that is no number"),
        ("timeout", "-1", "a number above zero"),
        ("timeout", "nan", "a number above zero"),
        ("timeout", True, "a number above zero"),
        ("in_flight", "0", "from 1 to 256"),
        ("in_flight", 2.0, "from 1 to 256"),
        ("in_flight", "many", "that is no number"),
        ("token_env", "A-B", "no name of an environment variable"),
        ("trust", "true", "with --trust"),
        ("trust", True, "with --trust"),
        ("timout", "1", "Did you mean timeout?"),
        ("zzz", "1", "There are url, token_env"),
    ],
)
def test_wrong_values_and_names_are_refused(name, given, part):
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_setting(name, given, where="%norman config")
    assert part in caught.value.message
    assert caught.value.message.startswith("%norman config: ")
    assert "secret" not in caught.value.message


def test_notebook_counts_before_environment_and_project(tmp_path):
    settings = Settings(
        notebook={"timeout": 1.0},
        environment={"url": "http://e/"},
        project={"timeout": 2.0, "url": "http://p/", "model": "digits"},
        project_file=str(tmp_path / "pyproject.toml"),
    )
    assert settings.source("timeout") == (1.0, "notebook")
    assert settings.source("url") == ("http://e/", "environment")
    assert settings.source("model") == ("digits", "project")
    assert settings.source("in_flight") == (16, "default")
    shown = settings._repr_mimebundle_()
    for name in SETTINGS:
        assert name in shown["text/plain"]
        assert name in shown["text/html"]
    assert str(tmp_path / "pyproject.toml") in shown["text/plain"]


def test_project_is_the_nearest_file_with_the_table(tmp_path):
    write(tmp_path, "[tool.norman]\ntimeout = 5\nmodel = 'digits'\n")
    write(tmp_path / "a", "[tool.ruff]\n# norman is not said here\n")
    settings = read_project(tmp_path / "a" / "b")
    assert settings.project == {"timeout": 5.0, "model": "digits"}
    assert settings.project_file == str(tmp_path / "pyproject.toml")
    write(tmp_path / "a" / "b", "[tool.norman]\n")
    assert read_project(tmp_path / "a" / "b").project == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[tool.norman]\ntimout = 5\n", "Did you mean timeout?"),
        ("[tool.norman]\ntimeout = 'soon'\n", "timeout takes"),
        ("[tool.norman]\ntrust = true\n", "with --trust"),
        ("[tool.norman]\ntoken_env = 'AWS_SECRET_ACCESS_KEY'\n", "somebody else's"),
        ("[tool.norman\n", "is no TOML"),
        ("[tool]\nnorman = 5\n", "is no table"),
    ],
)
def test_project_that_says_what_cannot_be_is_named(tmp_path, text, part):
    write(tmp_path, text)
    with pytest.raises(ConfigurationInvalid) as caught:
        read_project(tmp_path)
    assert part in caught.value.message
    assert str(tmp_path / "pyproject.toml") in caught.value.message


def test_broken_file_of_others_is_passed_over(tmp_path):
    write(tmp_path, "[tool.norman]\ntimeout = 5\n")
    write(tmp_path / "a", "[this is broken\n")
    write(tmp_path / "b", "x = '" + "norman" * 300_000 + "'\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "pyproject.toml").write_bytes(b"\xff\xfenorman")
    for name in "abc":
        assert read_project(tmp_path / name).project == {"timeout": 5.0}
