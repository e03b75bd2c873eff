"""The extension beside Jupyter: enabled in any server, and no harm to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
import pytest
from serving import JUPYTER_SERVER, NORMAN_SERVE, launch, serve, until, upload


def jupyter_client(root: Path, token: str) -> httpx.Client:
    """A client of Jupyter's own API."""
    (file,) = until(lambda: list((root / "runtime").glob("jpserver-*.json")))
    record = until(lambda: json.loads(file.read_text() or "null"))
    return httpx.Client(
        base_url=f"http://127.0.0.1:{record['port']}{record['base_url']}",
        headers={"Authorization": f"token {token}"},
        timeout=60.0,
        trust_env=False,
    )


def test_any_jupyter_server_can_load_it_under_any_base_url(tmp_path):
    options = ["--ServerApp.base_url=/user/me/"]
    with serve(tmp_path, options, JUPYTER_SERVER) as server, server.client() as client:
        assert server.url.endswith("/user/me/")
        upload(client, "m", {"model.py": b"def predict() -> int: return 1"}, trust=True)
        answer = client.post("invocations", json={"reference": "m"})
        assert list(answer.json()["outputs"].values()) == [1]
        # What another extension would see is Jupyter as ever.
        with jupyter_client(tmp_path, server.jupyter_token) as jupyter:
            assert jupyter.get("api/status").status_code == 200


@pytest.mark.parametrize("launcher", [NORMAN_SERVE, JUPYTER_SERVER])
def test_home_that_cannot_be_used_leaves_notebooks_alone(tmp_path, launcher):
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")
    options = [f"--NormanExtension.home={home}"]
    with (
        launch(tmp_path, options, launcher) as (process, environment),
        jupyter_client(tmp_path, environment["JUPYTER_TOKEN"]) as jupyter,
    ):

        def message():
            answer = jupyter.get("norman/api/v1/status")
            assert answer.status_code == 503
            return answer.json()["message"] if "can't start" in answer.text else None

        assert "NormanExtension.home" in until(message)
        kernel = jupyter.post("api/kernels", json={"name": "python3"})
        assert kernel.status_code == 201
        assert jupyter.delete(f"api/kernels/{kernel.json()['id']}").status_code == 204
        assert process.poll() is None


def test_wrong_option_is_refused_at_the_start_and_jupyter_goes_on(tmp_path):
    options = ["--NormanExtension.queue_limit=0"]
    with launch(tmp_path, options, JUPYTER_SERVER) as (process, environment):
        with jupyter_client(tmp_path, environment["JUPYTER_TOKEN"]) as jupyter:
            assert jupyter.get("api/status").status_code == 200
        assert process.poll() is None
    assert "queue_limit" in (tmp_path / "server.log").read_text()


def test_executor_that_cannot_be_started_is_said_in_the_status(tmp_path):
    (tmp_path / "data/norman/logs/executor.log").mkdir(parents=True)  # it can't write there
    with (
        launch(tmp_path) as (_, environment),
        jupyter_client(tmp_path, environment["JUPYTER_TOKEN"]) as jupyter,
    ):

        def restarting():
            answer = jupyter.get("norman/api/v1/status")
            return answer.status_code == 200 and answer.json()["executor"]["restarts"] > 0

        until(restarting)
        answer = jupyter.get("norman/api/v1/models")
        assert answer.status_code == 200
        answer = jupyter.post(
            "norman/api/v1/invocations", json={"reference": "m", "timeout_s": 0.1}
        )
        assert answer.status_code == 503
        assert answer.json()["code"] == "executor_unavailable"
        assert "Is a directory" in answer.json()["message"]


def test_files_beside_the_notebooks_stand_in_for_nothing(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    for name in ("norman_executor.py", "socket.py", "asyncio.py", "queue.py"):
        (work / name).write_text("raise SystemExit('the wrong module')")
    launcher = ("-P", *NORMAN_SERVE)  # as the installed command does
    with serve(tmp_path, (), launcher) as server, server.client() as client:
        version = upload(client, "m", {"model.py": b"def predict() -> int: return 1"}, trust=True)
        assert version["state"] == "ready", version["error"]


def test_kernel_of_the_server_is_an_accepted_interpreter(norman_server):
    source = b"import sys\ndef predict() -> str: return sys.prefix"
    with norman_server.client() as client:
        version = upload(
            client,
            "beside-kernel",
            {"model.py": source},
            trust=True,
            origin={"interpreter": sys.executable, "kernel_name": "python3"},
        )
        assert version["interpreter"] == sys.executable
        assert version["origin"]["kernel_name"] == "python3"
