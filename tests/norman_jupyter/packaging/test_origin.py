"""Where an upload comes from, asked in a plain process, of git, and in a real kernel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from norman_bundle.remotes import strip_credentials
from norman_jupyter.packaging.git import GitFacts, read_git
from norman_jupyter.packaging.kernel import current_kernel, read_connection_file
from norman_jupyter.packaging.origin import CELL_SOURCE_LIMIT, collect_origin


def git(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    finished = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.py").write_text("x = 1\n")
    (folder / "notes.txt").write_text("hello\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "https://ann:secret@example.org/models.git")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_clean_repository_tells_commit_branch_and_remote(repository) -> None:
    assert read_git(repository / "model") == GitFacts(
        commit=git(repository, "rev-parse", "HEAD"),
        branch="main",
        remote="https://example.org/models.git",
        dirty=False,
    )


def test_file_in_a_repository_is_enough(repository) -> None:
    assert read_git(repository / "model" / "model.py").branch == "main"


def test_changed_file_anywhere_makes_it_dirty(repository) -> None:
    (repository / "notes.txt").write_text("changed\n")
    assert read_git(repository / "model").dirty is True


def test_new_file_makes_it_dirty_only_where_it_is_uploaded(repository) -> None:
    (repository / "scratch.txt").write_text("x")
    assert read_git(repository / "model").dirty is False
    (repository / "model" / "new.bin").write_text("x")
    assert read_git(repository / "model").dirty is True


def test_detached_head_has_no_branch(repository) -> None:
    git(repository, "checkout", "-q", "--detach")
    facts = read_git(repository)
    assert (facts.branch, facts.commit) == (None, git(repository, "rev-parse", "HEAD"))


def test_repository_without_a_commit_has_none(tmp_path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    facts = read_git(tmp_path)
    assert (facts.commit, facts.branch) == (None, "main")


def test_folder_outside_of_any_repository_has_no_facts(tmp_path) -> None:
    assert read_git(tmp_path) == GitFacts()


def test_machine_without_git_has_no_facts(repository, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_git(repository) == GitFacts()


def test_variables_of_another_repository_are_not_followed(
    repository, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert read_git(repository / "model").branch == "main"


def test_repository_runs_no_program_of_its_own(repository, tmp_path) -> None:
    witness = tmp_path / "witness"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {witness}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    witness.unlink(missing_ok=True)
    read_git(repository)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("https://a:b@example.org:8443/a.git?t=1#x", "https://example.org:8443/a.git"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("ssh://git:pw@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("https://[broken", "https://"),
    ],
)
def test_credentials_of_a_remote_are_dropped(remote: str, kept: str) -> None:
    assert strip_credentials(remote) == kept


def test_plain_process_knows_itself(repository, monkeypatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    origin = collect_origin(repository / "model")
    assert origin.interpreter == sys.executable
    assert origin.python_version == ".".join(map(str, sys.version_info[:3]))
    assert origin.hostname == socket.gethostname()
    assert origin.source_path == str(repository / "model")
    assert origin.git_commit == git(repository, "rev-parse", "HEAD")
    assert origin.client_version is not None
    assert (origin.notebook, origin.kernel_id, origin.kernel_name) == (None, None, None)


def test_git_of_the_current_folder_is_told_without_a_path(repository, monkeypatch) -> None:
    monkeypatch.chdir(repository)
    assert collect_origin().git_branch == "main"


class Shell:
    """As much of IPython's shell as is asked."""

    def __init__(self, parent: Any = None, **user_ns: Any) -> None:
        self.user_ns = user_ns
        self._parent = parent

    def get_parent(self) -> Any:
        return self._parent


def test_cell_is_told_by_the_request_that_runs() -> None:
    shell = Shell({"metadata": {"cellId": "abc"}, "content": {"code": "%norman upload m"}})
    origin = collect_origin(shell=shell)
    assert (origin.cell_id, origin.cell_source) == ("abc", "%norman upload m")


def test_long_cell_is_shortened() -> None:
    shell = Shell({"metadata": {}, "content": {"code": "x" * 100_000}})
    origin = collect_origin(shell=shell)
    assert len(origin.cell_source or "") == CELL_SOURCE_LIMIT


@pytest.mark.parametrize("parent", [None, {}, [], {"metadata": None, "content": 3}, "text"])
def test_shell_that_says_nothing_costs_nothing(parent: Any) -> None:
    origin = collect_origin(shell=Shell(parent))
    assert (origin.cell_id, origin.cell_source) == (None, None)


def test_notebook_is_told_by_vs_code_or_by_jupyter(monkeypatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/a.ipynb")
    assert collect_origin(shell=Shell()).notebook == "/home/ann/a.ipynb"
    assert collect_origin(shell=Shell(__vsc_ipynb_file__="/b.ipynb")).notebook == "/b.ipynb"


@pytest.mark.parametrize(
    ("content", "name"), [('{"kernel_name": "python3"}', "python3"), ("{", None), ("[]", None)]
)
def test_connection_file_tells_id_and_name(tmp_path, content: str, name: str | None) -> None:
    path = tmp_path / "kernel-1234-abcd.json"
    path.write_text(content)
    facts = read_connection_file(str(path))
    assert (facts.kernel_id, facts.kernel_name) == ("1234-abcd", name)


def test_process_that_is_no_kernel_says_so() -> None:
    assert current_kernel().kernel_id is None


def test_real_kernel_tells_its_id_its_name_and_the_cell(tmp_path) -> None:
    manager = KernelManager(
        kernel_name="python3",
        connection_file=str(tmp_path / "kernel-0a1b2c3d.json"),
        kernel_id="0a1b2c3d",
    )
    environment = {**os.environ, "JPY_SESSION_NAME": str(tmp_path / "book.ipynb")}
    manager.start_kernel(cwd=str(tmp_path), env=environment)
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        code = (
            "import json; from dataclasses import asdict\n"
            "from norman_jupyter.packaging.origin import collect_origin\n"
            "print(json.dumps(asdict(collect_origin())))"
        )
        message = client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": False, "user_expressions": {}},
            metadata={"cellId": "cell-7"},
        )
        client.shell_channel.send(message)
        printed = ""
        while True:
            answer = client.get_iopub_msg(timeout=60)
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if answer["msg_type"] == "stream":
                printed += answer["content"]["text"]
            if answer["content"].get("execution_state") == "idle":
                break
        origin = json.loads(printed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
    assert origin["kernel_id"] == "0a1b2c3d"
    assert origin["kernel_name"] == "python3"
    assert origin["notebook"] == str(tmp_path / "book.ipynb")
    assert (origin["cell_id"], origin["cell_source"]) == ("cell-7", code)
    assert set(origin) == set(asdict(collect_origin()))
