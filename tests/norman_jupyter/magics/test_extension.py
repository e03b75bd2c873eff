"""The magic in a real shell, with a client that needs no server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from norman_jupyter.client.results import InvokeResult
from norman_jupyter.magics.extension import NormanMagics
from norman_jupyter.magics.options import COMMANDS
from norman_protocol.errors import (
    BundleInvalid,
    InputInvalid,
    LoadFailed,
    ModelFailed,
    ModelNotFound,
    NormanError,
    RequestInvalid,
    ServerNotFound,
)
from norman_protocol.rest import ModelPage, ServerStatus, VersionDetail

TRACEBACK = """Traceback (most recent call last):
  File "model.py", line 7, in predict
    return 1 / number
ZeroDivisionError: division by zero
"""


def test_upload_passes_what_the_line_says(notebook, client):
    version = notebook.run(
        "n = 3\n"
        "%norman upload ./model --name digits-{n} --version-label 'first one' --description D "
        "--tag a --tag b --trust --no-activate"
    )
    assert isinstance(version, VersionDetail)
    ((verb, arguments, options),) = client.calls
    origin = options.pop("origin")
    assert (verb, arguments) == ("upload", (Path("model"),))
    assert options == {
        "name": "digits-3",
        "label": "first one",
        "description": "D",
        "long_description": None,
        "tags": ("a", "b"),
        "trust": True,
        "activate": False,
        "config": None,
    }
    assert origin.source_path == str(Path.cwd() / "model")
    assert origin.python_version


def test_upload_leaves_out_what_the_line_leaves_out(notebook, client):
    notebook.run("%norman upload ~/model")
    ((_, arguments, options),) = client.calls
    assert arguments == (Path.home() / "model",)
    del options["origin"]
    assert options == {
        "name": None,
        "label": None,
        "description": None,
        "long_description": None,
        "tags": (),
        "trust": False,
        "activate": True,
        "config": None,
    }


def test_upload_takes_a_configuration(notebook, client):
    notebook.run("%norman upload ./model --config mirror.toml")
    notebook.run("%norman upload --config ~/mirror.json --name m --tag a")
    notebook.run("said = {'name': 'm'}\n%norman upload --config {said} --trust")
    beside, alone, dictionary = client.calls
    assert (beside[0], beside[1]) == ("upload", (Path("model"),))
    assert beside[2]["config"] == Path("mirror.toml")
    assert (alone[0], alone[1]) == ("upload_model", (Path.home() / "mirror.json",))
    assert (alone[2]["name"], alone[2]["tags"], alone[2]["trust"]) == ("m", ("a",), False)
    assert alone[2]["origin"].source_path == str(Path.home() / "mirror.json")
    assert (dictionary[0], dictionary[1]) == ("upload_model", ({"name": "m"},))
    assert dictionary[2]["trust"]


def test_upload_of_a_configuration_that_is_none_is_refused(notebook, client):
    error, _ = notebook.fail("%norman upload --config {42}")
    assert "--config: {42} is" in str(error)
    assert client.calls == []


def test_dry_run_shows_what_would_be_uploaded(notebook, client):
    found = notebook.run("%norman upload ./model --dry-run --name m --tag a --config c.toml")
    ((verb, arguments, options),) = client.calls
    assert (verb, arguments) == ("inspect", (Path("model"),))
    assert options == {
        "config": Path("c.toml"),
        "name": "m",
        "label": None,
        "description": None,
        "long_description": None,
        "tags": ("a",),
    }
    assert found.name == "m"
    assert "Nothing was sent" in notebook.printed()


def test_upload_takes_the_path_of_an_expression(notebook, client):
    notebook.run("from pathlib import Path\nwhere = Path('a b')\n%norman upload {where / 'm.onnx'}")
    assert client.calls[0][1] == (Path("a b/m.onnx"),)


def test_upload_in_a_notebook_is_one_output_that_ends_as_the_version(notebook):
    notebook.attach_frontend()
    notebook.run("%norman upload ./model")
    published = notebook.publisher.outputs
    assert [output["update"] for output in published] == [False] + [True] * (len(published) - 1)
    texts = [output["data"]["text/plain"] for output in published]
    assert any("hashing 10 B of 10 B" in text for text in texts)
    assert any("sending" in text for text in texts)
    assert any("loading digits@1" in text for text in texts)
    (final,) = notebook.outputs()
    for mime in ("text/plain", "text/html"):
        assert "digits@1" in final[mime]
        assert "ready, active" in final[mime]
        assert "float32[n,64]" in final[mime]
    assert notebook.printed().replace("Out[1]: ", "").strip() == ""


def test_version_shows_itself_in_a_later_cell(notebook):
    notebook.run("v = %norman upload ./model")
    notebook.printed()
    notebook.run("v")
    assert "float32[n,64]" in notebook.printed()


def test_upload_in_a_terminal_prints_its_stages_and_the_version_once(notebook):
    notebook.run("%norman upload ./model")
    printed = notebook.printed()
    assert printed.index("hashing") < printed.index("loading") < printed.index("ready, active")
    assert printed.count("float32[n,64]") == 1


def test_failed_upload_says_where_it_stopped(notebook, client):
    notebook.attach_frontend()
    client.failure = BundleInvalid("The file has changed.", path="model")
    error, shown = notebook.fail("%norman upload ./model")
    assert isinstance(error, BundleInvalid)
    assert shown.strip() == "BundleInvalid: The file has changed."
    assert "failed while hashing" in notebook.outputs()[0]["text/plain"]


def test_upload_of_a_variable_s_name_hints_at_braces(notebook, client):
    client.failure = BundleInvalid("There is no file or folder 'where'.", path="where")
    _, shown = notebook.fail("where = './model'\n%norman upload where")
    assert "write {where}" in shown


def test_upload_of_no_path_is_refused(notebook, client):
    error, shown = notebook.fail("%norman upload {42}")
    assert isinstance(error, InputInvalid)
    assert "{42} is an int; a path is needed" in shown
    assert not client.calls


def test_invoke_sends_the_object_itself(notebook, client):
    result = notebook.run(
        "import numpy as np\nimg = np.ones(3)\n%norman invoke digits image=img top=5"
    )
    (_, (reference, inputs), options) = client.calls[0]
    assert reference == "digits"
    assert inputs["image"] is notebook.shell.user_ns["img"]
    assert inputs["top"] == 5
    assert options == {"timeout_s": None}
    assert isinstance(result, InvokeResult)
    assert "digits@1" in notebook.printed()


def test_result_of_invoke_can_be_assigned(notebook):
    notebook.run("result = %norman invoke digits@2 x=1 --timeout 2.5")
    assert notebook.printed() == ""
    assert notebook.run("result.value").tolist() == [7]
    assert notebook.run("result['label']").tolist() == [7]
    assert notebook.run("(result.version, result.id, result.latency_ms)") == (
        "digits@1",
        "0123",
        1.5,
    )
    assert set(notebook.run("result.timings")) == {"queue", "model", "transfer"}


def test_invoke_passes_the_time_limit(notebook, client):
    notebook.run("r = %norman invoke digits --timeout 2.5")
    assert client.calls[0][2] == {"timeout_s": 2.5}


def test_invoke_takes_the_reference_and_values_of_expressions(notebook, client):
    notebook.run("k = 2\nr = %norman invoke digits@{k} x={[k] * k} text='{k}'")
    assert client.calls[0][1] == ("digits@2", {"x": [2, 2], "text": "{k}"})


def test_invoke_within_a_function_sees_its_variables(notebook, client):
    notebook.run(
        "def call(value):\n    r = %norman invoke digits x=value y={value + 1}\n    return r"
    )
    notebook.run("r = call(4)")
    assert client.calls[0][1] == ("digits", {"x": 4, "y": 5})


def test_names_of_ipython_itself_are_text(notebook, client):
    notebook.run("r = %norman invoke digits text=exit other=In")
    assert client.calls[0][1] == ("digits", {"text": "exit", "other": "In"})
    notebook.run("exit = 5\nr = %norman invoke digits text=exit")
    assert client.calls[1][1] == ("digits", {"text": 5})


def test_a_line_may_go_on_behind_a_backslash(notebook, client):
    notebook.run("r = %norman invoke digits \\\n    x=1 \\\n    y=2")
    assert client.calls[0][1] == ("digits", {"x": 1, "y": 2})


def test_semicolon_silences_but_keeps_the_value(notebook):
    value = notebook.run("%norman invoke digits x=1;")
    assert isinstance(value, InvokeResult)
    assert notebook.printed().replace("Out[1]: ", "").strip() == ""
    notebook.run("_1")
    assert "digits@1" in notebook.printed()


def test_refused_input_says_how_its_value_was_read(notebook, client):
    client.failure = InputInvalid(
        "Input 'image' takes float32[n,64], not text (6 B).", input="image"
    )
    error, shown = notebook.fail("X_test = [1]\n%norman invoke digits image=X_test[0]")
    assert error is client.failure
    assert shown.strip() == (
        "InputInvalid: Input 'image' takes float32[n,64], not text (6 B). "
        "An expression needs braces: image={X_test[0]}."
    )


def test_listings_return_what_the_client_returns_and_show_tables(notebook, client):
    assert isinstance(notebook.run("%norman models"), ModelPage)
    printed = notebook.printed()
    assert "digits" in printed
    assert "answers" in printed
    assert len(notebook.run("%norman models --search digit").items) == 1
    assert isinstance(notebook.run("%norman status"), ServerStatus)
    assert "process 4711" in notebook.printed()
    notebook.run("%norman logs digits")
    assert "loaded weights" in notebook.printed()
    verbs = [verb for verb, _, _ in client.calls]
    assert verbs == ["models", "models", "status", "logs"]


def test_show_of_a_model_tells_its_versions_and_its_active_one(notebook, client):
    notebook.run("%norman show digits")
    printed = notebook.printed()
    assert "digits@2" in printed
    assert "float32[n,64]" in printed
    assert "model.onnx (10 B)" in printed
    assert [call[:2] for call in client.calls] == [
        ("model", ("digits",)),
        ("version", ("digits@1",)),
    ]


def test_show_of_a_version_returns_it(notebook, client):
    version = notebook.run("%norman show digits@2")
    assert isinstance(version, VersionDetail)
    assert client.calls[0][:2] == ("version", ("digits@2",))
    assert "created" in notebook.printed()


def test_results_have_html_for_notebooks(notebook):
    for line in ("models", "show digits", "show digits@1", "status", "logs digits"):
        value = notebook.run(f"v = %norman {line}\nv")
        data, _ = notebook.shell.display_formatter.format(value)
        # The cell shows it, so ask from the next one.
        notebook.run("1")
        data, _ = notebook.shell.display_formatter.format(value)
        assert {"text/plain", "text/html"} <= set(data), line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_each_command_is_printed_and_nothing_is_asked(command, notebook, client):
    assert notebook.run(f"%norman {command.name} --help") is None
    assert notebook.printed().startswith(f"usage: %norman {command.name}")
    assert not client.calls


@pytest.mark.parametrize("line", ["", "--help"])
def test_help_lists_the_commands(line, notebook):
    notebook.run(f"%norman {line}")
    printed = notebook.printed()
    assert all(command.name in printed for command in COMMANDS)


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        ("uplaod ./model", RequestInvalid, "Did you mean upload?"),
        ("upload ./model --nmae x", RequestInvalid, "Did you mean --name?"),
        ("upload", RequestInvalid, "PATH is missing"),
        ("invoke digits x=[1, 2", RequestInvalid, "Column 17"),
        ("invoke digits x=@nofile.png", InputInvalid, "nofile.png doesn't exist"),
        ("invoke digits x={1/0}", InputInvalid, "ZeroDivisionError: division by zero"),
        ("invoke digits five", RequestInvalid, "no KEY=VALUE"),
        ("invoke digits x=1 --timeout soon", RequestInvalid, "--timeout takes a number"),
        ("show a@0", NormanError, "NameInvalid"),
        ("show nosuch", ModelNotFound, "There is no model 'nosuch'."),
    ],
)
def test_mistake_gets_one_line_and_no_traceback(line, kind, part, notebook):
    error, shown = notebook.fail(f"%norman {line}")
    assert isinstance(error, kind)
    (only,) = shown.strip().splitlines()
    assert only.startswith(f"{type(error).__name__}: ")
    assert part in only
    assert "norman_jupyter" not in shown


def test_error_can_be_caught(notebook, client, plain_error):
    client.failure = plain_error
    notebook.run(
        "from norman_jupyter import ModelNotFound\n"
        "try:\n    %norman show digits\n"
        "except ModelNotFound as error:\n    caught = error.name"
    )
    assert notebook.run("caught") == "digit"


def test_error_of_the_model_shows_the_model_s_own_traceback(notebook, client):
    client.failure = ModelFailed(
        "digits@1 raised ZeroDivisionError: division by zero",
        traceback=TRACEBACK,
        logs="step 1\n\x1b[31mstep 2\x1b[0m\n",
    )
    _, shown = notebook.fail("%norman invoke digits x=0")
    assert (
        shown.splitlines()[0] == "ModelFailed: digits@1 raised ZeroDivisionError: division by zero"
    )
    assert 'File "model.py", line 7, in predict' in shown
    assert "step 2" in shown
    assert "\x1b" not in shown
    assert "norman_jupyter" not in shown


def test_failed_load_shows_traceback_and_log(notebook, client):
    client.failure = LoadFailed("digits@1 can't load.", traceback=TRACEBACK, log="importing\n")
    _, shown = notebook.fail("%norman upload ./model")
    assert 'File "model.py", line 7' in shown
    assert "importing" in shown


def test_interrupted_call_says_what_becomes_of_the_worker(notebook, client):
    client.failure = KeyboardInterrupt()
    error, shown = notebook.fail("%norman invoke digits")
    assert isinstance(error, KeyboardInterrupt)
    assert shown.startswith("Cancelled. If the model is still at work on the call, its worker is ")
    assert shown.count("\n") == 1


def test_search_without_a_hit_says_what_was_searched(notebook, capsys):
    found = notebook.run("%norman models --search zzz")
    assert found.items == ()
    shown = notebook.printed()
    assert "No model's name, description or label contains 'zzz'." in shown
    assert "no models here" not in shown
    assert [model.name for model in notebook.run("%norman models --search ans").items] == [
        "answers"
    ]


def test_interrupt_is_one_line_and_stops_the_notebook(notebook, client):
    notebook.attach_frontend()
    client.failure = KeyboardInterrupt()
    error, shown = notebook.fail("%norman upload ./model")
    assert isinstance(error, KeyboardInterrupt)
    assert shown.strip() == "Cancelled."
    assert "cancelled while hashing" in notebook.outputs()[0]["text/plain"]


def test_fault_of_ours_keeps_its_traceback(notebook, client):
    client.failure = AssertionError("a bug")
    _, shown = notebook.fail("%norman status")
    assert "Traceback" in shown
    assert "a bug" in shown


def test_client_is_made_at_the_first_use_and_kept(shell, client, capsys):
    made = []

    def connect():
        made.append(1)
        return client

    NormanMagics(shell, connect=connect).install()
    assert shell.run_cell("%norman --help").success
    assert not made
    assert shell.run_cell("r = %norman models\nr = %norman status").success
    assert len(made) == 1


def test_server_that_was_replaced_is_found_again(shell, client, make_client, capsys):
    stale = make_client()
    clients = [stale, client]
    NormanMagics(shell, connect=lambda: clients.pop(0)).install()
    assert shell.run_cell("r = %norman models").success
    stale.failure = ServerNotFound("gone")
    assert shell.run_cell("r = %norman status").success
    assert stale.is_closed
    assert [verb for verb, _, _ in client.calls] == ["status"]


def test_result_stays_small_whatever_the_model_answers(notebook, client):
    client.outputs = {
        "big": np.zeros(1 << 20, np.float32),
        "text": "<script>alert(1)</script>" * 100_000,
        "deep": {str(index): index for index in range(100_000)},
    }
    notebook.attach_frontend()
    value = notebook.run("r = %norman invoke digits\nr")
    data, _ = notebook.shell.display_formatter.format(value)
    assert sum(len(text) for text in data.values()) < 20_000
    assert "<script" not in data["text/html"]


def test_unloading_takes_everything_back(notebook, client):
    notebook.run("r = %norman models")
    matchers = len(notebook.shell.Completer.custom_matchers)
    NormanMagics.installed_in(notebook.shell).uninstall()
    assert client.is_closed
    assert len(notebook.shell.Completer.custom_matchers) == matchers - 1
    assert NormanMagics.installed_in(notebook.shell) is None
    assert "norman" not in notebook.shell.magics_manager.magics["line"]
    notebook.run("r")
    assert "ModelPage(" in notebook.printed()


def test_loading_again_replaces_the_earlier_one(notebook, client):
    again = NormanMagics(notebook.shell, connect=lambda: client)
    again.install()
    assert NormanMagics.installed_in(notebook.shell) is again
    assert notebook.complete("%norman up") == ["upload"]


def test_load_ext_and_unload_ext(shell, capsys):
    assert shell.run_cell("%load_ext norman_jupyter\n%norman --help").success
    assert "usage: %norman" in capsys.readouterr().out
    assert shell.run_cell("%reload_ext norman_jupyter\n%norman --help").success
    assert shell.run_cell("%unload_ext norman_jupyter").success
    assert "norman" not in shell.magics_manager.magics["line"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%norman up", ["upload"]),
        ("%norman s", ["search", "show", "status"]),
        ("r = %norman inv", ["invoke", "invocations"]),
        ("%norman upload ./m --no", ["--no-activate"]),
        ("%norman invoke di", ["digits"]),
        ("%norman invoke digits@", ["digits@2", "digits@1", "digits@active", "digits@latest"]),
        ("%norman invoke digits ", ["image=", "top="]),
        ("%norman invoke digits image=img t", ["top="]),
        ("%norman invoke digits image=X_", ["X_test"]),
        ("%norman invoke digits image={X_", ["X_test"]),
        ("%norman invoke digits image=@se", ["seven.png"]),
        ("%norman upload se", ["seven.png"]),
    ],
)
def test_tab_completes_in_the_shell(line, expected, notebook):
    Path("seven.png").write_bytes(b"")
    notebook.run("X_test = 1")
    assert notebook.complete(line) == expected


def test_completion_elsewhere_is_left_alone(notebook):
    notebook.run("upload_count = 1")
    assert "upload_count" in notebook.complete("upload_c")
