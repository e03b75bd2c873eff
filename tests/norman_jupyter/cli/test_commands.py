"""Each command as a process of its own: what it writes where, and what it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from serving import until

from norman_jupyter.client.inspection import Inspection
from norman_protocol.decoding import decode
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    Deletion,
    DiskUsage,
    DoctorReport,
    GarbageReport,
    InvocationDetail,
    InvocationPage,
    LogText,
    ModelDetail,
    ModelPage,
    ServerStatus,
    VersionDetail,
    VersionDiff,
    VersionPage,
)


def change(folder: Path) -> None:
    """Make another version of a source."""
    source = folder / "model.py"
    source.write_text(f"{source.read_text()}# changed\n")


def lines_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_upload_writes_the_reference_and_says_its_progress_beside_it(norman, upload):
    name = upload("echo")
    change(norman.folder / "echo")
    done = norman("upload", "echo", "--trust", "--name", name, "--version-label", "two words")
    assert done.stdout == f"{name}@2\n".encode()
    assert b"loading" in done.stderr
    assert b"\x1b" not in done.stderr
    assert norman.succeed("show", f"{name}@2").splitlines()[0].startswith(f"{name}@2")
    assert "two words" in norman.succeed("show", f"{name}@2")


def test_upload_as_json_is_the_version(norman, upload):
    name = upload("echo")
    document = json.loads(norman.succeed("upload", "echo", "--trust", "--name", name, "--json"))
    assert decode(VersionDetail, document).reference == f"{name}@1"
    assert not document["created"]


def test_upload_that_fails_says_why_in_one_line(norman, upload):
    upload("echo")
    assert "--trust" in norman.fail("upload", "echo")
    assert "nosuch" in norman.fail("upload", "nosuch")
    assert norman("upload", "nosuch").stderr.count(b"\n") == 1
    (norman.folder / "echo" / "model.py").write_text("raise OSError('no weights')\n")
    line = norman.fail("upload", "echo", "--trust", "--name", "hopeless")
    assert "no weights" in line
    assert "--debug shows the model's own traceback." in line


def test_lists_are_plain_text_in_a_pipe(norman, upload):
    name = upload("echo")
    out = norman.succeed("models")
    assert lines_of(out)[0][:2] == ["model", "active"]
    assert any(line[:2] == [name, "@1"] for line in lines_of(out))
    assert "\x1b" not in out
    assert name in norman.succeed("models", "--search", name)
    assert name in norman.succeed("search", name)
    assert "norman models lists all." in norman.succeed("search", "no-such-text")
    assert lines_of(norman.succeed("versions", name))[1][0] == f"{name}@1"
    assert norman.succeed("show", name).count(f"{name}@1") >= 2
    assert "executor" in norman.succeed("status")
    assert f"{name}@1" in norman.succeed("du", name)
    assert norman.succeed("gc", "--dry-run")


def test_a_dry_run_shows_what_would_be_uploaded(norman):
    source = "def predict(x: int) -> int:\n    return x\n"
    (norman.folder / "looked-at").mkdir()
    (norman.folder / "looked-at" / "model.py").write_text(source)
    out = norman.succeed("upload", "looked-at", "--dry-run")
    assert "looked-at · python" in out
    assert "Nothing was sent." in out
    assert "needed: --trust" in out
    document = json.loads(norman.succeed("upload", "looked-at", "--dry-run", "--json"))
    assert decode(Inspection, document).entry == "model.py"
    assert "looked-at" not in norman.succeed("models")


def test_a_configuration_names_the_files_beside_it(norman):
    (norman.folder / "elsewhere").mkdir()
    (norman.folder / "elsewhere" / "model.py").write_text("def predict() -> int:\n    return 4\n")
    said = {"name": "by-config", "assets": [{"asset_name": "model.py", "data": "model.py"}]}
    (norman.folder / "elsewhere" / "said.json").write_text(json.dumps(said))
    out = norman.succeed("upload", "--config", "elsewhere/said.json", "--trust")
    assert out == "by-config@1\n"
    assert "4" in norman.succeed("invoke", "by-config")


def test_aliases_move_and_come_back(norman, upload):
    name = upload("echo")
    change(norman.folder / "echo")
    norman.succeed("upload", "echo", "--trust", "--name", name)
    out = norman.succeed("alias", f"{name}@1", "production", "--why", "better on sevens")
    assert "production" in out
    assert "%norman" not in out
    assert lines_of(norman.succeed("alias", name))[1][0] == "active"
    norman.succeed("rollback", name)
    history = norman.succeed("history", name)
    assert "better on sevens" in history
    assert "rollback" in history
    norman.succeed("alias", name, "production", "--delete")
    assert "production" not in norman.succeed("alias", name)
    assert "model.py" in norman.succeed("diff", f"{name}@1", f"{name}@2")
    assert "whole number" in norman.fail("rollback", name, "--to", "0.5", status=2)


def test_edit_changes_what_is_said(norman, upload):
    name = upload("echo")
    norman.succeed("edit", f"{name}@1", "--description", "says it again")
    assert "says it again" in norman.succeed("show", f"{name}@1")
    norman.succeed("edit", f"{name}@1", "--description", "")
    assert "says it again" not in norman.succeed("show", f"{name}@1")
    assert "norman edit --help" in norman.fail("edit", f"{name}@1", status=2)


def test_calls_are_listed_shown_and_repeated(norman, upload):
    name = upload("echo")
    call = json.loads(norman.succeed("invoke", name, "text=once", "--json"))
    assert call["outputs"] == {"output": "once"}
    page = decode(InvocationPage, json.loads(norman.succeed("invocations", name, "--json")))
    assert [item.id for item in page.items] == [call["id"]]
    assert "once" in norman.succeed("show", call["id"])
    assert norman.succeed("replay", call["id"]) == "once\n"
    again = json.loads(norman.succeed("replay", call["id"], "--json"))
    assert again["reference"] == f"{name}@1"
    assert "--state is one of" in norman.fail("invocations", "--state", "tired", status=2)


def test_a_running_call_is_cancelled_from_another_shell(norman, upload):
    name = upload("answer")
    with subprocess.Popen(
        [*norman.command, "invoke", name, "text=sleep"],
        cwd=norman.folder,
        env=norman.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as caller:
        running = until(lambda: running_calls(norman, name))
        assert "cancelled" in norman.succeed("cancel", running[0])
        out, err = caller.communicate(timeout=60)
    assert (caller.returncode, out) == (1, b"")
    assert err.startswith(b"norman: ")
    ended = json.loads(norman.succeed("invoke", name, "text=a", "--json"))["id"]
    assert "can't be cancelled" in norman.fail("cancel", ended)


def running_calls(norman, name: str) -> list[str]:
    page = json.loads(norman.succeed("invocations", name, "--state", "running", "--json"))
    return [item["id"] for item in page["items"]]


def test_ctrl_c_takes_the_call_back(norman, upload):
    name = upload("answer")
    with subprocess.Popen(
        [*norman.command, "invoke", name, "text=sleep"],
        cwd=norman.folder,
        env=norman.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as caller:
        until(lambda: running_calls(norman, name))
        caller.send_signal(signal.SIGINT)
        out, err = caller.communicate(timeout=60)
    assert (caller.returncode, out) == (130, b"")
    assert err == b"norman: Cancelled. The call was taken back.\n"
    until(lambda: not running_calls(norman, name))


def test_download_writes_where_the_files_are(norman, upload):
    name = upload("echo")
    done = norman("download", name)
    folder = norman.folder / f"{name}-1"
    assert done.stdout == f"{folder}\n".encode()
    assert (folder / "model.py").read_text().startswith("def predict")
    assert json.loads(norman.succeed("download", name, "--json")) == {"path": str(folder)}


def test_logs_are_whole_and_followed(norman, upload):
    name = upload("echo")
    norman.succeed("invoke", name, f"text={'x' * 40_000}")
    assert norman.succeed("logs", name) == f"echoing {'x' * 40_000}\n"
    with subprocess.Popen(
        [*norman.command, "logs", "-f", name],
        cwd=norman.folder,
        env=norman.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as follower:
        assert follower.stdout.readline().startswith(b"echoing xxx")
        norman.succeed("invoke", name, "text=one")
        assert follower.stdout.readline() == b"echoing one\n"
        norman.succeed("invoke", name, "text=two")
        norman.succeed("invoke", name, "text=two")
        assert [follower.stdout.readline() for _ in range(2)] == [b"echoing two\n"] * 2
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=60)
    assert follower.returncode == 130
    assert b"Traceback" not in err
    assert "leave one out" in norman.fail("logs", "-f", name, "--json", status=2)


def test_rm_asks_nobody_in_a_script(norman, upload):
    name = upload("echo")
    assert f"norman rm {name} --all --yes" in norman.fail("rm", name, "--all", status=2)
    assert f"norman rm {name}@1" in norman.fail("rm", name, status=2)
    assert "active" in norman.fail("rm", f"{name}@1")
    document = json.loads(norman.succeed("rm", name, "--all", "--yes", "--json"))
    assert decode(Deletion, document).whole
    assert name in norman.fail("show", name)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("models", ModelPage),
        ("search {name}", ModelPage),
        ("show {name}", ModelDetail),
        ("show {name}@1", VersionDetail),
        ("versions {name} --limit 1", VersionPage),
        ("alias {name}", AliasPage),
        ("alias {name}@1 production", AliasChange),
        ("history {name} --alias active", AliasHistory),
        ("diff {name}@1 {name}@1", VersionDiff),
        ("edit {name}@1 --tag a", VersionDetail),
        ("invocations {name}", InvocationPage),
        ("gc --dry-run", GarbageReport),
        ("du", DiskUsage),
        ("doctor", DoctorReport),
        ("logs {name}", LogText),
        ("status", ServerStatus),
    ],
)
def test_json_is_the_body_of_the_rest_answer(line, body, norman, upload):
    name = upload("echo")
    decode(body, json.loads(norman.succeed(*line.format(name=name).split(), "--json")))


def test_cancel_answers_with_the_call(norman, upload):
    name = upload("answer")
    with subprocess.Popen(
        [*norman.command, "invoke", name, "text=sleep"],
        cwd=norman.folder,
        env=norman.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        running = until(lambda: running_calls(norman, name))
        document = json.loads(norman.succeed("cancel", running[0], "--json"))
    assert decode(InvocationDetail, document).invocation.id == running[0]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("modles", "Did you mean models?"),
        ("models --serach x", "Did you mean --search?"),
        ("show", "Usage: norman show REF"),
        ("upload", "PATH is missing"),
        ("models --token-env NORMAN_NO_SUCH", "NORMAN_NO_SUCH"),
        ("models --url nowhere", "is no URL of a server"),
        ("completion csh", "bash, zsh, fish"),
    ],
)
def test_wrong_use_is_status_2_and_one_line(line, part, norman):
    error = norman.fail(*line.split(), status=2)
    assert part in error
    assert "%norman" not in error


def test_no_server_is_told_with_what_to_do(norman, tmp_path):
    line = norman.fail("models", JUPYTER_RUNTIME_DIR=str(tmp_path))
    assert "norman serve" in line
    assert "--url URL --token-env NAME" in line
    assert "can't be reached" in norman.fail("--url", "http://127.0.0.1:9/", "models")


def test_a_server_is_chosen_by_options(norman, norman_server, tmp_path):
    options = ("--url", norman_server.url, "--token-env", "SECRET")
    changes = {"JUPYTER_RUNTIME_DIR": str(tmp_path), "SECRET": norman_server.token}
    assert "executor" in norman.succeed("status", *options, **changes)
    assert "executor" in norman.succeed(*options, "status", **changes)
    changes["SECRET"] = "wrong"
    assert "token" in norman.fail("status", *options, **changes)


def test_debug_shows_the_traceback(norman, upload):
    name = upload("answer")
    done = norman("invoke", name, "text=raise", "--debug")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert b"model.py" in done.stderr
    line = norman.fail("invoke", name, "text=raise")
    assert "ValueError: no answer to this" in line


def test_a_reader_that_leaves_is_no_error(norman, upload):
    upload("echo")
    for command in (["models"], ["models", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as gone:
            done = subprocess.run(
                [*norman.command, *command],
                stdin=subprocess.DEVNULL,
                stdout=gone,
                stderr=subprocess.PIPE,
                env=norman.environment,
                timeout=60,
                check=False,
            )
        assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told(norman):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*norman.command, "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=norman.environment,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"norman: Standard output can't be written: No space left")


def test_closed_streams_are_no_error(norman):
    command = " ".join([*norman.command, "status", "<&-", ">&-", "2>&-"])
    done = subprocess.run(["sh", "-c", command], env=norman.environment, timeout=60, check=False)
    assert done.returncode == 0
