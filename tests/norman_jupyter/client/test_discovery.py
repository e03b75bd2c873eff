from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from norman_jupyter.client.discovery import Target, find_targets, is_loopback, split_url
from norman_jupyter.client.surroundings import SystemProcesses
from norman_protocol.decoding import dump_json, encode
from norman_protocol.discovery import DiscoveryRecord, discovery_file_name
from norman_protocol.errors import RequestInvalid, ServerNotFound


class FakeProcesses:
    def __init__(self, alive: dict[int, float], ancestors: Sequence[int] = ()) -> None:
        self._alive, self._ancestors = alive, ancestors
        self.stamps: dict[int, str] = {}

    def ancestors(self) -> Sequence[int]:
        return self._ancestors

    def started_at(self, pid: int) -> float | None:
        return self._alive.get(pid)

    def stamp(self, pid: int) -> str | None:
        return self.stamps.get(pid)


def record(pid: int, **changes: Any) -> DiscoveryRecord:
    return DiscoveryRecord(
        **{
            "server_id": f"server-{pid}",
            "url": f"http://127.0.0.1:{pid}/",
            "token": f"token-{pid}",
            "server_pid": pid,
            "server_started_at": 1000.0,
            "socket_path": f"/run/{pid}.sock",
            "version": "0.1.0",
            **changes,
        }
    )


def leave(folder: Path, entry: DiscoveryRecord, mode: int = 0o600) -> Path:
    path = folder / discovery_file_name(entry.server_pid)
    path.write_bytes(dump_json(encode(entry)))
    path.chmod(mode)
    return path


def find(
    folder: Path,
    processes: FakeProcesses | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
    previous: Target | None = None,
    **environ: str,
) -> Any:
    return find_targets(
        url=url,
        token=token,
        environ=environ,
        runtime_folder=folder,
        processes=processes or FakeProcesses({}),
        previous=previous,
    )


def target_of(entry: DiscoveryRecord) -> Target:
    return Target(
        url=entry.url,
        token=entry.token,
        server_id=entry.server_id,
        socket_path=entry.socket_path,
    )


def test_given_url_comes_before_everything(tmp_path) -> None:
    leave(tmp_path, record(10))
    processes = FakeProcesses({10: 1000.0}, ancestors=[10])
    (target,) = find(
        tmp_path, processes, url="https://hub.example/user/a", token="t", NORMAN_URL="http://x/"
    )
    assert (target.url, target.token) == ("https://hub.example/user/a/", "t")
    assert target.socket_path is None
    assert target.chosen


def test_environment_comes_before_the_server_that_started_us(tmp_path) -> None:
    leave(tmp_path, record(10))
    processes = FakeProcesses({10: 1000.0}, ancestors=[10])
    (target,) = find(tmp_path, processes, NORMAN_URL="http://far.example/", NORMAN_TOKEN="n")
    assert (target.url, target.token, target.server_id) == ("http://far.example/", "n", None)


def test_token_of_the_environment_is_not_sent_to_a_given_url(tmp_path) -> None:
    (target,) = find(tmp_path, url="http://far.example/", NORMAN_TOKEN="n", JUPYTER_TOKEN="j")
    assert target.token is None


def test_server_that_started_us_comes_before_jupyters_url_and_other_servers(tmp_path) -> None:
    leave(tmp_path, record(10))
    leave(tmp_path, record(11))
    processes = FakeProcesses({10: 1000.0, 11: 1000.0}, ancestors=[99, 11])
    first, second = find(tmp_path, processes, JUPYTER_SERVER_URL="http://j.example/")
    assert (first.server_id, first.token, first.socket_path) == (
        "server-11",
        "token-11",
        "/run/11.sock",
    )
    assert second.url == "http://j.example/"


def test_only_a_server_that_started_us_shows_our_notebook(tmp_path) -> None:
    leave(tmp_path, record(10))
    processes = FakeProcesses({10: 1000.0}, ancestors=[10])
    targets = find(tmp_path, processes, JUPYTER_SERVER_URL="http://j.example/")
    assert [target.is_ours for target in targets] == [True, False]
    (target,) = find(tmp_path, FakeProcesses({10: 1000.0}))
    assert not target.is_ours


def test_nearest_of_two_ancestors_is_first(tmp_path) -> None:
    leave(tmp_path, record(10))
    leave(tmp_path, record(11))
    processes = FakeProcesses({10: 1000.0, 11: 1000.0}, ancestors=[11, 10])
    assert [target.server_id for target in find(tmp_path, processes)] == ["server-11", "server-10"]


def test_only_live_server_is_found_by_a_process_it_did_not_start(tmp_path) -> None:
    leave(tmp_path, record(10))
    leave(tmp_path, record(11))
    (target,) = find(tmp_path, FakeProcesses({11: 1000.4}))
    assert target.server_id == "server-11"


def test_several_live_servers_are_listed_with_how_to_choose(tmp_path) -> None:
    leave(tmp_path, record(10))
    leave(tmp_path, record(11))
    with pytest.raises(ServerNotFound) as caught:
        find(tmp_path, FakeProcesses({10: 1000.0, 11: 1000.0}))
    assert caught.value.message == (
        "2 Norman servers are running: http://127.0.0.1:10/ (process 10), "
        "http://127.0.0.1:11/ (process 11). Say which: set NORMAN_URL, or pass Norman(url=…)."
    )


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_no_server_says_how_to_start_one_or_connect(tmp_path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ServerNotFound) as caught:
        find(tmp_path / folder)
    for hint in ("norman serve", "jupyter lab", "NORMAN_URL", "Norman(url="):
        assert hint in caught.value.message


@pytest.mark.parametrize("started_at", [997.0, 1003.0])
def test_server_is_found_after_the_clock_was_set_a_little(tmp_path, started_at: float) -> None:
    leave(tmp_path, record(10))
    assert find(tmp_path, FakeProcesses({10: started_at}))[0].server_id == "server-10"


def test_process_id_that_was_used_again_is_no_server(tmp_path) -> None:
    leave(tmp_path, record(10))
    with pytest.raises(ServerNotFound):
        find(tmp_path, FakeProcesses({10: 5000.0}, ancestors=[10]))


@pytest.mark.parametrize(
    ("stamp", "found"), [("boot:5", True), ("boot:6", False), ("other boot:5", False)]
)
def test_stamp_tells_a_process_whatever_the_clock_says(tmp_path, stamp: str, found: bool) -> None:
    leave(tmp_path, record(10, server_stamp="boot:5"))
    processes = FakeProcesses({10: 1000.0 if not found else 8200.0})
    processes.stamps[10] = stamp
    if found:
        assert find(tmp_path, processes)[0].server_id == "server-10"
    else:
        with pytest.raises(ServerNotFound):
            find(tmp_path, processes)


def test_record_without_a_stamp_is_told_by_its_start(tmp_path) -> None:
    leave(tmp_path, record(10))
    processes = FakeProcesses({10: 1001.0})
    processes.stamps[10] = "boot:5"
    assert find(tmp_path, processes)[0].server_id == "server-10"


def test_servers_of_one_home_are_one_server(tmp_path) -> None:
    leave(tmp_path, record(10, server_id="home"))
    leave(tmp_path, record(11, server_id="home"))
    targets = find(tmp_path, FakeProcesses({10: 1000.0, 11: 1000.0}))
    assert [target.url for target in targets] == ["http://127.0.0.1:10/", "http://127.0.0.1:11/"]


@pytest.mark.parametrize("kept", ["server_id", "socket_path"])
def test_successor_is_the_server_of_the_same_home_among_several(tmp_path, kept: str) -> None:
    gone = record(9)
    leave(tmp_path, record(10))
    leave(tmp_path, record(11, **{kept: getattr(gone, kept)}))
    processes = FakeProcesses({10: 1000.0, 11: 1000.0})
    (target,) = find(tmp_path, processes, previous=target_of(gone))
    assert (target.url, target.token) == ("http://127.0.0.1:11/", "token-11")
    with pytest.raises(ServerNotFound, match="2 Norman servers"):
        find(tmp_path, processes, previous=target_of(record(8)))


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_given_token_of_an_earlier_record_of_the_place_gives_way_to_the_new_one(
    tmp_path, by: str
) -> None:
    url = "http://127.0.0.1:10/"
    leave(tmp_path, record(10, token="new"))
    processes = FakeProcesses({10: 1000.0})
    given = (
        {"url": url, "token": "old"}
        if by == "argument"
        else {"NORMAN_URL": url, "NORMAN_TOKEN": "old"}
    )
    previous = target_of(record(10, token="old", server_id="before"))
    (target,) = find(tmp_path, processes, previous=previous, **given)
    assert (target.token, target.server_id, target.chosen) == ("new", "server-10", True)
    # Never for a token that no record had, or for another place.
    for other in (
        Target(url=url, token="old"),
        target_of(record(11, token="old")),
        target_of(record(10, token="older")),
    ):
        (target,) = find(tmp_path, processes, previous=other, **given)
        assert (target.token, target.server_id) == ("old", None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_record_that_others_may_open_is_passed_over_aloud(tmp_path, mode: int) -> None:
    leave(tmp_path, record(10), mode)
    with pytest.raises(ServerNotFound) as caught:
        find(tmp_path, FakeProcesses({10: 1000.0}))
    message = caught.value.message
    assert "\n" not in message
    assert message.endswith(
        f". norman-10.json was passed over: others may open it (mode {mode:04o}, not 0600)."
    )


def test_record_behind_a_link_is_passed_over(tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = leave(elsewhere, record(10))
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / real.name).symlink_to(real)
    with pytest.raises(ServerNotFound, match="passed over"):
        find(folder, FakeProcesses({10: 1000.0}))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_record_of_another_user_is_passed_over(tmp_path) -> None:
    os.chown(leave(tmp_path, record(10)), 12345, 12345)
    with pytest.raises(ServerNotFound, match="another user"):
        find(tmp_path, FakeProcesses({10: 1000.0}))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"url": 3}', b"\xff\xfe", b"[" * 100_000, dump_json(encode(record(11)))],
)
def test_malformed_record_is_passed_over(tmp_path, content: bytes) -> None:
    leave(tmp_path, record(10)).write_bytes(content)
    with pytest.raises(ServerNotFound, match=r"norman-10\.json was passed over"):
        find(tmp_path, FakeProcesses({10: 1000.0, 11: 1000.0}))


def test_unknown_facts_of_a_newer_record_are_tolerated(tmp_path) -> None:
    path = leave(tmp_path, record(10))
    path.write_bytes(dump_json({**encode(record(10)), "colour": "green"}))
    assert find(tmp_path, FakeProcesses({10: 1000.0}))[0].server_id == "server-10"


@pytest.mark.parametrize("url", ["http://localhost:10", "http://127.0.0.1:10/lab?token=token-10"])
def test_given_url_of_a_server_of_this_machine_gets_its_fast_path(tmp_path, url: str) -> None:
    leave(tmp_path, record(10))
    (target,) = find(tmp_path, FakeProcesses({10: 1000.0}), url=url)
    assert (target.token, target.socket_path) == ("token-10", "/run/10.sock")


def test_given_token_is_never_replaced_by_the_records(tmp_path) -> None:
    leave(tmp_path, record(10))
    (target,) = find(
        tmp_path, FakeProcesses({10: 1000.0}), url="http://127.0.0.1:10/", token="other"
    )
    assert (target.token, target.socket_path) == ("other", None)


def test_jupyters_url_uses_its_token_or_the_hubs(tmp_path) -> None:
    (one,) = find(tmp_path, JUPYTER_SERVER_URL="http://j.example/", JUPYTER_TOKEN="j")
    (other,) = find(tmp_path, JUPYTER_SERVER_URL="http://j.example/", JUPYTERHUB_API_TOKEN="h")
    assert (one.token, other.token) == ("j", "h")
    assert not one.chosen


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://a/", "http://", "http://[::1", "http://a:99999/", "http://a:0/"]
)
def test_what_is_no_url_is_refused(tmp_path, url: str) -> None:
    with pytest.raises(RequestInvalid, match="is no URL"):
        split_url(url)


def test_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(RequestInvalid) as caught:
        split_url("http://ann:secret@host/")
    assert "secret" not in caught.value.message


def test_loopback_is_told_by_its_host() -> None:
    assert is_loopback("http://[::1]:8888/")
    assert not is_loopback("http://127.0.0.1.example/")


def test_processes_of_this_machine_are_told_with_their_start() -> None:
    processes = SystemProcesses()
    assert processes.started_at(os.getpid()) == psutil.Process().create_time()
    assert processes.started_at(2**22 + 1) is None
    assert os.getppid() in processes.ancestors()
