"""Images of a live home, taken at any moment, hold all that was acknowledged until then."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing

import psutil
import pytest
from doctoring import assert_doctor_clean, assert_server_clean, examine_offline
from serving import serve, upload

pytestmark = pytest.mark.timeout(180)

MODEL = b"def predict() -> int:\n    return 1\n"
IMAGES = 5


def freeze(server) -> list[psutil.Process]:
    found = psutil.Process(server.process.pid)
    processes = [found, *found.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    return processes


def test_an_image_of_a_live_home_holds_what_was_acknowledged(tmp_path):
    acknowledged: list[int] = []
    over = threading.Event()
    moments = random.Random(7)

    def publish(client):
        number = 0
        while not over.is_set():
            number += 1
            data = MODEL + b"#" * number + os.urandom(20_000).hex().encode()
            found = upload(client, "m", {"model.py": MODEL, "data.txt": data}, trust=True)
            acknowledged.append(found["number"])

    images = []
    with serve(tmp_path / "live") as server, server.client() as client:
        thread = threading.Thread(target=publish, args=(client,))
        thread.start()
        for number in range(IMAGES):
            time.sleep(moments.uniform(0.2, 0.6))  # any moment is as good as another
            frozen = freeze(server)
            known = list(acknowledged)
            image = tmp_path / f"image{number}" / "data" / "norman"
            shutil.copytree(
                server.home, image, ignore=lambda folder, names: {n for n in names if ".sock" in n}
            )
            images.append((image, known))
            for process in reversed(frozen):
                os.kill(process.pid, signal.SIGCONT)
        over.set()
        thread.join(60)
    assert acknowledged
    for image, known in images:
        # As after a power cut: no process of it is left, whatever its notes say.
        (image / "run" / "processes.json").unlink(missing_ok=True)
        report = examine_offline(image)
        assert not [one for one in report.findings if one.severity == "error"], report
        with closing(sqlite3.connect(image / "norman.db")) as connection:
            rows = connection.execute("SELECT number FROM versions WHERE state = 'ready'")
            assert set(known) <= {row[0] for row in rows}
    image, known = images[-1]
    with serve(image.parent.parent) as server, server.client() as client:
        listed = client.get("models/m/versions", params={"limit": 200}).json()["items"]
        assert set(known) <= {item["number"] for item in listed}
        if known:
            body = {"reference": f"m@{known[-1]}", "inputs": {}}
            assert client.post("invocations", json=body).json()["outputs"] == {"output": 1}
        assert_server_clean(client)
    assert_doctor_clean(image)


def test_databases_wait_for_the_disk_at_each_commit(tmp_path):
    """Synchronous FULL, which alone keeps committed rows through a power cut with a log beside."""
    from norman_server.storage.opening import open_storage

    with open_storage(tmp_path / "home") as storage:
        for database in (storage.registry, storage.invocations):
            with database._write_engine.connect() as connection:
                (level,) = connection.exec_driver_sql("PRAGMA synchronous").one()
                (mode,) = connection.exec_driver_sql("PRAGMA journal_mode").one()
            assert (level, mode) == (2, "wal")
