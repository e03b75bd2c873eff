"""Which server a notebook's commands go to, and its defaults."""

from __future__ import annotations

import pytest

from norman_jupyter.magics.connection import ClientHolder
from norman_jupyter.magics.extension import NormanMagics
from norman_jupyter.magics.notebook import NotebookSettings, Place
from norman_protocol.errors import ConfigurationInvalid, RequestInvalid, ServerNotFound

SECRET = "s3cret-t0ken"


@pytest.fixture
def places():
    return []


@pytest.fixture
def connected(shell, client, places, make_notebook, monkeypatch):
    """A notebook that notes where its clients were made for."""
    for name in ("NORMAN_URL", "NORMAN_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def connect(*place):
        places.append(place)
        return client

    NormanMagics(shell, connect=connect, completion_wait_s=60).install()
    return make_notebook(shell)


def test_connect_goes_to_a_server_with_the_token_of_a_variable(connected, places, monkeypatch):
    monkeypatch.setenv("HUB_TOKEN", SECRET)
    connected.run("%norman connect http://hub.example/user/ann --token-env HUB_TOKEN")
    assert places == [("http://hub.example/user/ann/", SECRET)]
    shown = connected.printed()
    assert "connected to the server at http://hub.example/user/ann/ (set by the notebook)" in shown
    assert SECRET not in shown
    connected.run("%norman models;")
    assert len(places) == 1
    connected.run("%norman connect")
    assert places[1:] == [()]
    assert "that was found from here" in connected.printed()


def test_token_in_the_url_is_used_and_not_shown(connected, places):
    connected.run(f"%norman connect http://127.0.0.1:9/lab?token={SECRET}")
    assert places == [("http://127.0.0.1:9/", SECRET)]
    shown = connected.printed()
    assert SECRET not in shown
    assert "--token-env NAME keeps it out" in shown
    connected.run("%norman config")
    assert SECRET not in connected.printed()


def test_failed_connect_leaves_the_server_as_it_was(connected, places, client):
    connected.run("%norman connect http://one.example/;")
    client.failure = ServerNotFound("nobody there")
    _, shown = connected.fail("%norman connect http://two.example/")
    assert "nobody there" in shown
    client.failure = None
    connected.run("%norman status;")
    assert places[-1] == ("http://one.example/", None)


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        (f"connect 127.0.0.1:8888/?token={SECRET}", RequestInvalid, "is no URL"),
        ("connect http://h/ --token-env NOT_SET_HERE", RequestInvalid, "NOT_SET_HERE"),
        ("connect http://h/ --token-env a-b", ConfigurationInvalid, "environment variable"),
        (f"connect http://ann:{SECRET}@h/", RequestInvalid, "password"),
        ("config timout=3", ConfigurationInvalid, "Did you mean timeout?"),
        ("config timout=", ConfigurationInvalid, "Did you mean timeout?"),
        ("config timeout", RequestInvalid, "no KEY=VALUE"),
        ("config timeout=1 timeout=2", RequestInvalid, "given twice"),
        ("config timeout=1 trust=true", ConfigurationInvalid, "--trust"),
    ],
)
def test_mistake_changes_nothing_and_shows_no_secret(line, kind, part, connected, monkeypatch):
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    error, shown = connected.fail(f"%norman {line}")
    assert isinstance(error, kind)
    assert part in shown
    assert SECRET not in shown
    assert connected.run("settings = %norman config\nsettings.notebook") == {}


def test_config_sets_shows_and_unsets(connected, client):
    settings = connected.run("n = 4\n%norman config timeout={n + 1} model=digits@2 in_flight=8")
    assert settings.notebook == {"timeout": 5.0, "model": "digits@2", "in_flight": 8}
    shown = connected.printed()
    assert "timeout" in shown
    assert "notebook" in shown
    connected.run("%norman invoke top=1")
    assert client.calls[-1] == ("invoke", ("digits@2", {"top": 1}), {"timeout_s": 5.0})
    connected.run("%norman invoke answers top=1 --timeout 9")
    assert client.calls[-1] == ("invoke", ("answers", {"top": 1}), {"timeout_s": 9})
    connected.run("%norman invoke --over {[1]}")
    assert client.calls[-1][2] == {"in_flight": 8, "timeout_s": 5.0}
    connected.run("%norman versions;")
    assert client.calls[-1][1] == ("digits",)
    connected.run("%norman config model= timeout=")
    error, shown = connected.fail("%norman invoke")
    assert isinstance(error, RequestInvalid)
    assert "REF is missing" in shown


def test_project_says_the_server_and_the_notebook_another(connected, places, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.norman]\nurl = "http://project.example"\n')
    connected.run("%norman status;")
    connected.run("%norman config url=http://notebook.example;")
    connected.run("%norman status;")
    connected.run("%norman config url=;")
    connected.run("%norman status;")
    project, notebook = ("http://project.example/", None), ("http://notebook.example/", None)
    assert places == [project, notebook, project]


def test_broken_project_is_told_and_help_works(connected, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.norman]\nmodle = 'digits'\n")
    error, shown = connected.fail("%norman status")
    assert isinstance(error, ConfigurationInvalid)
    assert "Did you mean model?" in shown
    connected.run("%norman --help")
    connected.run("%norman invoke --help")
    assert connected.complete("%norman sta") == ["status"]


def test_environment_names_the_server_before_the_project(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.norman]\nurl = "http://project.example"\n')
    environ = {"NORMAN_URL": "http://env.example/?token=abc"}
    settings = NotebookSettings(environ, lambda: tmp_path)
    assert settings.place() is None  # discovery reads it
    assert settings.current().source("url") == ("http://env.example/", "environment")
    environ.clear()
    assert settings.place() == Place(url="http://project.example/")


def test_token_of_the_environment_never_goes_to_a_project_s_server(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.norman]\nurl = "http://project.example"\n')
    settings = NotebookSettings({"NORMAN_TOKEN": SECRET}, lambda: tmp_path)
    assert settings.place() == Place(url="http://project.example/", token=None)


def test_token_that_a_notebook_names_never_goes_to_a_project_s_server(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.norman]\nurl = "http://project.example"\n')
    settings = NotebookSettings({"MINE": SECRET}, lambda: tmp_path)
    settings.change({"token_env": "MINE"})
    with pytest.raises(
        RequestInvalid, match=r"pyproject\.toml names the server http://project"
    ) as e:
        settings.place()
    assert SECRET not in e.value.message
    settings.change({"url": "http://own.example/"})
    assert settings.place() == Place(url="http://own.example/", token=SECRET)


def test_deleted_folder_has_no_project(tmp_path, monkeypatch):
    def gone():
        raise FileNotFoundError

    assert NotebookSettings({}, gone).place() is None


def test_place_shows_no_token():
    assert SECRET not in repr(Place(url="http://h/", token=SECRET))


def test_client_is_made_anew_where_another_place_is_chosen(make_client):
    chosen, made = [None], []

    def connect(*place):
        made.append(place)
        return make_client()

    holder = ClientHolder(connect, settings={}, place=lambda: chosen[0])
    holder.use(lambda client: client.status())
    chosen[0] = Place(url="http://h/", token="t")
    holder.use(lambda client: client.status())
    holder.use(lambda client: client.status())
    assert made == [(), ("http://h/", "t")]
