from __future__ import annotations

import json
import os

import pytest

from tools.demo.home import DemoHome, live_servers, prepare, server_environment


def _record(pid: int) -> str:
    return json.dumps(
        {
            "server_id": "s",
            "url": "http://127.0.0.1:1/",
            "token": "t",
            "server_pid": pid,
            "server_started_at": 1.0,
            "socket_path": None,
            "version": "0",
        }
    )


def test_environment_keeps_the_demo_apart_from_a_surrounding_jupyter(tmp_path):
    inherited = {"PATH": "/bin", "JUPYTER_TOKEN": "x", "JPY_PARENT_PID": "1", "NORMAN_URL": "u"}

    environment = server_environment(DemoHome(root=tmp_path), inherited)

    assert environment["PATH"] == "/bin"
    assert not environment.keys() & {"JUPYTER_TOKEN", "JPY_PARENT_PID", "NORMAN_URL"}
    folders = {"JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"}
    assert all(environment[name].startswith(str(tmp_path)) for name in folders)


def test_fresh_removes_what_an_earlier_demo_left_even_where_it_is_read_only(tmp_path):
    home = DemoHome(root=tmp_path / "demo")
    prepare(home, fresh=True)
    tree = home.root / "data" / "tree"
    tree.mkdir(parents=True)
    (tree / "model.onnx").write_bytes(b"1")
    (tree / "model.onnx").chmod(0o400)
    tree.chmod(0o500)

    prepare(home, fresh=True)

    assert not tree.exists()
    assert home.notebooks.stat().st_mode & 0o777 == 0o700


def test_fresh_leaves_a_folder_alone_that_is_not_the_demos(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(FileExistsError, match="something else"):
        prepare(DemoHome(root=tmp_path), fresh=True)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_only_servers_whose_process_lives_count(tmp_path):
    home = DemoHome(root=tmp_path)
    prepare(home, fresh=False)
    (home.runtime / "norman-1.json").write_text(_record(os.getpid()))
    (home.runtime / "norman-2.json").write_text(_record(2**22 + 1))  # above any process id

    assert [record.server_pid for record in live_servers(home)] == [os.getpid()]
